/* SPDX-License-Identifier: BSD-2-Clause */
/* What the checker keeps; private to lib/check. */
#ifndef PT_CHECK_STATE_H
#define PT_CHECK_STATE_H

#include <pt/check.h>

#define CK_CLASSES  26 /* pieces of 64 bytes to 2 GiB */
#define CK_MEMORIES 64
#define CK_AGENTS   128
#define CK_THREADS  128
#define CK_HELD	    8
#define CK_CPUS	    64
#define CK_RECENT   512

enum ck_type {
	CK_TABLE = 1,
	CK_CTX,
	CK_CLAIM,
	CK_OP,
	CK_MACHINE,
	CK_VMID,
	CK_LOG,
	CK_OP_SERIAL,
	CK_LOCK,
	CK_FRAMES,
	CK_SHADOW_LEAF,
	CK_GUEST_TLBI,
	CK_ASIDE,
	CK_TYPES
};

/* The head of everything that is looked up by an id. */
struct ck_node {
	uint64_t key;
	struct ck_node *next;		/* in the bucket */
	struct ck_node *before, *after; /* of the same type */
	uint8_t type;
};

enum ck_page { CK_PRIVATE, CK_LIVE, CK_UNLINKED };

struct ck_ctx;

/* A table page or the start tables, with a copy of what stands in it. */
struct ck_table {
	struct ck_node node; /* key: its address */
	uint64_t bytes;
	pt_pte *value; /* LOCKED ones have the serial of their operation as payload; NULL: all 0 */
	uint8_t *cached; /* a bit an entry: valid with AF since it became valid; with `value` */
	enum ck_page state;
	int8_t level;
	uint32_t entries;
	struct ck_ctx *ctx;
	uint64_t ipa;	   /* of its first entry */
	uint64_t op;	   /* serial of the operation that took it, or unlinked it */
	uint64_t filled;   /* serial of the last write while private */
	uint64_t unlinked; /* serial of its unlinking */
	bool root;
	bool grouped; /* has had contiguous leaves */
};

enum ck_ctx_state { CK_CTX_LIVE, CK_CTX_DYING, CK_CTX_CLOSED, CK_CTX_GONE };

struct ck_claim;
struct ck_op;
struct ck_log;

struct ck_ctx {
	struct ck_node node;
	struct pt_event_ctx facts;
	enum ck_ctx_state state;
	uint64_t charged, linked; /* table pages below the start tables */
	uint32_t active;	  /* vCPUs that use it now */
	uint16_t vmid;		  /* the last that it had */
	uint64_t given;		  /* serial; 0: it never had one */
	uint64_t generation;	  /* of that one */
	struct ck_table *root;
	struct ck_claim *claims;
	struct ck_op *owing; /* operations that owe invalidations here */
	struct ck_log *logs;
	struct ck_machine *owners; /* a machine with owners: this is its host's or a guest's */
	bool guest;
	bool shadow;
	uint8_t keyed;		  /* found by its key: what its event says; else 0 */
	struct ck_ctx *canonical; /* a shadow's; NULL: unknown, or gone */
	uint64_t key[2];
	uint32_t shadows; /* made from it */
	uint64_t changed; /* serial of the last write to its tables */
	uint16_t handle;
};

/* A leaf table of a shadow that is set aside. */
struct ck_aside {
	struct ck_node node; /* key: the slot that linked it */
	struct ck_ctx *ctx;
	pt_pte entry;	/* that did */
	uint64_t since; /* serial */
	/* What it spans, from the first byte on that no invalidation has named since. */
	uint64_t lo, hi;
};

enum ck_claim_state { CK_ASKED, CK_PUBLISHED, CK_DRAINED };

struct ck_claim {
	struct ck_node node;
	struct ck_claim *next; /* of the context, once published */
	struct ck_ctx *ctx;
	uint64_t lo, hi;
	enum ck_claim_state state;
	bool shared, late;  /* asked for when the context was dying */
	uint64_t op;	    /* serial of the operation that asked; 0: none */
	uint64_t published; /* serial */
	uint64_t agents;    /* that used the machine then */
};

/* Steps that an invalidation still takes. */
enum ck_stage { CK_WRITTEN, CK_ORDERED, CK_S2, CK_S2_ORDERED, CK_S1, CK_DONE };

/* What an operation owes: the entries of [lo, hi] may still be in TLBs. */
struct ck_owed {
	struct ck_owed *next;
	uint64_t lo, hi;
	uint64_t first, latest; /* serials of the first and the last write */
	enum pt_rule why;	/* the rule that it is owed under */
	enum ck_stage stage;
	int8_t level;
	bool table;	/* a table went */
	bool missed;	/* an invalidation of it did not cover it, or was of another VMID */
	bool elsewhere; /* another operation has changed the entries since, and flushed them */
	uint8_t rounds; /* T7: complete ones */
};

/* What it owes for a shadow, while it owes for another context. */
struct ck_apart {
	struct ck_apart *next;
	struct ck_ctx *ctx;
	uint64_t lo, hi; /* nested IPAs */
	uint64_t latest; /* serial of the last write */
	int8_t level;
};

/* Pages that became writable, or were dirty when they went, and have to be marked; or whose mark
 * was taken. */
struct ck_mark {
	struct ck_mark *next;
	struct ck_log *log;
	uint64_t lo, hi;
	enum pt_rule why;
};

/* One invalidation, from PT_EVENT_TLBI to PT_EVENT_TLBI_DONE, as a port that shows its instructions
 * issues it. */
struct ck_bracket {
	uint32_t thread;  /* whose; EL2's own map is changed by several at once, in no operation */
	uint64_t operand; /* the IPA that the next operand begins at */
	bool operands;	  /* there were some */
	bool open;	  /* between the two */
	bool single;	  /* instructions were shown, which do what they do */
	bool local;	  /* of one CPU: DSBs may be non-shareable */
	enum ck_stage stage; /* how far they have come */
};

struct ck_op {
	struct ck_node node;
	uint64_t serial;    /* its first event */
	struct ck_ctx *ctx; /* that it acts on now */
	struct ck_ctx *of;  /* that it was begun with */
	uint8_t kind;
	bool committed;
	uint32_t claims; /* held or asked for */
	uint32_t held;
	uint64_t asked; /* number of the context that it asked for last */
	int64_t pages;	/* taken, and neither linked nor given back */
	int64_t locks;	/* entries that it has LOCKED */
	struct ck_owed *owed, *last;
	struct ck_apart *apart;
	uint64_t lo, hi; /* the hull of what is owed */
	struct ck_op *next_owing;
	struct ck_mark *marks;
	struct ck_mark *cleared;
	uint64_t flushed; /* serial of its last completed invalidation */
	uint64_t agents;  /* that used the machine then */
	bool owners;	  /* of a machine with owners */
	struct ck_touched *touched;
	uint64_t changed;     /* a sum over entries and records: 0 when all are as they were */
	struct ck_ctx *shook; /* a canonical context whose leaves it has changed */
	uint64_t shook_lo, shook_hi;
};

/* What a fill of a shadow says. */
struct ck_fill {
	uint64_t begun; /* serial */
	struct ck_ctx *ctx;
	uint64_t lo, canonical;
	uint32_t guest;
};

struct ck_agent {
	uint64_t id, world;
	uint32_t number;
	bool inside;
	uint64_t begun; /* serial of its section */
	uint64_t fence; /* serial of its last fence */
	struct ck_fill fill;
};

struct ck_machine {
	struct ck_node node;
	uint64_t agents; /* bits of those that use it */
	uint64_t mmu;
	uint64_t generation; /* of VMIDs */
	uint64_t rolled;     /* serial of the last rollover */
	uint64_t old_agents; /* that used it then */
	bool flushed;	     /* since then */
	struct ck_ctx *host; /* NULL: no owners */
	uint64_t lent;	     /* units that guests' tables say are lent */
};

/* What is known of 4 KiB of a machine with owners. */
struct ck_frame {
	uint64_t record; /* as in PT_EVENT_OWNER */
	uint64_t ipa;	 /* of who owns it */
	uint32_t borrowed;
	uint16_t owned, lent; /* guests' leaves that lead to it, by what they say */
	uint16_t handle;      /* of who owns it */
	bool shared;	      /* as who owns it says */
	bool wiped;	      /* and nobody has had it since */
};

#define CK_FRAME_SHIFT	  12
#define CK_FRAMES_AT_ONCE UINT64_C(512)

struct ck_frames {
	struct ck_node node;
	struct ck_machine *machine;
	struct ck_frame *frame;
};

/* PAs whose owners or entries an operation has changed. */
struct ck_touched {
	struct ck_touched *next;
	uint64_t lo, hi;
	struct ck_machine *machine;
};

struct ck_vmid {
	struct ck_node node; /* key: machine and number */
	uint64_t machine;    /* 0: never given */
	uint64_t generation;
};

struct ck_log {
	struct ck_node node;
	struct ck_log *next;
	struct ck_ctx *ctx;
	uint64_t lo, hi;
	uint8_t *marked; /* a bit a granule */
	uint64_t bytes;
	uint64_t starter; /* serial of the operation that began it */
};

struct ck_memory {
	uint64_t base, bytes, pool;
	uint64_t out; /* bytes handed out */
};

struct ck_lock {
	struct ck_node node;
	uint32_t class;
};

struct ck_thread {
	uint64_t id;
	unsigned held;
	uint64_t lock[CK_HELD];
	uint32_t class[CK_HELD];
};

struct pt_check {
	struct pt_check_config config;
	uint64_t serial;
	unsigned char *at, *end;
	size_t reserve; /* kept for everything but copies of tables */
	void *spare[CK_CLASSES];
	struct ck_node **bucket;
	uint64_t buckets; /* a power of 2 */
	struct ck_node *all[CK_TYPES];
	uint32_t of_shift[32];
	uint32_t shifts;		    /* sizes of tables that there are */
	struct ck_table *recent[CK_RECENT]; /* found last, by the 4 KiB that the descriptor is in */
	struct ck_memory memory[CK_MEMORIES];
	unsigned memories;
	struct ck_agent agent[CK_AGENTS];
	unsigned agents;
	unsigned inside; /* agents in a section */
	struct ck_thread thread[CK_THREADS];
	struct ck_bracket bracket[CK_THREADS]; /* by thread */
	unsigned threads;
	struct ck_op none; /* what belongs to no operation */

	/* The event at hand. */
	struct ck_op *op;
	struct ck_agent *who;  /* of the last event; NULL: unknown */
	struct ck_agent *self; /* the same; NULL: outside a section */
	struct pt_finding *finding;
	bool kept;
	uint64_t judged[PT_RULES], broken[PT_RULES];
	uint64_t untracked;
};

/* A change of a descriptor in a live table. */
struct ck_write {
	struct ck_table *t;
	struct ck_ctx *ctx;
	uint32_t index;
	pt_pte old, entry;
	uint8_t how;	 /* enum pt_event_kind */
	uint64_t lo, hi; /* what the entry spans, inclusive */
	uint64_t locker; /* serial of the operation whose LOCKED it is; 0: not locked */
	bool owned;	 /* wholly in a drained claim of the operation */
};

/* judge.c */
void pt__ck_broken(struct pt_check *c, enum pt_rule rule, const char *text);

static inline bool pt__ck_judge(struct pt_check *c, enum pt_rule rule, bool kept, const char *text)
{
	c->judged[rule]++;
	if (!kept)
		pt__ck_broken(c, rule, text);
	return kept;
}

/* store.c: memory, and look-up by id. */
void *pt__ck_get(struct pt_check *c, size_t bytes, bool large);
void pt__ck_put(struct pt_check *c, void *at, size_t bytes);
void *pt__ck_find(const struct pt_check *c, enum ck_type type, uint64_t key);
void *pt__ck_add(struct pt_check *c, enum ck_type type, uint64_t key, size_t bytes);
void pt__ck_del(struct pt_check *c, struct ck_node *node, size_t bytes);
/* Calls `visit` with each record; it may delete that one. */
void pt__ck_each(struct pt_check *c, enum ck_type type,
		 void (*visit)(struct pt_check *, struct ck_node *, uint64_t), uint64_t arg);

/* memory.c: pages and their lives; link.c: in trees. */
/* Before the first write, or a link: makes value and cached. False: no memory, t is known no more.
 */
bool pt__ck_copy(struct pt_check *c, struct ck_table *t);
struct ck_table *pt__ck_search(struct pt_check *c, uint64_t slot);
void pt__ck_page_event(struct pt_check *c, const struct pt_event *e);
void pt__ck_link(struct pt_check *c, struct ck_table *parent, uint32_t index, pt_pte entry,
		 uint8_t how);
void pt__ck_unlink_table(struct pt_check *c, struct ck_table *parent, pt_pte entry);
struct ck_table *pt__ck_child(struct pt_check *c, const struct ck_ctx *ctx, pt_pte entry);
/* The entry that ends the walk for `ipa`, and a mask of the addresses that it spans. */
pt_pte pt__ck_look_up(struct pt_check *c, const struct ck_ctx *ctx, uint64_t ipa, uint64_t *mask);
bool pt__ck_in_memory(const struct pt_check *c, uint64_t at);
/* Is any of it memory of the pool that the start tables are from? */
bool pt__ck_meets_pool(struct pt_check *c, const struct ck_ctx *ctx, uint64_t pa, uint64_t size);

/* load.c, write.c, shape.c, group.c: descriptors. */
void pt__ck_load_event(struct pt_check *c, const struct pt_event *e);
void pt__ck_write_event(struct pt_check *c, const struct pt_event *e);
void pt__ck_shape(struct pt_check *c, const struct ck_table *t, uint32_t index, pt_pte entry);
bool pt__ck_same_translation(struct pt_check *c, const struct ck_write *w);
void pt__ck_group(struct pt_check *c, const struct ck_write *w);
void pt__ck_group_at(struct pt_check *c, struct ck_table *t, uint32_t index, pt_pte entry);

/* ledger.c: what is owed; tlbi.c: how it is discharged. flushes: does an invalidation remove all
 * that is cached of [*first, *last] of the context: leaves of a level, or with PT_TTL_UNKNOWN
 * tables, too? */
bool pt__ck_flushes(const struct pt_event *e, const struct ck_ctx *ctx, int level, uint64_t *first,
		    uint64_t *last);
void pt__ck_owe(struct pt_check *c, struct ck_ctx *ctx, uint64_t lo, uint64_t hi, int level,
		bool table, enum pt_rule why);
bool pt__ck_owed(const struct ck_ctx *ctx, uint64_t lo, uint64_t hi, uint64_t until);
void pt__ck_forgive(struct pt_check *c, struct ck_op *op);
void pt__ck_settled(struct pt_check *c, struct ck_op *op, uint64_t below, const char *text);
void pt__ck_paid(struct ck_op *op);
void pt__ck_discharge_done(struct pt_check *c, struct ck_op *op);
void pt__ck_tlbi_event(struct pt_check *c, const struct pt_event *e);

/* operand.c */
void pt__ck_operand(struct pt_check *c, const struct pt_geometry *g, uint64_t value, bool range,
		    uint64_t *next);
void pt__ck_operands(struct pt_check *c, const struct pt_geometry *g, const struct pt_tlbi *tlbi);

/* claim.c */
void pt__ck_claim_event(struct pt_check *c, const struct pt_event *e);
void pt__ck_write_claims(struct pt_check *c, struct ck_write *w);
void pt__ck_drop_claim(struct pt_check *c, struct ck_claim *claim);
struct ck_machine *pt__ck_machine(struct pt_check *c, uint64_t id);
bool pt__ck_sections_over(const struct pt_check *c, uint64_t world, uint64_t agents,
			  uint64_t before);

/* agent.c */
void pt__ck_agent_event(struct pt_check *c, const struct pt_event *e);
struct ck_agent *pt__ck_agent(struct pt_check *c, uint64_t id);
void pt__ck_lock_event(struct pt_check *c, const struct pt_event *e);

/* op.c */
void pt__ck_op_event(struct pt_check *c, const struct pt_event *e);
struct ck_op *pt__ck_op_by_serial(struct pt_check *c, uint64_t serial);

/* context.c, vmid.c */
void pt__ck_ctx_event(struct pt_check *c, const struct pt_event *e);
void pt__ck_vmid_event(struct pt_check *c, const struct pt_event *e);
void pt__ck_all_flushed(struct pt_check *c, uint64_t mmu);
void pt__ck_unknown(struct pt_check *c);
void pt__ck_forgive_unknown(struct pt_check *c, struct ck_op *op);
/* Can no TLB know what was written up to `latest`? */
bool pt__ck_is_unknown(struct pt_check *c, const struct ck_ctx *ctx, uint64_t latest);
void pt__ck_drop_ctx(struct pt_check *c, struct ck_ctx *ctx);

/* dirty.c */
void pt__ck_dirty_event(struct pt_check *c, const struct pt_event *e);
void pt__ck_dirty_write(struct pt_check *c, const struct ck_write *w);
void pt__ck_dirty_settled(struct pt_check *c, struct ck_op *op, uint64_t below);
void pt__ck_drop_logs(struct pt_check *c, struct ck_ctx *ctx);
void pt__ck_dirty_end(struct pt_check *c, struct ck_op *op);
void pt__ck_drop_marks(struct pt_check *c, struct ck_mark **list);

/* owner.c: frames and their records; reach.c: who reaches them (O2, O3); share.c: in the end (O1,
 * O4). */
void pt__ck_owner_event(struct pt_check *c, const struct pt_event *e);
void pt__ck_drop_owners(struct pt_check *c, struct ck_machine *m);
/* Of a PA; NULL: no memory, or, of the second, nothing is known but that it is the host's. */
struct ck_frame *pt__ck_frame(struct pt_check *c, struct ck_machine *m, uint64_t pa);
struct ck_frame *pt__ck_frame_known(const struct pt_check *c, const struct ck_machine *m,
				    uint64_t pa);
bool pt__ck_owner_holds(const struct pt_check *c, const struct ck_machine *m, uint64_t lo,
			uint64_t hi);
void pt__ck_owner_changed(struct pt_check *c, uint64_t at, uint64_t old, uint64_t now);
void pt__ck_owner_entry(struct pt_check *c, const struct ck_table *t, uint32_t index, pt_pte entry,
			bool comes);
void pt__ck_owner_record(struct pt_check *c, struct ck_machine *m, uint64_t lo, uint64_t hi,
			 uint64_t record);
void pt__ck_owner_wiped(struct pt_check *c, struct ck_machine *m, uint64_t lo, uint64_t hi);
void pt__ck_owner_touch(struct pt_check *c, struct ck_machine *m, uint64_t lo, uint64_t hi);
void pt__ck_owner_settled(struct pt_check *c, struct ck_op *op);
void pt__ck_owner_end(struct pt_check *c, struct ck_op *op);
void pt__ck_drop_touched(struct pt_check *c, struct ck_op *op);

/* nested.c: shadows. */
/* Each leaf of a table that goes as a whole. */
void pt__ck_shadow_table_goes(struct pt_check *c, const struct ck_table *t);
void pt__ck_shadow_event(struct pt_check *c, const struct pt_event *e);
void pt__ck_shadow_write(struct pt_check *c, const struct ck_write *w);
void pt__ck_shadow_end(struct pt_check *c, struct ck_op *op);
void pt__ck_shadow_dying(struct pt_check *c, const struct ck_ctx *ctx);
void pt__ck_drop_shadow(struct pt_check *c, struct ck_ctx *ctx);

/* An entry of a table that is in a tree comes or goes. */
static inline void pt__ck_owner(struct pt_check *c, const struct ck_table *t, uint32_t index,
				pt_pte entry, bool comes)
{
	if (t->ctx->owners && entry)
		pt__ck_owner_entry(c, t, index, entry, comes);
}

/* States of a record and of a leaf, and annotations: docs/ownership.md. */
enum { CK_OWNED, CK_SHARED_OWNED, CK_SHARED_BORROWED, CK_LENT_BORROWED, CK_NOPAGE, CK_LENT };
enum { CK_NOTE_DONATION = 2, CK_NOTE_LENT = 4 };

static inline unsigned pt__ck_note(pt_pte e)
{
	return pt_pte_valid(e) ? 0 : (unsigned)(e >> 60);
}

static inline unsigned pt__ck_host_state(uint64_t record)
{
	return record & 0xf;
}

static inline unsigned pt__ck_hyp_state(uint64_t record)
{
	return (record >> 4 & 0xf) ^ CK_NOPAGE;
}

/* A guest's, which may have lent it. */
static inline bool pt__ck_is_guests(uint64_t record)
{
	unsigned host = pt__ck_host_state(record);

	return host == CK_SHARED_BORROWED ||
	       (host == CK_NOPAGE && pt__ck_hyp_state(record) != CK_OWNED);
}

/* May the host have it in its tables? */
static inline bool pt__ck_is_hosts(uint64_t record)
{
	return pt__ck_host_state(record) <= CK_SHARED_BORROWED;
}

static inline unsigned pt__ck_log2(uint64_t v)
{
	return v <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(v - 1);
}

static inline bool pt__ck_meet(uint64_t lo, uint64_t hi, uint64_t lo2, uint64_t hi2)
{
	return lo <= hi2 && lo2 <= hi;
}

static inline uint64_t pt__ck_span(const struct ck_table *t)
{
	return pt_level_size(&t->ctx->facts.geo, t->level);
}

/* The table around a descriptor, or NULL. */
static inline struct ck_table *pt__ck_table_of(struct pt_check *c, uint64_t slot)
{
	struct ck_table *t = c->recent[slot >> 12 & (CK_RECENT - 1)];

	return t && slot - t->node.key < t->bytes ? t : pt__ck_search(c, slot);
}

static inline bool pt__ck_is_table(const struct ck_table *t, pt_pte e)
{
	return pt_pte_is_table(e, t->level);
}

/* apart.c: leaves of shadows that the operation at hand has taken. Settled: at its reply, and where
 * a claim of it goes, nothing is owed. */
void pt__ck_owe_apart(struct pt_check *c, struct ck_ctx *ctx, uint64_t lo, uint64_t hi, int level);
void pt__ck_apart_flushed(struct pt_check *c, const struct pt_event *e);
void pt__ck_apart_settled(struct pt_check *c, struct ck_op *op);
/* Of this context; NULL: of any. */
void pt__ck_drop_apart(struct pt_check *c, struct ck_op *op, const struct ck_ctx *ctx);

/* aside.c: does the write set a table aside; then it is noted. */
bool pt__ck_sets_aside(const struct ck_write *w);
void pt__ck_aside(struct pt_check *c, const struct ck_write *w);
/* Does it put such a table back? Judged, then. And of any write that ends it: true, with the table
 * linked as before, or unlinked. */
bool pt__ck_comes_back(struct pt_check *c, const struct ck_write *w);
bool pt__ck_aside_ends(struct pt_check *c, const struct ck_write *w);
/* An invalidation is complete. NULL: one was lost to a failpoint, and nothing is owed any more. */
void pt__ck_asides_flushed(struct pt_check *c, const struct pt_event *e);
void pt__ck_drop_asides(struct pt_check *c, const struct ck_ctx *ctx);

#endif
