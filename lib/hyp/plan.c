/* SPDX-License-Identifier: BSD-2-Clause */
/* Does what the loader says fit together? Nothing is written. */
#include "boot.h"

/* Half-open, of physical or of virtual addresses. */
struct range {
	uint64_t lo, size;
};

static bool meet(struct range a, struct range b)
{
	return a.size && b.size && a.lo < b.lo + b.size && b.lo < a.lo + a.size;
}

static bool has(struct range a, uint64_t lo, uint64_t size)
{
	return pt_hyp_region_has(&(struct pt_hyp_region){a.lo, a.size}, lo, size);
}

/* A multiple of the granule, inside one region. */
static enum pt_outcome check_physical(const struct pt_hyp_plan *p, struct range r)
{
	struct pt_hyp_memory memory = {.region = p->region, .regions = p->regions};

	if (!r.size || r.lo + r.size < r.lo)
		return PT_INVALID;
	if ((r.lo | r.size) & (pt__plan_granule(p) - 1))
		return PT_MISALIGNED;
	return pt_hyp_region_of(&memory, r.lo, r.size) ? PT_OK : PT_OUT_OF_RANGE;
}

/* The i-th of the physical ranges: pieces, pool, loader's table. */
static struct range physical(const struct pt_hyp_plan *p, uint32_t i)
{
	if (i < p->pieces)
		return (struct range){p->image[i].pa, p->image[i].size};
	return i == p->pieces ? (struct range){p->pool.pa, p->pool.size}
			      : (struct range){p->loader.pa, p->loader.size};
}

static enum pt_outcome check_memory(const struct pt_hyp_plan *p)
{
	enum pt_outcome outcome =
		pt_hyp_regions_check(p->region, p->regions, pt__plan_granule(p), p->args.pa_bits);

	for (uint32_t i = 0; outcome == PT_OK && i < p->pieces + 2; i++) {
		outcome = check_physical(p, physical(p, i));
		for (uint32_t j = 0; outcome == PT_OK && j < i; j++)
			if (meet(physical(p, i), physical(p, j)))
				outcome = PT_OVERLAP;
	}
	if (outcome == PT_OK && p->pool.pa != p->args.port->table_pa)
		return PT_INVALID;
	return outcome;
}

/* The identity page holds code of EL2. */
static enum pt_outcome check_idmap(const struct pt_hyp_plan *p)
{
	if (p->idmap & (pt__plan_granule(p) - 1))
		return PT_MISALIGNED;
	for (uint32_t i = 0; i < p->pieces; i++)
		if (has(physical(p, i), p->idmap, pt__plan_granule(p)))
			return p->image[i].prot & PT_PROT_X ? PT_OK : PT_INVALID;
	return PT_INVALID;
}

/* The records of one region. */
static struct range records(const struct pt_hyp_plan *p, const struct pt_hyp_region *r)
{
	uint64_t lo, size;

	pt__plan_records(p, r, &lo, &size);
	return (struct range){lo, size};
}

static struct range linear(const struct pt_hyp_plan *p, const struct pt_hyp_region *r)
{
	return (struct range){r->pa + p->offset, r->size};
}

/* The i-th of the virtual ranges: private, identity page, then two for each region. */
static struct range virtual(const struct pt_hyp_plan *p, uint32_t i)
{
	if (i == 0)
		return (struct range){p->private_va, p->private_size};
	if (i == 1) /* with offset 0 a part of the linear map */
		return (struct range){p->idmap, p->offset ? pt__plan_granule(p) : 0};
	i -= 2;
	return i % 2 ? records(p, p->region + i / 2) : linear(p, p->region + i / 2);
}

/* Records of neighbours may share a page. */
static bool both_records(uint32_t i, uint32_t j)
{
	return i > 1 && j > 1 && i % 2 && j % 2;
}

static enum pt_outcome check_virtual(const struct pt_hyp_plan *p)
{
	uint64_t end = UINT64_C(1) << p->args.va_bits, block = pt__plan_granule(p)
							       << (p->args.granule_shift - 3);

	if ((p->private_va | p->private_size) & (block - 1) ||
	    (p->offset | p->frames_va) & (pt__plan_granule(p) - 1))
		return PT_MISALIGNED;
	for (uint32_t i = 0; i < 2 + 2 * p->regions; i++) {
		struct range r = virtual(p, i);

		if (r.size && !has((struct range){0, end}, r.lo, r.size))
			return PT_OUT_OF_RANGE;
		for (uint32_t j = 0; j < i; j++)
			if (!both_records(i, j) && meet(r, virtual(p, j)))
				return PT_OVERLAP;
	}
	return PT_OK;
}

static enum pt_outcome check_cpus(const struct pt_hyp_plan *p)
{
	if (!p->cpus || !p->data_bytes || !p->stack_bytes ||
	    p->stack_bytes & (p->stack_bytes - 1) || p->stack_bytes > PT_SZ_1G ||
	    p->data_bytes > PT_SZ_1G)
		return PT_INVALID;
	return (p->data_bytes | p->stack_bytes) & (pt__plan_granule(p) - 1) ? PT_MISALIGNED : PT_OK;
}

enum pt_outcome pt__plan_check(const struct pt_hyp_plan *p)
{
	enum pt_outcome outcome = pt__hyp_args_check(&p->args);

	if (outcome == PT_OK)
		outcome = check_memory(p);
	if (outcome == PT_OK)
		outcome = check_idmap(p);
	if (outcome == PT_OK)
		outcome = check_virtual(p);
	return outcome == PT_OK ? check_cpus(p) : outcome;
}
