/* SPDX-License-Identifier: BSD-2-Clause */
/* The fixture of the suites at EL2. */
#include <pt/upkeep.h>

#include "stage2.h"

#define TABLE_BYTES (UINT64_C(16) << 20)
#define UNITS	    (TABLE_BYTES >> PT_POOL_UNIT_SHIFT)

/* With 52 bits 4K LPA2 begins with 16 tables of level 0, or at level -1. */
const struct s2_shape s2_shapes[S2_SHAPES] = {
	{.name = "4K", .granule_shift = 12},
	{.name = "16K", .granule_shift = 14},
	{.name = "64K", .granule_shift = 16},
	{.name = "4K LPA2", .granule_shift = 12, .ds = true},
	{.name = "4K LPA2 from level -1",
	 .granule_shift = 12,
	 .ds = true,
	 .start_level_given = true,
	 .start_level = -1},
	{.name = "16K LPA2", .granule_shift = 14, .ds = true, .ipa_bits = 48},
	{.name = "16K LPA2 from level 0", .granule_shift = 14, .ds = true, .qemu = 8},
};

__attribute__((section(".region.tables"),
	       aligned(1 << 21))) static unsigned char tables[TABLE_BYTES];
__attribute__((section(".region.memory"),
	       aligned(1 << 21))) static unsigned char memory[S2_RAM_BYTES];
static struct pt_pool_unit units[UNITS];
static bool clean; /* the tables are zero: whoever gave them back left them so */

void assert_outcome(enum pt_outcome expected, enum pt_outcome actual, const char *file, int line)
{
	if (expected == actual)
		return;
	print_error("%s:%d: expected %s, got %s\n", file, line, pt_outcome_info(expected)->name,
		    pt_outcome_info(actual) ? pt_outcome_info(actual)->name : "?");
	_fail(file, line);
}

uint64_t *s2_memory(uint64_t offset)
{
	return (uint64_t *)(void *)(memory + offset);
}

uint64_t s2_pa(uint64_t offset)
{
	return (uintptr_t)memory + offset;
}

static void open_world(struct stage2 *s, unsigned pa_bits)
{
	s->port = (struct pt_port){.table_va = tables,
				   .table_pa = (uintptr_t)tables,
				   .table_bytes = TABLE_BYTES,
				   .memory_pa = (uintptr_t)memory,
				   .memory_bytes = S2_RAM_BYTES};
	if (!clean)
		pt_port_zero(tables, TABLE_BYTES);
	clean = false;
	memset(units, 0, sizeof(units));
	pt_world_init(&s->world);
	pt_pool_init(&s->world.pool, &s->port, units, UNITS);
	for (uint32_t i = 0; i < S2_VCPUS; i++) {
		s->vcpu[i].s = s;
		s->vcpu[i].id = i;
		ASSERT_OUTCOME(PT_OK, pt_agent_join(&s->world, &s->vcpu[i].agent));
	}
	pt_machine_init(&s->machine, &s->world, &s->port, NULL, pa_bits);
}

static void add_slot(struct stage2 *s, uint64_t ipa, uint64_t size, uint64_t pa, uint32_t flags)
{
	uint32_t n = s->slots->count++;

	s->slots->slot[n] = (struct pt_slot){
		.ipa = ipa, .size = size, .pa = pa, .id = n, .flags = flags, .backing_shift = 21};
}

static void add_slots(struct stage2 *s)
{
	static _Alignas(struct pt_slots) unsigned char
		room[sizeof(struct pt_slots) + 4 * sizeof(struct pt_slot)];

	s->slots = (struct pt_slots *)(void *)room;
	s->slots->count = 0;
	add_slot(s, S2_CODE, (uint64_t)(pt_el2_guest_end - pt_el2_guest), (uintptr_t)pt_el2_guest,
		 PT_SLOT_READ_ONLY);
	add_slot(s, S2_RAM, S2_RAM_BYTES, s2_pa(0), 0);
	add_slot(s, S2_READ_ONLY, PT_SZ_2M, s2_pa(0), PT_SLOT_READ_ONLY);
	add_slot(s, S2_NO_EXEC, PT_SZ_2M, s2_pa(0), PT_SLOT_NO_EXEC);
	pt_ctx_set_slots(&s->ctx, s->slots);
}

bool s2_open(struct stage2 *s, const struct s2_shape *shape)
{
	struct pt_geometry_args args;
	struct pt_geometry geo;

	if (pt_el2_geometry_args(&args, shape->granule_shift, shape->ds) != PT_OK ||
	    s2_qemu() < shape->qemu)
		return false;
	args.start_level_given = shape->start_level_given;
	args.start_level = shape->start_level;
	if (shape->ipa_bits)
		args.ipa_bits = shape->ipa_bits;
	memset(s, 0, sizeof(*s));
	open_world(s, args.pa_bits);
	ASSERT_OUTCOME(PT_OK, pt_geometry_init(&geo, &args));
	pt_section_begin(&s->vcpu[0].agent);
	ASSERT_OUTCOME(PT_OK, pt_ctx_init(&s->ctx, &s->vcpu[0].agent, &s->machine, &geo,
					  pt_el2_attrs() & ~PT_ATTR_BBM(3),
					  pt_el2_vtcr_flags() | shape->vtcr_flags, UINT64_MAX));
	pt_section_end(&s->vcpu[0].agent);
	add_slots(s);
	s2_load(&s->vcpu[0]);
	ASSERT_OUTCOME(PT_MAPPED, s2_map(s, S2_CODE, (uint64_t)(pt_el2_guest_end - pt_el2_guest),
					 (uintptr_t)pt_el2_guest, PT_PROT_R | PT_PROT_X, 0));
	return true;
}

static enum pt_outcome run(struct stage2 *s, struct pt_txn *txn)
{
	struct pt_agent *agent = &s->vcpu[0].agent;
	enum pt_outcome outcome;

	do {
		pt_section_begin(agent);
		outcome = pt_txn_step(txn, agent, 512);
		pt_section_end(agent);
	} while (outcome == PT_MORE);
	return outcome;
}

void s2_close(struct stage2 *s)
{
	static struct pt_txn txn;

	s2_unload(&s->vcpu[0]); /* a root is not loaded when it goes */
	ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&txn, &s->ctx, NULL));
	ASSERT_OUTCOME(PT_OK, run(s, &txn));
	while (pt_reclaim(&s->vcpu[0].agent))
		continue;
	assert_int_equal(atomic_load(&s->ctx.table_pages), 0);
	assert_int_equal(atomic_load(&s->world.pool.used_bytes), 0);
	for (uint32_t i = 0; i < S2_VCPUS; i++)
		pt_agent_leave(&s->vcpu[i].agent);
	pt_port_note(PT_EVENT_MEMORY_GONE, 0, tables, NULL, TABLE_BYTES, 0);
	clean = true;
}

/* With DC the guest's accesses are Normal write-back while its stage 1 is off, so that the type of
 * stage 2 shows. */
void s2_load(struct s2_vcpu *v)
{
	struct pt_ctx *ctx = &v->s->ctx;
	enum pt_outcome outcome;

	do {
		pt_section_begin(&v->agent);
		pt_machine_use(&v->s->machine, &v->agent);
		outcome = pt_vmid_get(ctx, &v->agent);
		pt_section_end(&v->agent);
	} while (outcome == PT_MORE);
	pt_port_note(PT_EVENT_CTX_ACTIVATE, v->id, NULL, ctx, ctx->root.v, pt_ctx_vmid(ctx));
	pt_el2_write_vtcr_el2(pt_ctx_vtcr(ctx));
	pt_el2_write_vttbr_el2(pt_ctx_vttbr(ctx));
	pt_el2_write_hcr_el2(PT_HCR_RW | PT_HCR_DC | PT_HCR_VM |
			     (pt_el2_features.fwb ? PT_HCR_FWB : 0));
	pt_el2_isb();
}

void s2_unload(struct s2_vcpu *v)
{
	pt_port_note(PT_EVENT_CTX_DEACTIVATE, v->id, NULL, &v->s->ctx, 0, 0);
	pt_el2_write_hcr_el2(PT_HCR_RW);
	pt_el2_write_vttbr_el2(0);
	pt_el2_isb();
}

static enum pt_outcome range(struct stage2 *s, struct pt_item item)
{
	static struct pt_txn txn;
	enum pt_outcome outcome = pt_item_check(&item);

	if (outcome != PT_OK)
		return outcome;
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
	outcome = run(s, &txn);
	return outcome == PT_OK ? (enum pt_outcome)item.outcome : outcome;
}

enum pt_outcome s2_map(struct stage2 *s, uint64_t ipa, uint64_t size, uint64_t pa, uint32_t prot,
		       uint32_t flags)
{
	return range(s, (struct pt_item){.ctx = &s->ctx,
					 .ipa = {ipa},
					 .size = size,
					 .pa = {pa},
					 .prot = prot,
					 .flags = flags,
					 .kind = PT_ITEM_MAP});
}

enum pt_outcome s2_unmap(struct stage2 *s, uint64_t ipa, uint64_t size)
{
	return range(s, (struct pt_item){
				.ctx = &s->ctx, .ipa = {ipa}, .size = size, .kind = PT_ITEM_UNMAP});
}

enum pt_outcome s2_protect(struct stage2 *s, uint64_t ipa, uint64_t size, uint32_t prot)
{
	return range(s, (struct pt_item){.ctx = &s->ctx,
					 .ipa = {ipa},
					 .size = size,
					 .prot = prot,
					 .kind = PT_ITEM_PROTECT});
}

uint64_t s2_age(struct stage2 *s, uint64_t ipa, uint64_t size, bool clear, uint8_t *bitmap)
{
	static struct pt_upkeep upkeep;
	const struct pt_upkeep_args args = {.ctx = &s->ctx,
					    .kind = PT_UPKEEP_AGE,
					    .ipa = {ipa},
					    .size = size,
					    .clear = clear,
					    .bitmap = bitmap};
	enum pt_outcome outcome;

	ASSERT_OUTCOME(PT_OK, pt_upkeep_init(&upkeep, &args, NULL));
	do {
		pt_section_begin(&s->vcpu[0].agent);
		outcome = pt_upkeep_step(&upkeep, &s->vcpu[0].agent, 16);
		pt_section_end(&s->vcpu[0].agent);
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
	return upkeep.young;
}

static uint8_t fault_type(enum hw_fault fault)
{
	if (fault == HW_TRANSLATION)
		return PT_FAULT_TRANSLATION;
	return fault == HW_ACCESS_FLAG ? PT_FAULT_ACCESS_FLAG : PT_FAULT_PERMISSION;
}

/* One exception is one section. */
static bool resolve(void *arg, const struct pt_el2_abort *abort)
{
	struct s2_vcpu *v = arg;
	struct pt_fault_result result;
	struct hw_abort what;
	struct pt_fault fault;

	if (!v->first.esr)
		v->first = *abort;
	if (!v->handle || !hw_decode_abort(abort->esr, &what))
		return false;
	fault = (struct pt_fault){.ipa = pt_ipa(abort->ipa),
				  .vcpu = v->id,
				  .access = (uint8_t)what.access,
				  .type = fault_type(what.fault),
				  .level = what.level,
				  .s1ptw = what.s1ptw};
	pt_section_begin(&v->agent);
	pt_machine_use(&v->s->machine, &v->agent);
	v->outcome = pt_fault_handle(&v->agent, &v->s->ctx, &fault, &result);
	pt_section_end(&v->agent);
	v->mapped += v->outcome == PT_MAPPED;
	v->lost += v->outcome == PT_ALREADY_MAPPED || v->outcome == PT_RACED;
	return v->outcome == PT_MAPPED || v->outcome == PT_ALREADY_MAPPED ||
	       v->outcome == PT_RELAXED || v->outcome == PT_MADE_YOUNG || v->outcome == PT_RACED ||
	       v->outcome == PT_PARKED;
}

enum pt_el2_why s2_guest(struct s2_vcpu *v, void (*code)(void), uint64_t a, uint64_t b, uint64_t c,
			 struct pt_el2_exit *exit)
{
	const struct pt_el2_entry entry = {.pc = S2_CODE +
						 ((uintptr_t)code - (uintptr_t)pt_el2_guest),
					   .x0 = a,
					   .x1 = b,
					   .x2 = c,
					   .on_abort = resolve,
					   .abort_arg = v};

	v->first = (struct pt_el2_abort){0};
	v->outcome = PT_OK;
	pt_el2_run(&entry, exit);
	return exit->why;
}

struct remote {
	struct s2_vcpu *v;
	void (*code)(void);
	uint64_t a, b;
	struct pt_el2_exit *exit;
};

static void run_remote(void *arg)
{
	struct remote *r = arg;

	s2_guest(r->v, r->code, r->a, r->b, 0, r->exit);
}

enum pt_el2_why s2_guest_on(struct s2_vcpu *v, void (*code)(void), uint64_t a, uint64_t b,
			    struct pt_el2_exit *exit)
{
	struct remote r = {v, code, a, b, exit};

	if (v->id == pt_el2_self()->id) {
		run_remote(&r);
	} else {
		pt_el2_cpu_run(v->id, run_remote, &r);
		pt_el2_cpu_wait(v->id);
	}
	return exit->why;
}

static bool bus_read(void *arg, uint64_t pa, uint64_t *descriptor)
{
	const struct pt_port *port = arg;

	if (pa < port->table_pa || pa - port->table_pa >= port->table_bytes)
		return false;
	*descriptor = *(const volatile uint64_t *)(uintptr_t)pa;
	return true;
}

/* An update that is not made. */
static bool bus_pretend(void *arg, uint64_t pa, uint64_t old, uint64_t want)
{
	(void)arg;
	(void)pa;
	(void)old;
	(void)want;
	return true;
}

struct hw_result s2_walk(struct stage2 *s, uint64_t ipa, enum hw_access access)
{
	struct hw_regs regs = {.vtcr = pt_ctx_vtcr(&s->ctx),
			       .vttbr = pt_ctx_vttbr(&s->ctx),
			       .fwb = pt_el2_features.fwb,
			       .xnx = pt_el2_features.xnx};
	struct hw_bus bus = {.read = bus_read, .cas = bus_pretend, .arg = &s->port};
	struct hw_result result;

	hw_walk(&regs, &bus, ipa, access, false, &result);
	return result;
}

uint64_t s2_at(uint64_t ipa, bool write)
{
	if (write)
		__asm__ volatile("at s12e1w, %0\n\tisb" ::"r"(ipa) : "memory");
	else
		__asm__ volatile("at s12e1r, %0\n\tisb" ::"r"(ipa) : "memory");
	return pt_el2_read_par_el1();
}

void s2_expect_par(uint64_t ipa, bool write, uint64_t par, const struct hw_result *r)
{
	struct hw_syndrome syndrome;
	uint64_t seen, wanted;

	el2_compared++;
	if (r->fault == HW_NO_FAULT) {
		/* PA[51:12] in place; F 0 */
		seen = par & UINT64_C(0x000ffffffffff001);
		wanted = r->pa & UINT64_C(0x000ffffffffff000);
	} else {
		/* F 1, FST in 6:1, S 1: a fault of stage 2 */
		hw_syndrome(r, ipa, write ? HW_WRITE : HW_READ, false, 0, &syndrome);
		seen = par & 0x27f;
		wanted = 0x201 | (syndrome.esr & 0x3f) << 1;
	}
	if (seen == wanted)
		return;
	print_error("AT S12E1%c of 0x%lx: PAR_EL1 0x%lx, expected 0x%lx\n", write ? 'W' : 'R',
		    (unsigned long)ipa, (unsigned long)par, (unsigned long)wanted);
	fail();
}

void s2_compare_at(struct stage2 *s, uint64_t ipa)
{
	struct hw_result r = s2_walk(s, ipa, HW_READ), w = s2_walk(s, ipa, HW_WRITE);

	s2_expect_par(ipa, false, s2_at(ipa, false), &r);
	s2_expect_par(ipa, true, s2_at(ipa, true), &w);
}

/* The registers that the access goes through are not the walker's business: SRT and its friends. */
#define ESR_COMPARED (~(UINT64_C(0x7ff) << 14))

void s2_compare_access(struct stage2 *s, uint64_t ipa, enum hw_access access)
{
	static void (*const code[])(void) = {
		[HW_READ] = guest_load, [HW_WRITE] = guest_store, [HW_EXEC] = guest_exec};
	struct hw_result r = s2_walk(s, ipa, access);
	struct s2_vcpu *v = &s->vcpu[0];
	struct hw_syndrome wanted;
	struct pt_el2_exit exit;
	enum pt_el2_why why;

	v->handle = false;
	why = s2_guest(v, code[access], ipa, 0, 0, &exit);
	el2_compared++;
	if (r.fault == HW_NO_FAULT) {
		assert_int_equal(why, PT_EL2_HVC);
		return;
	}
	hw_syndrome(&r, ipa, access, false, 8, &wanted);
	assert_int_equal(why, PT_EL2_ABORT);
	assert_int_equal(exit.abort.esr & ESR_COMPARED, wanted.esr & ESR_COMPARED);
	assert_int_equal(exit.abort.far, wanted.far);
	if (wanted.hpfar_known)
		assert_int_equal(exit.abort.hpfar, wanted.hpfar);
	assert_int_equal(exit.abort.ipa, ipa);
}

bool s2_say_checked(void)
{
#ifdef PT_CHECKED
	struct pt_el2_checked counts;

	pt_el2_checked(&counts);
	printf("# checked: %lu events, T1 %lu, T4 %lu, T6 %lu, W3 %lu, W4 %lu\n",
	       (unsigned long)counts.events, (unsigned long)counts.judged[PT_RULE_T1],
	       (unsigned long)counts.judged[PT_RULE_T4], (unsigned long)counts.judged[PT_RULE_T6],
	       (unsigned long)counts.judged[PT_RULE_W3], (unsigned long)counts.judged[PT_RULE_W4]);
	return !counts.untracked;
#else
	return true;
#endif
}

int s2_main(const struct CMUnitTest *tests, size_t count)
{
	int failed = el2_run_group(tests, count, NULL, NULL);

	return s2_say_checked() ? failed : 1;
}

unsigned long s2_qemu(void)
{
	const char *version = getenv("QEMU");

	assert_non_null(version);
	return strtoull(version, NULL, 10);
}

uint64_t s2_seed(void)
{
	const char *text = getenv("PTD_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : 20261121;

	print_message("PTD_SEED=%lu\n", (unsigned long)seed);
	return seed ? seed : 1;
}

uint64_t s2_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}
