/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations of a shadow, as functions of a case; see shadow.c. */
#ifndef TESTS_INTERLEAVE_SHADOW_H
#define TESTS_INTERLEAVE_SHADOW_H

#include <stdbool.h>
#include <stdint.h>

struct pt_shadow;
struct pt_tlbi;

/* For a case's first state: the context gets a shadow, whose guest maps its first two pages to the
 * first two canonical ones. */
void iv_shadow_open(void);
/* The same, with a block. */
void iv_shadow_open_block(void);
/* And another, of the same tables. */
void iv_shadow_open_other(void);

/* Its second page is at 2 MiB, and no leaf is made of it yet. */
void iv_shadow_apart(void);
/* The first two are the canonical ones the other way round, and a third is at 2 MiB. */
void iv_shadow_crossed(void);
#define IV_SHADOW_FAR (UINT64_C(3) << 30)
void iv_shadow_far(void); /* or there */
/* Its second page is at 1 MiB, whose head is in the other half of an end. */
void iv_shadow_halves(void);
/* The other shadow gets no table that it has not. */
void iv_shadow_no_quota(void);

/* Faults of the nested guest. */
uint64_t iv_shadow_read(void);
uint64_t iv_shadow_write(void);
uint64_t iv_shadow_read_next(void);
uint64_t iv_shadow_read_third(void);
uint64_t iv_shadow_read_other(void);
uint64_t iv_shadow_read_next_other(void);
/* The guest hypervisor changes its first descriptor and invalidates. */
uint64_t iv_shadow_remap(void);
uint64_t iv_shadow_protect(void);
uint64_t iv_shadow_end(void);

/* At rest: marks the pages that belong to the shadow and its links, counts them, and returns
 * whether it lives. Which leaves it has is no part of what a run comes to: it is a cache; but each
 * is what guest and context say together. */
uint64_t iv_shadow_rest(bool *reached, uint64_t *bytes);
/* What is about to be zeroed for another use: heads are let go of when none says anything. */
void iv_shadow_zeroed(const uint64_t *words, uint64_t bytes);
/* The page that a link of the reverse map's trees names. */
#define IV_LINK_OFF UINT64_C(0x00000ffffffff000)

/* Words at the end of a tree, two pieces of them under one link: log2 of both together. */
#define IV_LINK_BITS 9
#define IV_HEAD_BITS 8

/* Where a link to words says that those of a half are; 0: nowhere. */
static inline uint64_t iv_half(uint64_t link, unsigned half)
{
	return (link >> 26 * half & 0x1ffffff) << 10;
}
/* shadow_links.c, a part of it: the reverse map is whole. */
void iv_shadow_links_rest(void);

/* What the guest's tables say of a page of its guest's, as a descriptor of level 3. */
uint64_t iv_shadow_guest(uint64_t ipa);
#define IV_SHADOW_END UINT64_C(0x3000) /* behind all that they ever map */
/* The last entry for a page of the nested guest's, or 0. */
uint64_t iv_shadow_entry(const struct pt_shadow *shadow, uint64_t ipa, int *level);

/* shadow_tlb.c, called where those of tlb.c are, which say when. asked: the guest has changed its
 * descriptor of a page, and is about to invalidate. */
void iv_shadow_tlb_reset(void);
void iv_shadow_tlb_note(unsigned agent);
void iv_shadow_tlb_flush(const struct pt_tlbi *tlbi);
void iv_shadow_tlb_asked(uint64_t ipa);
/* A log's bits are taken: what is written from now on has to be noted anew. */
void iv_shadow_tlb_told(uint64_t pages);
void iv_shadow_tlb_reply(unsigned agent);
uint64_t iv_shadow_tlb_hash(void);

#endif
