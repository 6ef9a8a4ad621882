/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the oracle of composition share. */
#ifndef MODEL_NESTED_WORLD_H
#define MODEL_NESTED_WORLD_H

#include "play.h"

#include <pt/dirty.h>

#include "../../unit/guest_fixture.h"
#include "../../unit/upkeep.h"

#define MIRRORS	     8u /* keys: twice as many as there may be shadows */
#define OFF	     6u /* of these: with stage 2 off */
#define PROBES	     24u
#define VERSIONS     12u
#define AREAS	     4u	 /* canonical: two plain ones, one read-only, one without memory */
#define CROWD	     72u /* aliases of a page: more than PT_SHADOW_LINKS */
#define LOGGED_BYTES 64
#define SW_SHIFT     55

/* What an access asks for, and what a leaf grants: `exec` of EL1, and of EL0. */
struct use {
	enum pt_access access;
	bool el0;
};
struct rights {
	bool read, write, exec[2];
};

/* What a guest's leaf says of a byte. */
struct said {
	bool valid, dirty, young; /* the latter as the descriptor stood at some time */
	struct rights rights;	  /* write: it is, or may become, dirty */
	uint8_t memattr;
	uint64_t out;
	int level;
	uint64_t span;
	uint64_t last; /* when it stood there last */
};

/* A byte that is looked at, and what the guest's tables have said of it since the last TLBI. */
struct probe {
	uint64_t ipa;
	struct said said[VERSIONS];
	unsigned count;
};

struct mirror {
	struct pt_shadow shadow;
	struct pt_guest_regs regs;
	struct pt_shadow_key key;
	unsigned flags; /* HA and HD of the guest's */
	uint16_t vmid;
	bool live;
	unsigned users;
	uint64_t used; /* when last */
	struct probe probe[PROBES];
};

/* A leaf of a shadow as it stood. */
struct seen {
	bool there, write, young;
	uint64_t ipa, pa, span;
	int level; /* of the guest's */
};

/* What goes on for several steps of another agent's. */
struct going {
	enum {
		NOTHING,
		GUESTS_TLBI,
		HOSTS_ITEM,
		HOSTS_LOG,
		HOSTS_UPKEEP,
		SHADOWS_END,
	} kind;
	struct pt_guest_tlbi_op tlbi;
	uint64_t since;
	uint16_t vmid;
	struct pt_item item;
	struct pt_txn txn;
	struct pt_dirty dirty;
	struct pt_upkeep upkeep;
	uint64_t least; /* AGE: young pages */
	struct pt_shadow_end end;
	unsigned mirror;
	uint64_t lo, hi; /* of the item, or of the log: nothing is said of these until it is done */
};

struct play {
	struct guest g;
	struct pt_agent other; /* whose operation goes on beside */
	struct mirror m[MIRRORS];
	unsigned probes;
	uint64_t rng, now;
	bool wide_host, wide_guest, big_endian;
	uint64_t area;	 /* bytes of an area: a block of both granules */
	uint64_t base;	 /* canonical IPA of the first area */
	uint64_t nested; /* nested IPA of the first probe */
	uint64_t tables; /* canonical IPA of the guest's tables */
	uint64_t next;	 /* of their bytes */
	uint64_t pa[2];	 /* of the first area's memory, and of what it is mapped to instead */
	uint64_t host_page, guest_page, guest_block;
	uint64_t table;		  /* of the block that was made a table once: its descriptor */
	uint64_t swaps;		  /* of the guest's descriptors by its walks */
	struct pt_slots *without; /* slots but the read-only one */
	struct pt_dirty_log log;
	uint64_t *log_memory;
	bool logging;
	/* Pages of the logged area's beginning, a bit each: written since the last look; to be told
	 * by the look at hand; written beside it; and what it tells, of all pages. */
	uint8_t written[LOGGED_BYTES], due[LOGGED_BYTES], beside[LOGGED_BYTES], *told;
	struct going going;
	bool scarce; /* no page may be had for fills */
	enum nested_defect defect;
	struct nested_counts *counts;
	char *failure;
};

static inline uint64_t draw(struct play *p, uint64_t below)
{
	return core_random(&p->rng) % below;
}

static inline void note(struct play *p, enum nested_kind kind)
{
	p->counts->of[kind]++;
}

/* said.c: what the tables say. */
void wrong(struct play *p, const char *what, unsigned mirror, uint64_t ipa);
struct hw_result walk_context(struct play *p, const struct pt_ctx *ctx, uint64_t ipa, bool *young);
struct hw_result walk_guest(struct play *p, const struct mirror *m, uint64_t ipa);
bool has_leaf(const struct hw_result *r);
bool is_dirty(const struct hw_result *host);
struct rights rights_of(const struct hw_result *r, bool write);
bool grants(struct rights of, struct use use);
struct said said_now(struct play *p, const struct mirror *m, uint64_t ipa);
void say_all(struct play *p, struct mirror *m);
void say_everywhere(struct play *p);

/* legal.c: what may stand in a shadow, and be answered. */
bool answer_is_legal(struct play *p, unsigned mirror, const struct probe *probe,
		     const struct pt_host_access *a);
void look_at_all(struct play *p);
/* Canonical IPA of what a leaf leads to: memory is mapped in order, to one of two places. */
uint64_t canonical_of(const struct play *p, uint64_t pa);
/* All leaves of all shadows: MIRRORS * PROBES of them, of which each is there once. */
void see_all(struct play *p, struct seen *seen);

/* guest.c: the guest hypervisor. */
enum pt_outcome guest_tables_load(void *arg, struct pt_ipa ipa, uint64_t *word);
enum pt_outcome guest_tables_swap(void *arg, struct pt_ipa ipa, uint64_t *word, uint64_t to);
uint64_t *guest_tables_word(struct play *p, uint64_t ipa);
uint64_t guest_order(const struct play *p, uint64_t descriptor);
uint64_t some_area(struct play *p);
uint64_t do_guest_page(struct play *p); /* the nested IPA that it changed */
void do_guest(struct play *p);
/* Nested IPA of the n-th alias of a page, and all of them. */
uint64_t crowd_ipa(const struct play *p, unsigned n);
void crowd_map(struct play *p, uint64_t out);
void crowd_unmap(struct play *p);

/* tlbi.c: its invalidations. */
void do_tlbi(struct play *p);
void run_tlbi(struct play *p, const struct pt_guest_tlbi *t, uint16_t vmid);
void end_tlbi(struct play *p, const struct pt_guest_tlbi *t, uint16_t vmid, uint64_t since);
/* Of a page, by any address of it, of each VMID that uses the tables. */
void invalidate(struct play *p, uint64_t page);
/* Before the tables change: there is room to remember what they say then. */
void make_room(struct play *p);

/* host.c: changes of the canonical context. */
void do_host(struct play *p);
void run_item(struct play *p, const struct pt_item *item);

/* stays.c: a contiguous group loses its hint as a whole, and a log makes a leaf clean as a whole:
 * what is concerned is rounded out to those. */
void round_out(struct play *p, bool log, uint64_t *lo, uint64_t *hi);
/* Leaves that do not lead into [lo, hi] are there as before; where only W was lost, so are those
 * that may not write. */
void compare_stays(struct play *p, const struct seen *was, uint64_t lo, uint64_t hi, bool only_w);

/* log.c */
void do_log(struct play *p);
void note_write(struct play *p, uint64_t pa);
void stop_log(struct play *p, bool beside);
void end_log(struct play *p, uint32_t kind);

/* age.c */
void do_age(struct play *p, uint64_t ipa, uint64_t size, bool clear);
uint64_t young_alone(struct play *p, uint64_t ipa, uint64_t size);

/* beside.c: one operation of another agent's begins; one step of it, if there is one; its end. */
void begin_tlbi(struct play *p, const struct pt_guest_tlbi *t, uint16_t vmid);
void begin_item(struct play *p, const struct pt_item *item);
void begin_log(struct play *p, const struct pt_dirty_args *args, uint64_t lo, uint64_t hi);
void begin_upkeep(struct play *p, const struct pt_upkeep_args *args);
void begin_end(struct play *p, unsigned mirror);
void step_beside(struct play *p);
void finish_beside(struct play *p);
/* Does it claim canonical ranges, so that others have to wait? */
bool claims(const struct play *p);
/* Is the canonical range being changed just now? */
bool is_going(const struct play *p, uint64_t canonical, uint64_t size);

/* access.c */
void do_access(struct play *p);
void do_own_access(struct play *p);
void touch_some(struct play *p, uint64_t ipa, uint64_t size);
bool touch(struct play *p, unsigned mirror, const struct probe *probe, struct use use);
struct use some_use(struct play *p);
enum pt_outcome fault(struct play *p, unsigned mirror, uint64_t ipa, uint32_t vcpu, struct use use,
		      struct pt_nested_result *r);

/* scarce.c: too few pages, and too many aliases of one. */
void do_scarce(struct play *p);
void do_crowd(struct play *p);

/* life.c: shadows come, are used, and go. */
bool open_mirror(struct play *p, unsigned i);
void close_mirror(struct play *p, unsigned i, uint32_t budget);
void do_use(struct play *p);
void do_recycle(struct play *p);

#endif
