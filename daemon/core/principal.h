/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What one principal may use at once, over all its connections and loops.
 *
 * A connection holds its share in chunks, so that a call that finds room in it touches nothing that
 * other loops write.
 */
#ifndef PTD_PRINCIPAL_H
#define PTD_PRINCIPAL_H

#include "call.h"
#include "wire_config.h"

#include <pt/platform.h>

struct domain;
struct principal_account;

enum principal_resource {
	PRINCIPAL_CALLS,   /* live calls */
	PRINCIPAL_REQUEST, /* bytes of requests of unfinished calls */
	PRINCIPAL_OUTPUT,  /* bytes of answers that wait for their reader */
	PRINCIPAL_RESOURCES,
};

#define PRINCIPAL_BUCKETS 64u

/* The accounts of all principals that have a connection. */
struct principals {
	struct pt_port_lock lock;
	struct principal_account *bucket[PRINCIPAL_BUCKETS];
};

/* A connection's share of its principal's account. */
struct principal_share {
	struct principal_account *account; /* NULL: none, and no limit */
	uint64_t held[PRINCIPAL_RESOURCES];
};

/* One more connection of `principal`. False: it has too many already. Without memory for an account
 * the connection is not counted. */
bool domain_principal_admit(struct domain *domain, const struct principal *principal,
			    struct principal_share *share);
/* Gives everything back. */
void domain_principal_release(struct domain *domain, struct principal_share *share);
/* More of `what`, until the share holds at least `need`. False: the principal has no more. */
bool principal_take(struct principal_share *share, enum principal_resource what, uint64_t need);
/* The same beyond any limit: for what is there already. True: the limit is kept. */
bool principal_charge(struct principal_share *share, enum principal_resource what, uint64_t need);
/* Gives back what is held beyond `need` and a chunk. */
void principal_trim(struct principal_share *share, enum principal_resource what, uint64_t need);
/* Has the principal used all of it? */
bool principal_is_full(const struct principal_share *share, enum principal_resource what);

const struct wire_config *domain_wire(const struct domain *domain);

#endif
