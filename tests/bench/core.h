/* SPDX-License-Identifier: BSD-2-Clause */
/* What the programs that time or count the core share: one context over one pool, with everything
 * that a phase needs. */
#ifndef BENCH_CORE_H
#define BENCH_CORE_H

#include <pt/fault.h>
#include <pt/host/memory.h>
#include <pt/host/vcpu.h>
#include <pt/txn.h>
#include <pt/upkeep.h>
#include <pt/walk.h>

#define GIB	      (UINT64_C(1) << 30)
#define BASE	      GIB	/* where the range begins, */
#define BASE_PA	      (4 * GIB) /* and what it maps */
#define STEP_BUDGET   65536 /* descriptor visits a step: one section holds a few ranges of a call */
#define SECTION_CALLS 64

enum row {
	MAP_RANGE,
	WRPROTECT,
	GET_LEAF,
	RELAX,
	AGE,
	MKYOUNG,
	UNMAP_RANGE,
	FAULT_MAP,
	FAULT_MAP_SECTION,
	RELAX_SINGLE,
	MKYOUNG_SINGLE,
	MAP_SINGLE,
	UNMAP_SINGLE,
	BARE_LOAD,
	BARE_CAS,
	BARE_STORE,
	MAP_PAGE,
	UNMAP_PAGE,
	BLOCK,
	OWNER,
	ROWS
};

extern const char *const row_name[ROWS];

/* One context over one pool, with everything that a phase needs. */
struct bench {
	struct pt_host_tables tables;
	struct pt_port port;
	struct pt_port_mmu mmu;
	struct pt_agent agent;
	struct pt_machine machine;
	struct pt_ctx ctx;
	struct pt_slots *slots;
	uint32_t *order;	    /* the pages in random order */
	uint64_t size, pages, page; /* of the range, in bytes; pages in it; bytes of a page */
	double best[ROWS];
};

/* Prints what differs and ends the program. */
void check(bool ok, const char *what, uint64_t got, uint64_t want);
void check_eq(const char *what, uint64_t got, uint64_t want);
double now_ns(void);
double cpu_ns(void); /* of this thread */
/* Keeps the best of all rounds: the time since `since`, a unit. */
void note(struct bench *b, enum row row, double since, uint64_t units);
/* The same generator and shuffle as the peer's, so that both see one permutation. */
uint64_t random_next(uint64_t *seed);
uint32_t *shuffled(uint64_t count);

/* `size` bytes at BASE, backed by a slot, start level 1 at 4K. */
struct bench_args {
	unsigned granule_shift;
	uint32_t vcpus;
	unsigned ipa_bits;    /* 0: 40, at 4K from level 1 */
	uint64_t size;	      /* of the range that the rows work on */
	uint64_t table_bytes; /* of the pool */
	unsigned vtcr_flags;  /* PT_VTCR_* */
	bool untouched;	      /* table memory is not written beforehand */
};

void bench_open(struct bench *b, const struct bench_args *args);
void bench_close(struct bench *b);
void section_begin(struct bench *b);

/* Closes the section and opens the next one after each SECTION_CALLS calls. */
static inline void section_turn(struct bench *b, uint64_t i)
{
	if (i % SECTION_CALLS == SECTION_CALLS - 1) {
		pt_section_end(&b->agent);
		section_begin(b);
	}
}

/* Run one range to its end, freed tables included. */
struct pt_effects run_range(struct bench *b, struct pt_item *item);
struct pt_effects map(struct bench *b, uint64_t ipa, uint64_t size, uint64_t pa, uint32_t flags);
struct pt_effects unmap(struct bench *b, uint64_t ipa, uint64_t size);
struct pt_effects write_protect(struct bench *b, uint64_t ipa, uint64_t size);
struct pt_effects annotate(struct bench *b, uint64_t ipa, uint64_t size, pt_pte note);
/* SECTION_CALLS items in a section, as the daemon's Apply does them; returns how many leaves were
 * written or removed. */
uint64_t points(struct pt_agent *agent, struct pt_item *item, struct pt_effects *effects);
/* One fault; and SECTION_CALLS in a section, as the daemon's Session handles them. */
static inline struct pt_fault_page fault_one(struct bench *b, const struct pt_fault *fault)
{
	struct pt_fault_result r;
	enum pt_outcome o = pt_fault_handle(&b->agent, &b->ctx, fault, &r);

	return (struct pt_fault_page){o, r.prot, r.pa};
}
void faults(struct bench *b, const struct pt_fault *fault, struct pt_fault_page *page);
/* Tests and clears the access flags; returns how many pages were young. */
uint64_t age(struct bench *b, uint64_t ipa, uint64_t size);
/* The tree holds exactly `pages` leaves of level 3 and none elsewhere. */
void check_leaves(struct bench *b, const char *after, uint64_t pages);

/* All rows once; and those that hardware dirty state changes. */
void bench_round(struct bench *b);
void bench_round_dirty(struct bench *b);

/* Of a range that is mapped with pages; changes nothing: core_bare.c. */
void bench_bare(struct bench *b);

/* core_floor.c: what any transition of a page has to do, over an index of so many extents of a
 * page, `apart` pages from each other; there are two of them. part: page `page` of memory, between
 * two extents, goes from one to the other tree (bits: returns what the other one had there); join:
 * out of the index again. */
struct bench_floor;
struct bench_floor *bench_floor_open(uint64_t extents, uint64_t apart);
void bench_floor_close(struct bench_floor *floor);
void bench_floor_part_sorted(struct bench_floor *floor, const struct pt_ctx *host, uint64_t pa,
			     const struct pt_ctx *guest, uint64_t ipa, const struct pt_port *port,
			     uint64_t page);
void bench_floor_join_sorted(struct bench_floor *floor, uint64_t page);
pt_pte bench_floor_part_bits(struct bench_floor *floor, const struct pt_ctx *host, uint64_t pa,
			     const struct pt_ctx *guest, uint64_t ipa, const struct pt_port *port,
			     uint64_t page);
void bench_floor_join_bits(struct bench_floor *floor, uint64_t page);

/* core_fill_floor.c: what any fill of a page of [BASE, BASE + pages * 4 KiB) has to do. The tables
 * of both contexts are there, the guest's in `table`, the first of which it has at `first`. */
struct bench_fill_floor;
struct bench_fill_floor *bench_fill_floor_open(uint64_t (*table)[512], uint64_t first,
					       uint64_t pages);
void bench_fill_floor_close(struct bench_fill_floor *floor);
void bench_fill_floor_one(struct bench_fill_floor *floor, const struct pt_port *port,
			  const struct pt_ctx *canonical, const struct pt_ctx *shadow,
			  uint64_t ipa);
/* Its leaf is gone again, which it was. */
void bench_fill_floor_clear(struct bench_fill_floor *floor, const struct pt_port *port,
			    const struct pt_ctx *shadow, uint64_t ipa);

/* The entry of a table of 4 KiB pages below two levels, which are there. */
static inline pt_pte *bench_slot_of(const struct pt_ctx *ctx, const struct pt_port *port,
				    uint64_t ipa)
{
	const pt_pte mask = ((UINT64_C(1) << 48) - 1) & ~UINT64_C(0xfff);
	pt_pte e = pt_pte_load(pt_port_table(port, ctx->root) + (ipa >> 30));

	e = pt_pte_load(pt_port_table(port, pt_pa(e & mask)) + (ipa >> 21 & 511));
	return pt_port_table(port, pt_pa(e & mask)) + (ipa >> 12 & 511);
}

/* Groups of rows that print their results themselves: core_threads.c, core_contexts.c,
 * core_large.c. */
void bench_threads(void);
/* A shadow's fill beside a fault and a guest's walk: core_fill.c; quiet: prints nothing. */
void bench_fills(bool quiet);
void bench_contexts(void);
void bench_large(void);
/* Shadows beside what a host does: core_nested.c; and a page of some unmapped, for counts. */
void bench_nested(void);
void bench_nested_count(void);
void bench_nested_gib(void);
/* Extents of a machine with owners; quiet: prints nothing. */
void bench_owners(bool quiet);
/* Transitions in a machine with owners, and wiping; quiet: prints nothing. */
void bench_transfers(bool quiet);

#endif
