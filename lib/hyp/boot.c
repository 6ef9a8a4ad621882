/* SPDX-License-Identifier: BSD-2-Clause */
/* EL2's boot order: read pt_hyp_boot() at the end first. */
#include "boot.h"

struct boot {
	const struct pt_hyp_plan *plan;
	struct pt_hyp_space *space;
	struct pt_hyp_early early;
	struct pt_pa units, data; /* the pool's metadata; the data of all CPUs */
};

static enum pt_outcome map(struct boot *b, uint64_t va, uint64_t size, uint64_t pa, uint32_t prot)
{
	enum pt_outcome outcome = pt_hyp_map(&b->space->map, NULL, va, size, pt_pa(pa), prot);

	return pt_is_error(outcome) ? outcome : PT_OK;
}

static enum pt_outcome take(struct boot *b, uint64_t bytes, struct pt_pa *pa)
{
	uint64_t page = pt__plan_granule(b->plan);

	return pt_hyp_early_take(&b->early, (bytes + page - 1) / page, pa);
}

/* The units come first: they hold the pool's first page for good. */
static enum pt_outcome divide_pool(struct boot *b)
{
	const struct pt_hyp_plan *p = b->plan;
	uint64_t units = p->pool.size >> PT_POOL_UNIT_SHIFT;
	enum pt_outcome outcome =
		pt_hyp_early_init(&b->early, p->args.port, p->pool.size, p->args.granule_shift);

	if (outcome == PT_OK && units > UINT32_MAX)
		return PT_INVALID;
	if (outcome == PT_OK)
		outcome = take(b, units * sizeof(struct pt_pool_unit), &b->units);
	return outcome == PT_OK ? take(b, p->cpus * p->data_bytes, &b->data) : outcome;
}

static enum pt_outcome make_map(struct boot *b)
{
	struct pt_hyp_args args = b->plan->args;

	args.early = &b->early;
	return pt_hyp_init(&b->space->map, NULL, &args);
}

static enum pt_outcome map_identity(struct boot *b)
{
	return map(b, b->plan->idmap, pt__plan_granule(b->plan), b->plan->idmap,
		   PT_PROT_R | PT_PROT_X);
}

/* pt_hyp_map() refuses a piece that is writable and executable. */
static enum pt_outcome map_image(struct boot *b)
{
	const struct pt_hyp_plan *p = b->plan;
	enum pt_outcome outcome = PT_OK;

	for (uint32_t i = 0; outcome == PT_OK && i < p->pieces; i++)
		outcome = map(b, p->image[i].pa + p->offset, p->image[i].size, p->image[i].pa,
			      p->image[i].prot);
	return outcome;
}

static enum pt_outcome map_pool(struct boot *b)
{
	const struct pt_hyp_plan *p = b->plan;

	return map(b, p->pool.pa + p->offset, p->pool.size, p->pool.pa, PT_PROT_RW);
}

/* Backs the records of each region; `done`: what the region before has backed already. */
static enum pt_outcome map_frames(struct boot *b)
{
	const struct pt_hyp_plan *p = b->plan;
	uint64_t done = 0, va, size;
	enum pt_outcome outcome = PT_OK;
	struct pt_pa pa;

	for (uint32_t i = 0; outcome == PT_OK && i < p->regions; i++) {
		pt__plan_records(p, p->region + i, &va, &size);
		if (i && va < done) {
			size -= done - va;
			va = done;
		}
		done = va + size;
		if (size)
			outcome = take(b, size, &pa);
		if (size && outcome == PT_OK)
			outcome = map(b, va, size, pa.v, PT_PROT_RW);
	}
	return outcome;
}

static enum pt_outcome take_private(struct boot *b, uint64_t size, uint64_t align, uint64_t *va)
{
	struct pt_hyp_space *s = b->space;
	uint64_t at = (s->private_next + align - 1) & ~(align - 1);

	if (at < s->private_next || at > s->private_end || size > s->private_end - at)
		return PT_NO_MEMORY;
	*va = at;
	s->private_next = at + size;
	return PT_OK;
}

/* The upper half of twice its size, so that the bit of an SP that ran out tells so (KVM does). */
static enum pt_outcome map_stack(struct boot *b, struct pt_hyp_cpu *cpu)
{
	uint64_t size = b->plan->stack_bytes, va;
	enum pt_outcome outcome = take_private(b, 2 * size, 2 * size, &va);
	struct pt_pa pa;

	if (outcome == PT_OK)
		outcome = take(b, size, &pa);
	if (outcome != PT_OK)
		return outcome;
	cpu->stack_top = va + 2 * size;
	return map(b, va + size, size, pa.v, PT_PROT_RW);
}

/* Mapped once for its tables; nobody has walked them yet. */
static enum pt_outcome map_window(struct boot *b, struct pt_hyp_cpu *cpu)
{
	uint64_t page = pt__plan_granule(b->plan);
	enum pt_outcome outcome = take_private(b, page, page, &cpu->window);
	struct pt__hyp_at at;

	if (outcome == PT_OK)
		outcome = map(b, cpu->window, page, b->plan->pool.pa, PT_PROT_RW);
	if (outcome != PT_OK)
		return outcome;
	pt__hyp_descend(&b->space->map, cpu->window, PT_LEVEL_LAST, &at);
	cpu->slot = at.slot;
	pt_pte_store(cpu->slot, 0);
	return PT_OK;
}

static enum pt_outcome map_cpus(struct boot *b)
{
	const struct pt_hyp_plan *p = b->plan;
	enum pt_outcome outcome = PT_OK;

	for (uint32_t i = 0; outcome == PT_OK && i < p->cpus; i++) {
		p->cpu[i].data = pt_hyp_linear(b->space, b->data) + i * p->data_bytes;
		outcome = map_stack(b, &p->cpu[i]);
		if (outcome == PT_OK)
			outcome = map_window(b, &p->cpu[i]);
	}
	return outcome;
}

static enum pt_outcome map_devices(struct boot *b)
{
	const struct pt_hyp_plan *p = b->plan;
	enum pt_outcome outcome = PT_MAPPED;

	for (uint32_t i = 0; outcome == PT_MAPPED && i < p->devices; i++)
		outcome = pt__hyp_private(b->space, NULL, pt_pa(p->device[i].pa), p->device[i].size,
					  PT_PROT(PT_PROT_RW, PT_MEM_DEVICE), &p->device[i].va);
	return outcome == PT_MAPPED ? PT_OK : outcome;
}

static void own(struct boot *b, uint64_t pa, uint64_t size)
{
	for (uint64_t at = pa; at < pa + size; at += UINT64_C(1) << PT_FRAME_SHIFT)
		pt_frame_at(&b->space->memory, at)->owner = PT_FRAME_HYP;
}

/* All but what EL2 keeps is the host's, the pages of the loader's table among it. */
static void own_frames(struct boot *b)
{
	const struct pt_hyp_plan *p = b->plan;

	for (uint32_t i = 0; i < p->pieces; i++)
		own(b, p->image[i].pa, p->image[i].size);
	own(b, p->pool.pa, p->pool.size);
}

/* The pool takes over. Each page that the early allocator gave, a table of EL2's among them, is a
 * page of the pool from here on (KVM: fix_hyp_pgtable_refcnt). */
static enum pt_outcome start_pool(struct boot *b, struct pt_world *world, struct pt_agent *agent)
{
	const struct pt_hyp_plan *p = b->plan;
	struct pt_port *port = p->args.port;
	uint64_t used = b->early.next - p->pool.pa;

	if (pt_hyp_early_left(&b->early))
		pt_port_zero(pt_port_table(port, pt_pa(b->early.next)),
			     pt_hyp_early_left(&b->early));
	pt_world_init(world);
	pt_pool_init(&world->pool, port, (struct pt_pool_unit *)pt_port_table(port, b->units),
		     (uint32_t)(p->pool.size >> PT_POOL_UNIT_SHIFT));
	pt_pool_adopt(&world->pool, p->args.granule_shift, (uint32_t)(used >> PT_POOL_UNIT_SHIFT));
	b->space->map.early = NULL;
	return pt_agent_join(world, agent);
}

enum pt_outcome pt_hyp_boot(struct pt_hyp_space *space, struct pt_world *world,
			    struct pt_agent *agent, const struct pt_hyp_plan *plan,
			    struct pt_hyp_region *returned)
{
	static enum pt_outcome (*const build[])(struct boot *) = {
		divide_pool, make_map,	 map_identity, map_image,
		map_pool,    map_frames, map_cpus,     map_devices,
	};
	struct boot b = {.plan = plan, .space = space};
	enum pt_outcome outcome = pt__plan_check(plan);

	*space = (struct pt_hyp_space){
		.memory = {.region = plan->region,
			   .regions = plan->regions,
			   .frame = (struct pt_frame *)(uintptr_t)plan->frames_va},
		.offset = plan->offset,
		.private_next = plan->private_va,
		.private_end = plan->private_va + plan->private_size};
	for (unsigned i = 0; outcome == PT_OK && i < sizeof(build) / sizeof(build[0]); i++)
		outcome = build[i](&b);
	if (outcome != PT_OK)
		return outcome;

	pt__hyp_note_use(&space->map, PT_EVENT_CTX_ACTIVATE);
	plan->switch_map(plan->arg, &space->map); /* from here on nothing fails */

	own_frames(&b);
	*returned = plan->loader;
	return start_pool(&b, world, agent);
}
