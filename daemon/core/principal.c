/* SPDX-License-Identifier: BSD-2-Clause */
/* Accounts of principals: a small table under a lock, counters that any loop may move. */
#include "domain_types.h"
#include "wire_limits.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct principal_account {
	struct principal_account *chain;
	char name[PRINCIPAL_MAX];
	uint32_t connections; /* lock */
	_Atomic uint64_t used[PRINCIPAL_RESOURCES];
};

static const uint64_t limit[PRINCIPAL_RESOURCES] = {
	WIRE_PRINCIPAL_CALLS,
	WIRE_PRINCIPAL_REQUEST_BYTES,
	WIRE_PRINCIPAL_OUTPUT_BYTES,
};
static const uint64_t chunk[PRINCIPAL_RESOURCES] = {16, 64u << 10, 64u << 10};

const struct wire_config *domain_wire(const struct domain *domain)
{
	return &domain->config.wire;
}

static struct principal_account **place(struct principals *principals, const char *name)
{
	struct principal_account **at =
		&principals->bucket[XXH3_64bits(name, strlen(name)) % PRINCIPAL_BUCKETS];

	while (*at && strcmp((*at)->name, name))
		at = &(*at)->chain;
	return at;
}

bool domain_principal_admit(struct domain *domain, const struct principal *principal,
			    struct principal_share *share)
{
	uint32_t most = domain->config.wire.principal_connections;
	struct principal_account **at, *account;

	pt_port_lock(&domain->principals.lock);
	at = place(&domain->principals, principal->name);
	account = *at;
	if (!account) {
		account = *at = calloc(1, sizeof(*account));
		if (account)
			memcpy(account->name, principal->name, sizeof(account->name));
	}
	if (account && most && account->connections >= most) {
		pt_port_unlock(&domain->principals.lock);
		return false;
	}
	if (account)
		account->connections++;
	share->account = account;
	pt_port_unlock(&domain->principals.lock);
	return true;
}

static void give(struct principal_share *share, enum principal_resource what, uint64_t n)
{
	share->held[what] -= n;
	atomic_fetch_sub_explicit(&share->account->used[what], n, memory_order_relaxed);
}

void domain_principal_release(struct domain *domain, struct principal_share *share)
{
	struct principal_account *account = share->account, **at;

	if (!account)
		return;
	for (unsigned what = 0; what < PRINCIPAL_RESOURCES; what++)
		give(share, what, share->held[what]);
	share->account = NULL;
	pt_port_lock(&domain->principals.lock);
	if (!--account->connections) {
		at = place(&domain->principals, account->name);
		*at = account->chain;
		free(account);
	}
	pt_port_unlock(&domain->principals.lock);
}

static uint64_t in_chunks(enum principal_resource what, uint64_t n)
{
	return (n + chunk[what] - 1) / chunk[what] * chunk[what];
}

bool principal_charge(struct principal_share *share, enum principal_resource what, uint64_t need)
{
	uint64_t more, used;

	if (!share->account || need <= share->held[what])
		return true;
	more = in_chunks(what, need - share->held[what]);
	used = atomic_fetch_add_explicit(&share->account->used[what], more, memory_order_relaxed);
	share->held[what] += more;
	return used + more <= limit[what];
}

bool principal_take(struct principal_share *share, enum principal_resource what, uint64_t need)
{
	uint64_t had = share->held[what];

	if (principal_charge(share, what, need))
		return true;
	give(share, what, share->held[what] - had);
	return false;
}

void principal_trim(struct principal_share *share, enum principal_resource what, uint64_t need)
{
	uint64_t keep = in_chunks(what, need) + chunk[what];

	if (share->account && share->held[what] > keep)
		give(share, what, share->held[what] - keep);
}

bool principal_is_full(const struct principal_share *share, enum principal_resource what)
{
	return share->account && atomic_load_explicit(&share->account->used[what],
						      memory_order_relaxed) >= limit[what];
}
