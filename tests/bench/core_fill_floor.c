/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What any fill of a shadow has to do, and nothing else: walk the guest's tables, find the entry in
 * each of two trees, claim the one, put a link into the list of the other's page under a lock,
 * fence, read the leaf and a count again, and exchange the claim for a leaf. No size but a page, no
 * rights, no memory type, nothing that comes or goes; nobody is asked, and nothing can fail.
 *
 * Words are asked for before they are needed, as in lib. Links and heads are arrays.
 */
#include "core.h"

#include <stdlib.h>

#define CLAIM	UINT64_C(2)
#define LEAF	UINT64_C(3)
#define ADDRESS (((UINT64_C(1) << 48) - 1) & ~UINT64_C(0xfff))
#define STRIPES 64

struct link {
	uint64_t neighbours, page;
};

struct bench_fill_floor {
	uint64_t (*table)[512];
	uint64_t first; /* where the guest's first table is, for it */
	struct link *link;
	uint64_t *head; /* the first link's number, plus 1 */
	struct {
		struct pt_port_lock lock;
		uint64_t entered;
	} stripe[STRIPES];
	uint64_t count;
};

struct bench_fill_floor *bench_fill_floor_open(uint64_t (*table)[512], uint64_t first,
					       uint64_t pages)
{
	struct bench_fill_floor *f = calloc(1, sizeof(*f));

	check(f != NULL, "memory for the bench", 0, 1);
	f->table = table;
	f->first = first;
	f->link = calloc(pages, sizeof(*f->link));
	f->head = calloc(pages, sizeof(*f->head));
	check(f->link && f->head, "memory for the bench", 0, pages);
	return f;
}

void bench_fill_floor_close(struct bench_fill_floor *f)
{
	free(f->link);
	free(f->head);
	free(f);
}

static inline uint64_t entry(struct bench_fill_floor *f, uint64_t table, uint64_t index)
{
	return __atomic_load_n(&f->table[table / 4096][index], __ATOMIC_ACQUIRE);
}

static inline uint64_t walk(struct bench_fill_floor *f, uint64_t ipa)
{
	uint64_t e = entry(f, 0, ipa >> 30);

	e = entry(f, (e & ADDRESS) - f->first, ipa >> 21 & 511);
	return entry(f, (e & ADDRESS) - f->first, ipa >> 12 & 511) & ADDRESS;
}

static inline void enter(struct bench_fill_floor *f, uint64_t i, uint64_t page)
{
	struct link *link = &f->link[i];
	uint64_t stripe = page % STRIPES, next;

	pt_port_lock(&f->stripe[stripe].lock);
	next = f->head[page];
	if (next)
		f->link[next - 1].neighbours |= (i + 1) << 32;
	*link = (struct link){next, page};
	f->head[page] = i + 1;
	f->stripe[stripe].entered++;
	pt_port_unlock(&f->stripe[stripe].lock);
}

void bench_fill_floor_one(struct bench_fill_floor *f, const struct pt_port *port,
			  const struct pt_ctx *canonical, const struct pt_ctx *shadow, uint64_t ipa)
{
	uint64_t i = (ipa - BASE) / 4096, count = __atomic_load_n(&f->count, __ATOMIC_ACQUIRE), at;
	pt_pte *slot = bench_slot_of(shadow, port, ipa), *from, leaf, old = 0, claim = CLAIM;

	pt_port_prefetch(slot);
	pt_port_prefetch(&f->link[i].neighbours);
	at = walk(f, ipa);
	pt_port_prefetch(&f->head[(at - BASE) / 4096]);
	from = bench_slot_of(canonical, port, at);
	leaf = pt_pte_load(from);
	check_eq("floor: claimed", pt_pte_cas(slot, &old, claim), true);
	enter(f, i, (at - BASE) / 4096);
	pt_port_fence_full();
	check_eq("floor: as it was",
		 pt_pte_load(from) == leaf && __atomic_load_n(&f->count, __ATOMIC_ACQUIRE) == count,
		 true);
	check_eq("floor: made", pt_pte_cas(slot, &claim, (leaf & ADDRESS) | LEAF), true);
}

void bench_fill_floor_clear(struct bench_fill_floor *f, const struct pt_port *port,
			    const struct pt_ctx *shadow, uint64_t ipa)
{
	uint64_t i = (ipa - BASE) / 4096;
	pt_pte *slot = bench_slot_of(shadow, port, ipa);

	check_eq("floor: its leaf", pt_pte_load(slot) & LEAF, LEAF);
	check_eq("floor: its link", f->link[i].page, i);
	f->head[f->link[i].page] = 0;
	pt_pte_store(slot, 0);
}
