/* SPDX-License-Identifier: BSD-2-Clause */
/* The seam of an image that is built with PT_CHECKED: see <pt/el2/checked.h>. Empty in others. */
#ifdef PT_CHECKED
#include <pt/context.h>

#include <pt/el2/console.h>
#include <pt/el2/cpu.h>

#define ARENA_BYTES (UINT64_C(40) << 20) /* a copy of all tables, and what is owed */

__attribute__((section(".region.check"), aligned(4096))) static unsigned char arena[ARENA_BYTES];

/* One event at a time; its own lock, since those of the seam are events. */
static atomic_flag order = ATOMIC_FLAG_INIT;
static struct pt_check *check;
static uint64_t events;

/* Whose section it is, and which operation runs, on each CPU. */
static struct {
	uint64_t agent, op, outer;
} selves[PT_EL2_CPUS];

static void take(void)
{
	while (atomic_flag_test_and_set_explicit(&order, memory_order_acquire))
		__asm__ volatile("yield" ::: "memory");
}

static void release(void)
{
	atomic_flag_clear_explicit(&order, memory_order_release);
}

static void line(const char *name, uint64_t value)
{
	pt_el2_print(name);
	pt_el2_print_hex(value);
	pt_el2_print("\n");
}

static _Noreturn void report(const struct pt_finding *finding, const struct pt_event *e)
{
	pt_el2_print("\nBail out! rule ");
	pt_el2_print(pt_rule_name(finding->rule));
	pt_el2_print(": ");
	pt_el2_print(finding->text);
	pt_el2_print("\n");
	line("# event  ", e->kind);
	line("# at     ", e->at);
	line("# ctx    ", e->ctx);
	line("# lo     ", e->lo);
	line("# hi     ", e->hi);
	line("# CPU    ", e->thread - 1);
	line("# op     ", finding->op);
	line("# kind   ", finding->op_kind);
	line("# serial ", finding->serial);
	pt_el2_exit(6);
}

/* Under `order`. */
static void feed(struct pt_event *e)
{
	static const struct pt_check_config config;
	struct pt_finding finding;

	if (!check)
		check = pt_check_init(arena, ARENA_BYTES, &config);
	events++;
	if (!pt_check_event(check, e, &finding))
		report(&finding, e);
}

static void sign(struct pt_event *e)
{
	uint32_t cpu = pt_el2_self()->id;

	if (e->kind == PT_EVENT_SECTION_BEGIN)
		selves[cpu].agent = e->at;
	if (e->kind == PT_EVENT_OP_BEGIN) {
		selves[cpu].op = e->at;
		selves[cpu].outer = selves[cpu].agent;
		selves[cpu].agent = e->lo;
	}
	e->thread = cpu + 1;
	e->agent = selves[cpu].agent;
	e->op = selves[cpu].op;
}

static bool is_zero(const struct pt_event *e)
{
	const uint64_t *word = (const uint64_t *)(uintptr_t)e->at;
	uint64_t any = 0;

	for (uint64_t i = 0; i < e->lo / sizeof(*word); i++)
		any |= word[i];
	return !any;
}

void pt_checked_event(const struct pt_event *event)
{
	uint32_t cpu = pt_el2_self()->id;
	struct pt_event e = *event;

	sign(&e);
	if (e.kind == PT_EVENT_PAGE_GET || e.kind == PT_EVENT_PAGE_PUT)
		e.arg = is_zero(&e);
	take();
	feed(&e);
	release();
	if (e.kind == PT_EVENT_SECTION_END)
		selves[cpu].agent = 0;
	if (e.kind == PT_EVENT_OP_END) {
		selves[cpu].op = 0;
		selves[cpu].agent = selves[cpu].outer;
	}
}

void pt_checked_event_store(pt_pte *slot, pt_pte entry, enum pt_event_kind kind)
{
	struct pt_event e = {.kind = (uint8_t)kind, .at = (uintptr_t)slot, .hi = entry};

	sign(&e);
	take();
	e.lo = __atomic_load_n(slot, __ATOMIC_RELAXED);
	feed(&e);
	__atomic_store_n(slot, entry, __ATOMIC_RELEASE);
	release();
}

bool pt_checked_event_cas(pt_pte *slot, pt_pte *old, pt_pte entry, enum pt_event_kind kind)
{
	struct pt_event e = {.kind = (uint8_t)kind, .at = (uintptr_t)slot, .lo = *old, .hi = entry};

	sign(&e);
	take();
	e.arg = !__atomic_compare_exchange_n(slot, old, entry, false, __ATOMIC_ACQ_REL,
					     __ATOMIC_ACQUIRE);
	feed(&e);
	release();
	return !e.arg;
}

pt_pte pt_checked_event_load(const pt_pte *slot, enum pt_event_kind kind)
{
	struct pt_event e = {.kind = (uint8_t)kind, .at = (uintptr_t)slot};
	pt_pte value;

	sign(&e);
	take();
	value = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
	e.lo = e.hi = value;
	feed(&e);
	release();
	return value;
}

void pt_el2_event_tlbi(struct pt_port_mmu *mmu, const struct pt_geometry *geo,
		       const struct pt_tlbi *tlbi)
{
	struct pt_event e = {.kind = PT_EVENT_TLBI, .at = (uintptr_t)mmu, .tlbi = tlbi};

	pt_checked_event(&e);
	pt_el2_tlbi(geo, tlbi);
	e.kind = PT_EVENT_TLBI_DONE;
	pt_checked_event(&e);
}

void pt_el2_checked(struct pt_el2_checked *counts)
{
	take();
	*counts = (struct pt_el2_checked){.events = events};
	for (unsigned i = 0; check && i < PT_RULES; i++)
		counts->judged[i] = pt_check_judged(check, (enum pt_rule)i);
	counts->untracked = check ? pt_check_untracked(check) : 0;
	release();
}
#else
typedef int pt_el2_nothing_is_checked;
#endif
