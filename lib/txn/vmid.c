/* SPDX-License-Identifier: BSD-2-Clause */
/* VMIDs: given at the first run, void after a rollover. */
#include "internal.h"

/*
 * Nobody names a number that may be another's by then. Who flushes reads the context's number and
 * issues its TLBI in one section, and numbers of a new generation are given only after the
 * sections that began in an older one. And nobody misses an entry: a flush that finds the number
 * void has changed its descriptors before it looked, a run that takes a new number walks after it
 * took it, with a full fence in between on both sides; and what was cached under the void number
 * went with the rollover.
 *
 * A CPU that is in a guest is in no section, and goes on filling its TLB under the number it was
 * given. So what is announced in `running` keeps its number over a rollover (Linux:
 * flush_context() and its reserved VMIDs); and a flush that finds a number void looks once more
 * under the lock, since the context's word and the generation are two stores. One context may stay
 * announced for good, whatever the CPUs run besides: the host's at EL2.
 */

#define NARROW_MAX 255u
#define WIDE_MAX   (65535u - NARROW_MAX)

static uint32_t count_up(struct pt_vmids *vmids, bool wide)
{
	if (wide)
		return vmids->wide < WIDE_MAX ? NARROW_MAX + ++vmids->wide : 0;
	return vmids->narrow < NARROW_MAX ? ++vmids->narrow : 0;
}

static bool is_kept(const struct pt_vmids *vmids, uint32_t number)
{
	for (uint32_t i = 0; i < vmids->kept_count; i++)
		if (vmids->kept[i] == number)
			return true;
	return false;
}

/* A free number of the current generation, or 0: none is left. The machine's lock is held. */
static uint32_t next_number(struct pt_vmids *vmids, bool wide)
{
	uint32_t number;

	do
		number = count_up(vmids, wide);
	while (number && is_kept(vmids, number));
	return number;
}

/* Contexts that CPUs are running take their number into generation `now`. */
static void keep_running(struct pt_machine *machine, uint64_t now)
{
	struct pt_vmids *vmids = &machine->vmids;

	vmids->kept_count = 0;
	for (uint32_t i = 0; i < PT_VMID_RUNS; i++) {
		struct pt_ctx *ctx = atomic_load(&vmids->running[i]);
		uint64_t word = ctx ? atomic_load(&ctx->vmid) : 0;
		uint16_t number = (uint16_t)word;

		if (!number || word >> 16 != (now >> 16) - 1 || is_kept(vmids, number))
			continue;
		vmids->kept[vmids->kept_count++] = number;
		atomic_store(&ctx->vmid, now | number);
		pt_port_note(PT_EVENT_VMID_KEPT, 0, machine, ctx, number, 0);
	}
}

static void roll_over(struct pt_machine *machine, const struct pt_agent *agent)
{
	struct pt_vmids *vmids = &machine->vmids;
	uint64_t now;

	vmids->narrow = vmids->wide = 0;
	vmids->flushing = vmids->draining = true;
	vmids->rollovers++;
	pt_port_note(PT_EVENT_VMID_ROLLOVER, 0, machine, NULL, 0, 0);
	now = atomic_fetch_add(&vmids->generation, UINT64_C(1) << 16) + (UINT64_C(1) << 16);
	keep_running(machine, now);
	pt_grace_begin(&vmids->grace, machine, agent);
}

/* PT_RACED: a rollover has begun, and its invalidation is the caller's to issue. */
static enum pt_outcome take(struct pt_ctx *ctx, const struct pt_agent *agent)
{
	struct pt_machine *machine = ctx->machine;
	struct pt_vmids *vmids = &machine->vmids;
	uint32_t number;

	if (vmids->draining && (vmids->flushing || !pt_grace_done(&vmids->grace, machine)))
		return PT_MORE;
	vmids->draining = false;
	if (pt_ctx_vmid(ctx))
		return PT_OK;
	number = next_number(vmids, ctx->vtcr_flags & PT_VTCR_VS);
	if (!number) {
		roll_over(machine, agent);
		return PT_RACED;
	}
	pt_port_note(PT_EVENT_VMID, 0, machine, ctx, number, 0);
	atomic_store(&ctx->vmid, atomic_load(&vmids->generation) | number);
	return PT_OK;
}

static void flush_all(struct pt_machine *machine)
{
	pt_port_tlbi(machine->mmu, NULL,
		     &(struct pt_tlbi){.kind = PT_TLBI_ALL, .level = PT_TTL_UNKNOWN});
	pt_port_lock(&machine->lock);
	machine->vmids.flushing = false;
	pt_port_unlock(&machine->lock);
}

static __attribute__((noinline)) enum pt_outcome get(struct pt_ctx *ctx, struct pt_agent *agent)
{
	struct pt_machine *machine = ctx->machine;
	enum pt_outcome outcome;

	do {
		pt_port_lock(&machine->lock);
		outcome = take(ctx, agent);
		pt_port_unlock(&machine->lock);
		if (outcome == PT_RACED)
			flush_all(machine);
	} while (outcome == PT_RACED);
	pt_port_fence_full(); /* the number before the walk */
	return outcome;
}

enum pt_outcome pt_vmid_get(struct pt_ctx *ctx, struct pt_agent *agent)
{
	return PT__LIKELY(pt_ctx_vmid(ctx)) ? PT_OK : get(ctx, agent);
}

static enum pt_outcome announce(struct pt_ctx *ctx, struct pt_agent *agent, uint32_t place)
{
	struct pt_vmids *vmids = &ctx->machine->vmids;
	enum pt_outcome outcome;

	atomic_store_explicit(&vmids->outside, true, memory_order_relaxed);
	do {
		outcome = pt_vmid_get(ctx, agent);
		atomic_store(&vmids->running[place], outcome == PT_OK ? ctx : NULL);
		pt_port_fence_full(); /* either a rollover sees it, or its generation is seen */
	} while (outcome == PT_OK && !pt_ctx_vmid(ctx));
	return outcome;
}

enum pt_outcome pt_vmid_run(struct pt_ctx *ctx, struct pt_agent *agent)
{
	return announce(ctx, agent, agent->id);
}

enum pt_outcome pt_vmid_keep(struct pt_ctx *ctx, struct pt_agent *agent)
{
	return announce(ctx, agent, PT_MAX_AGENTS);
}

void pt_vmid_stop(struct pt_machine *machine, const struct pt_agent *agent)
{
	atomic_store_explicit(&machine->vmids.running[agent->id], NULL, memory_order_release);
}

static uint16_t vmid_under_lock(const struct pt_ctx *ctx)
{
	struct pt_machine *machine = ctx->machine;
	uint16_t vmid;

	pt_port_lock(&machine->lock);
	vmid = pt_ctx_vmid(ctx);
	pt_port_unlock(&machine->lock);
	return vmid;
}

bool pt__vmid_flush(const struct pt_ctx *ctx, uint16_t *vmid)
{
	*vmid = pt_ctx_vmid(ctx);
	if (PT__LIKELY(*vmid))
		return true;
	pt_port_fence_full(); /* the descriptor before the number */
	*vmid = pt_ctx_vmid(ctx);
	if (*vmid || !atomic_load_explicit(&ctx->vmid, memory_order_relaxed))
		return *vmid;
	if (atomic_load_explicit(&ctx->machine->vmids.outside, memory_order_relaxed))
		*vmid = vmid_under_lock(ctx);
	return true;
}
