/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory model: partial store order (PSO), with C11's orders on top.
 *
 * Loads are performed in program order. A store may stay in its agent's buffer, where only that
 * agent sees it, and become visible later, after stores to other locations that came after it, with
 * these exceptions:
 *
 *   same location    stores to one location become visible in order (coherence)
 *   release store    not before any store that came before it; unlocking is one
 *   release fence    (DSB ISHST) stores after it not before those before it
 *   full fence       (DMB ISH), TLBI, a compare-and-swap or exchange with release order that
 *                    succeeds: everything before is visible first
 *   seq_cst load     not before the agent's own stores
 *
 * This is weaker than x86 (TSO: one queue) in every store, and it is Arm's order of stores. It is
 * stronger than Arm in that loads are neither delayed nor done early: an acquire that is missing is
 * not found here. Read-modify-writes are single-copy atomic, and act on memory at once but in cases
 * with late_cas: there what a compare-and-swap has written may be held back like a store, while
 * loads after it go on (acquire orders them after its read alone). Nobody else writes that location
 * before it is visible.
 *
 * A store that is not held back is visible at once; the explorer decides (iv_choose_hold) and pays
 * a delay for each. What is held becomes visible when a rule above says so, when another agent
 * passes the location and the explorer says so (iv_choose_drain: earlier, nobody could have told),
 * and at the latest when no agent can go on.
 *
 * Besides, the state of a run is hashed here: memory by difference from its first state, what is in
 * the buffers, what each agent has read (its local state is a function of that), and for each lock
 * the sequence of its holders, which stands for the plain data under it.
 */
#include "iv.h"
#include "shadow.h"
#include "world.h"

#include <stdatomic.h>
#include <string.h>

#include <pt/platform.h>

#define HELD_MAX    32
#define LOCKS	    12
/* A bit of a hash for each location: agents that wait and wake each other by mere collision would
 * do so for ever. */
#define WATCH_WORDS 64

struct held {
	volatile void *at; /* NULL: a release fence */
	uint64_t value;
	uint8_t size;
	bool release, init;
	uint8_t how; /* enum pt_write_how; CAS: of an exchange */
};

static struct {
	struct held held[IV_FIBRES][HELD_MAX];
	unsigned count[IV_FIBRES];
	uint64_t seen[IV_FIBRES + 1];		/* what each agent has read */
	uint64_t watch[IV_FIBRES][WATCH_WORDS]; /* where each has read in this attempt */
	bool woken[IV_FIBRES]; /* somebody else has changed something there since */
	uint64_t hash;	       /* of memory, as a sum over what differs */
	struct {
		const volatile void *at;
		uint64_t holders;
		struct pt_vmids vmids; /* as the holder found them */
	} lock[LOCKS];
} m IV_RUN;

void iv_memory_reset(void)
{
	memset(&m, 0, sizeof(m));
}

void iv_attempt(void)
{
	if (iv_self() == IV_NOBODY)
		return;
	memset(m.watch[iv_self()], 0, sizeof(m.watch[0]));
	m.woken[iv_self()] = false;
}

bool iv_memory_woken(unsigned agent)
{
	return m.woken[agent];
}

void iv_observe(unsigned agent, uint64_t what, uint64_t value)
{
	/* Pointers count by what they point to: the same in each process. */
	if (value - (uintptr_t)&iv_w < sizeof(iv_w))
		value -= (uintptr_t)&iv_w;
	m.seen[agent] = iv_mix(m.seen[agent] ^ what, value);
}

/* The same in each process, whatever the addresses are. */
static uint64_t place(const volatile void *at)
{
	if (iv_in_tables(at))
		return (uint64_t)((uintptr_t)at - (uintptr_t)iv_tables) | UINT64_C(1) << 32;
	return (uintptr_t)at - (uintptr_t)&iv_w;
}

uint64_t iv_memory_hash(void)
{
	uint64_t hash = m.hash;

	for (unsigned a = 0; a < IV_FIBRES; a++) {
		hash = iv_mix(hash, m.seen[a] + m.woken[a]);
		for (unsigned i = 0; i < m.count[a]; i++)
			hash = iv_mix(hash ^ (i + 1),
				      place(m.held[a][i].at) + m.held[a][i].value * 3);
	}
	for (unsigned i = 0; i < LOCKS && m.lock[i].at; i++)
		hash += iv_mix(place(m.lock[i].at), m.lock[i].holders);
	return hash;
}

static void watch(unsigned agent, const volatile void *at)
{
	uint64_t h = iv_mix(place(at), 0);

	m.watch[agent][h / 64 % WATCH_WORDS] |= UINT64_C(1) << h % 64;
}

static bool watches(unsigned agent, const volatile void *at)
{
	uint64_t h = iv_mix(place(at), 0);

	return m.watch[agent][h / 64 % WATCH_WORDS] >> h % 64 & 1;
}

static uint64_t read_raw(const volatile void *at, unsigned size)
{
	switch (size) {
	case 1: return *(const volatile uint8_t *)at;
	case 4: return *(const volatile uint32_t *)at;
	default: return *(const volatile uint64_t *)at;
	}
}

static void write_raw(volatile void *at, unsigned size, uint64_t value)
{
	switch (size) {
	case 1: *(volatile uint8_t *)at = (uint8_t)value; break;
	case 4: *(volatile uint32_t *)at = (uint32_t)value; break;
	default: *(volatile uint64_t *)at = value; break;
	}
}

static unsigned page_of(const volatile void *at)
{
	return (unsigned)(((uintptr_t)at - (uintptr_t)iv_tables) >> PT_POOL_UNIT_SHIFT);
}

/* Of the words in table memory only those in no page of books are descriptors. */
static bool is_descriptor(const volatile void *at)
{
	return iv_in_tables(at) && !(iv_w.book[page_of(at) / 64] >> page_of(at) % 64 & 1);
}

static void forbid_freed(const volatile void *at, const char *verb)
{
	unsigned page = page_of(at);

	if (iv_w.freed[page / 64] >> page % 64 & 1)
		iv_fail("%s a table page that was given back (A1)", verb);
}

static void set_freed(unsigned page, bool freed)
{
	uint64_t bit = UINT64_C(1) << page % 64;

	iv_w.freed[page / 64] = freed ? iv_w.freed[page / 64] | bit : iv_w.freed[page / 64] & ~bit;
}

void iv_memory_book(const volatile void *page, bool is_book)
{
	unsigned n = page_of(page);
	uint64_t bit = UINT64_C(1) << n % 64;

	iv_w.book[n / 64] = is_book ? iv_w.book[n / 64] | bit : iv_w.book[n / 64] & ~bit;
	if (is_book)
		set_freed(n, false);
}

/* A table is linked: whoever took its page from the pool uses it. */
static void note_link(uint64_t entry)
{
	uint64_t off = (entry & UINT64_C(0xfffffffff000)) - IV_TABLE_PA;

	if ((entry & 0xfff) == 3 && off < sizeof(iv_tables))
		set_freed((unsigned)(off >> PT_POOL_UNIT_SHIFT), false);
}

static void judge_write(unsigned agent, volatile void *at, uint64_t old, uint64_t value, int how)
{
	struct pt_write write = {(const pt_pte *)(uintptr_t)at, old, value, (enum pt_write_how)how};
	struct pt_finding finding;

	forbid_freed(at, "wrote to");
	/* With FEAT_BBM a valid entry may change its size: tlb.c says when it may not. */
	if (iv_w.ctx.bbm && pt_pte_valid(old) && pt_pte_valid(value))
		return;
	if (!pt_check_write(&write, &finding))
		iv_fail("checker: rule %s: %s (%#llx -> %#llx by agent %u)",
			pt_rule_name(finding.rule), finding.text, (unsigned long long)old,
			(unsigned long long)value, agent);
}

static void drain(unsigned agent, unsigned i);
static int find_oldest(unsigned agent, const volatile void *at);

/* What others have exchanged there becomes visible before anybody else writes there. */
static void finish_exchanges(unsigned agent, const volatile void *at)
{
	for (unsigned a = 0; a < IV_FIBRES; a++) {
		int i = a == agent ? -1 : find_oldest(a, at);

		if (i >= 0 && m.held[a][i].how == PT_WRITE_CAS)
			drain(a, (unsigned)i);
	}
}

/* A store becomes visible to everybody. */
static void apply(unsigned agent, volatile void *at, unsigned size, uint64_t value, bool init,
		  int how)
{
	bool table = is_descriptor(at);
	uint64_t old;

	finish_exchanges(agent, at);
	iv_wake_for(at, true);
	iv_between();
	old = read_raw(at, size);
	if (table && init)
		set_freed(page_of(at), false);
	else if (table)
		judge_write(agent, at, old, value, how);
	if (table && value & 1)
		note_link(value);
	if (old == value)
		return;
	if (at == &iv_w.log_memory[0] && iv_w.nested.canonical)
		iv_shadow_tlb_told(old & ~value);
	if (iv_in_tables(at))
		iv_world_touch(at, size);
	write_raw(at, size, value);
	m.hash += iv_mix(place(at), value) - iv_mix(place(at), old);
	for (unsigned f = 0; f < IV_FIBRES; f++)
		if (f != agent && watches(f, at))
			m.woken[f] = true;
	if (table && !init)
		iv_tlb_note(agent);
}

/* ---- buffers ---- */

/* Must entry j become visible before the later entry i? */
static bool goes_before(const struct held *buffer, unsigned j, unsigned i)
{
	if (!buffer[j].at || buffer[j].at == buffer[i].at || buffer[i].release)
		return true;
	for (unsigned k = j + 1; k < i; k++)
		if (!buffer[k].at)
			return true;
	return false;
}

/* Makes the marked entries visible and closes the gaps. */
static void drain_marked(unsigned agent, const bool *marked)
{
	struct held *buffer = m.held[agent];
	unsigned left = 0, count = m.count[agent];

	m.count[agent] = 0; /* an entry that fails in apply() is gone, too */
	for (unsigned i = 0; i < count; i++) {
		struct held e = buffer[i];

		if (!marked[i] && (e.at || left)) /* a fence with nothing before it is over */
			buffer[left++] = e;
		else if (e.at) {
			iv_trace(IV_EVENT_STORE, e.at, e.value, "now visible");
			iv_watch_visible(agent, e.at);
			apply(agent, e.at, e.size, e.value, e.init, e.how);
		}
	}
	m.count[agent] = left;
	iv_watch_caught_up(agent);
}

/* Makes entry i visible, after those that must go before it. */
static void drain(unsigned agent, unsigned i)
{
	bool marked[HELD_MAX] = {false};

	marked[i] = true;
	for (unsigned k = i + 1; k-- > 0;)
		for (unsigned j = 0; marked[k] && j < k; j++)
			marked[j] |= goes_before(m.held[agent], j, k);
	drain_marked(agent, marked);
}

static void drain_all(unsigned agent)
{
	bool marked[HELD_MAX];

	if (agent == IV_NOBODY || !m.count[agent])
		return;
	memset(marked, true, sizeof(marked));
	drain_marked(agent, marked);
}

bool iv_memory_settle(unsigned agent)
{
	bool any = false;

	for (unsigned a = 0; a < IV_FIBRES; a++)
		if (agent == IV_NOBODY || agent == a) {
			any |= m.count[a] != 0;
			drain_all(a);
		}
	return any;
}

/* The oldest entry of an agent for a location, or -1. */
static int find_oldest(unsigned agent, const volatile void *at)
{
	for (unsigned i = 0; i < m.count[agent]; i++)
		if (m.held[agent][i].at == at)
			return (int)i;
	return -1;
}

/* The latest one: what the agent itself reads. */
static int find(unsigned agent, const volatile void *at)
{
	for (unsigned i = agent == IV_NOBODY ? 0 : m.count[agent]; i-- > 0;)
		if (m.held[agent][i].at == at)
			return (int)i;
	return -1;
}

bool iv_memory_holds(unsigned agent, const volatile void *at)
{
	for (unsigned i = 0; i < m.count[agent]; i++)
		if ((uintptr_t)m.held[agent][i].at / 8 == (uintptr_t)at / 8)
			return true;
	return false;
}

bool iv_memory_pending(const volatile void *at)
{
	for (unsigned a = 0; a < IV_FIBRES; a++)
		if (find(a, at) >= 0)
			return true;
	return false;
}

/* Before an access to `at`: what others hold there may become visible first. */
static void pass(const volatile void *at)
{
	for (unsigned a = 0; a < IV_FIBRES; a++)
		while (a != iv_self() && find(a, at) >= 0 && iv_choose_drain(a))
			drain(a, (unsigned)find_oldest(a, at));
}

/* ---- accesses ---- */

uint64_t iv_load(const volatile void *at, unsigned size, int order)
{
	unsigned self = iv_self();
	uint64_t value;
	int own;

	if (self == IV_NOBODY)
		return read_raw(at, size);
	iv_event(IV_EVENT_LOAD, at, size);
	if (order == memory_order_seq_cst)
		drain_all(self);
	pass(at);
	if (iv_in_tables(at))
		forbid_freed(at, "read");
	own = find(self, at);
	value = own >= 0 ? m.held[self][own].value : read_raw(at, size);
	if (is_descriptor(at))
		iv_watch(order == memory_order_relaxed ? PT_EVENT_PRIVATE : PT_EVENT_LOAD, at,
			 value, value, false);
	iv_observe(self, place(at), value);
	watch(self, at);
	iv_trace(IV_EVENT_LOAD, at, value, "");
	return value;
}

uint64_t iv_memory_view(const volatile void *at)
{
	int own = find(iv_self(), at);

	return own >= 0 ? m.held[iv_self()][own].value : read_raw(at, 8);
}

static uint8_t store_kind(const volatile void *at, bool release, bool init)
{
	if (!is_descriptor(at))
		return PT_EVENT_NONE;
	if (init)
		return PT_EVENT_INIT;
	return release ? PT_EVENT_STORE_RELEASE : PT_EVENT_STORE;
}

/* Hardware is the one that orders nothing. */
static void watch_cas(volatile void *at, uint64_t old, uint64_t value, int order, bool lost)
{
	if (is_descriptor(at))
		iv_watch(order == memory_order_relaxed ? PT_EVENT_HW_CAS : PT_EVENT_CAS, at, old,
			 value, lost);
}

static void store(volatile void *at, unsigned size, uint64_t value, bool release, bool init)
{
	struct held e = {
		at,	 value, (uint8_t)size,
		release, init,	(uint8_t)(release ? PT_WRITE_STORE_RELEASE : PT_WRITE_STORE)};
	unsigned self = iv_self(), n;
	uint8_t kind = store_kind(at, release, init);
	bool hold = false;

	if (self == IV_NOBODY) {
		if (kind)
			iv_watch(kind, at, read_raw(at, 8), value, false);
		apply(self, at, size, value, init, e.how);
		return;
	}
	n = m.count[self];
	for (unsigned j = 0; j < n; j++)
		hold |= release || !m.held[self][j].at || m.held[self][j].at == at;
	if (n == HELD_MAX - 1) {
		drain_all(self);
		hold = false;
	}
	if (!hold && iv_is_shared(at))
		hold = iv_choose_hold();
	iv_trace(init ? IV_EVENT_INIT : IV_EVENT_STORE, at, value, hold ? "held back" : "");
	if (hold) {
		m.held[self][m.count[self]++] = e;
		iv_watch_held(kind, at, value);
		return;
	}
	if (kind)
		iv_watch(kind, at, read_raw(at, 8), value, false);
	else
		iv_watch_visible(self, at);
	apply(self, at, size, value, init, e.how);
}

void iv_store(volatile void *at, unsigned size, uint64_t value, int order)
{
	iv_event(IV_EVENT_STORE, at, size);
	store(at, size, value, order != memory_order_relaxed, false);
}

void iv_init(volatile void *at, uint64_t value)
{
	iv_event(IV_EVENT_INIT, at, 8);
	store(at, 8, value, false, true);
}

static bool releases(int order)
{
	return order == memory_order_release || order == memory_order_acq_rel ||
	       order == memory_order_seq_cst;
}

/* A read-modify-write reads memory: the agent's own stores there go first. */
static uint64_t begin_rmw(enum iv_event kind, volatile void *at, unsigned size)
{
	unsigned self = iv_self();
	uint64_t value;
	int own;

	if (self == IV_NOBODY)
		return read_raw(at, size);
	iv_event(kind, at, size);
	pass(at);
	finish_exchanges(self, at);
	own = find(self, at);
	if (own >= 0)
		drain(self, (unsigned)own);
	value = read_raw(at, size);
	iv_observe(self, place(at), value);
	watch(self, at);
	return value;
}

/* True: it is held back. */
static bool exchange_late(volatile void *at, unsigned size, uint64_t value, int order)
{
	unsigned self = iv_self();

	if (self == IV_NOBODY || !iv_case_now->late_cas || !releases(order) || !iv_is_shared(at) ||
	    !iv_choose_hold())
		return false;
	iv_trace(IV_EVENT_CAS, at, value, "held back");
	m.held[self][m.count[self]++] =
		(struct held){at, value, (uint8_t)size, true, false, PT_WRITE_CAS};
	iv_watch_held(is_descriptor(at) ? PT_EVENT_CAS : PT_EVENT_NONE, at, value);
	return true;
}

bool iv_cas(volatile void *at, unsigned size, uint64_t *old, uint64_t value, int order)
{
	uint64_t now = begin_rmw(IV_EVENT_CAS, at, size);

	if (iv_in_tables(at))
		forbid_freed(at, "compared-and-swapped in");
	if (now != *old) {
		iv_trace(IV_EVENT_CAS, at, now, "lost");
		watch_cas(at, *old, value, order, true);
		*old = now;
		return false;
	}
	if (releases(order))
		drain_all(iv_self());
	if (exchange_late(at, size, value, order))
		return true;
	iv_trace(IV_EVENT_CAS, at, value, "");
	watch_cas(at, now, value, order, false);
	apply(iv_self(), at, size, value, false, PT_WRITE_CAS);
	return true;
}

uint64_t iv_rmw(volatile void *at, unsigned size, enum iv_rmw what, uint64_t operand, int order)
{
	uint64_t now = begin_rmw(IV_EVENT_RMW, at, size), value = operand;

	switch (what) {
	case IV_SWAP: break;
	case IV_ADD: value = now + operand; break;
	case IV_SUB: value = now - operand; break;
	case IV_OR: value = now | operand; break;
	case IV_AND: value = now & operand; break;
	}
	if (size == 4)
		value = (uint32_t)value;
	if (releases(order))
		drain_all(iv_self());
	iv_trace(IV_EVENT_RMW, at, value, "");
	apply(iv_self(), at, size, value, false, PT_WRITE_CAS);
	return now;
}

void iv_fence(int order)
{
	unsigned self = iv_self();

	iv_between();
	if (self == IV_NOBODY || order == memory_order_acquire || !m.count[self])
		return;
	if (order == memory_order_seq_cst) {
		if (iv_case_now->late_cas) /* what is held back is about to be seen */
			iv_event(IV_EVENT_FENCE, NULL, 0);
		drain_all(self);
	} else
		m.held[self][m.count[self]++] = (struct held){.at = NULL};
}

/* ---- locks ---- */

static unsigned lock_of(const volatile void *at)
{
	for (unsigned i = 0; i < LOCKS; i++)
		if (!m.lock[i].at || m.lock[i].at == at) {
			m.lock[i].at = at;
			return i;
		}
	iv_fail("more locks than the model knows");
}

/* Plain data under the lock that agents wait for: it has a location of its own. */
static const volatile void *data_under(const volatile void *at)
{
	return (const volatile char *)at + 1;
}

static void wake_for_data(unsigned self, const volatile void *at, const struct pt_vmids *before)
{
	if (memcmp(before, &iv_w.machine.vmids, sizeof(*before)) == 0)
		return;
	for (unsigned f = 0; f < IV_FIBRES; f++)
		if (f != self && watches(f, data_under(at)))
			m.woken[f] = true;
}

/* Taking a lock acquires; a lock whose release is on its way is as good as free. */
void iv_lock(volatile void *at)
{
	unsigned self = iv_self();
	int own;

	if (self == IV_NOBODY) {
		write_raw(at, 1, 1);
		return;
	}
	iv_event(IV_EVENT_LOCK, at, 1);
	for (;;) {
		for (unsigned a = 0; a < IV_FIBRES; a++) {
			int i = find(a, at);

			if (i >= 0)
				drain(a, (unsigned)i);
		}
		own = (int)read_raw(at, 1);
		if (!own)
			break;
		iv_wait_lock(at);
	}
	iv_trace(IV_EVENT_LOCK, at, 1, "");
	apply(self, at, 1, 1, false, 0);
	iv_observe(self, place(at), m.lock[lock_of(at)].holders);
	m.lock[lock_of(at)].vmids = iv_w.machine.vmids;
	watch(self, data_under(at));
}

void iv_unlock(volatile void *at)
{
	unsigned self = iv_self();
	unsigned lock;

	if (self == IV_NOBODY) {
		write_raw(at, 1, 0);
		return;
	}
	iv_event(IV_EVENT_UNLOCK, at, 1);
	lock = lock_of(at);
	m.lock[lock].holders = iv_mix(m.lock[lock].holders, m.seen[self]);
	wake_for_data(self, at, &m.lock[lock].vmids);
	store(at, 1, 0, true, false);
}

/* ---- the rest of the seam ---- */

void iv_zero(void *at, size_t bytes)
{
	unsigned self = iv_self();
	uint64_t *word = at;

	if (self != IV_NOBODY)
		iv_event(IV_EVENT_ZERO, at, (unsigned)bytes);
	drain_all(self);
	pt_port_note(PT_EVENT_ZERO, 0, at, NULL, bytes, 0);
	if (iv_in_tables(at))
		iv_shadow_zeroed(word, bytes);
	for (size_t i = 0; i < bytes / 8; i++)
		if (word[i])
			apply(self, &word[i], 8, 0, true, 0);
	if (bytes < UINT64_C(1) << PT_POOL_UNIT_SHIFT || !iv_in_tables(at))
		return;
	set_freed(page_of(at), true);
	iv_tlb_page_freed(IV_TABLE_PA + (uint64_t)((unsigned char *)at - iv_tables));
}

void pt_port_zero(void *at, size_t bytes)
{
	iv_zero(at, bytes);
}
