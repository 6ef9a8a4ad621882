/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reverse map at rest, read word by word as lib/nested/internal.h draws it: each leaf of a
 * shadow has a link that names its canonical page and stands in that page's list, and no list has
 * anything else. A leaf without a link would outlive the memory that it is of, but only if the host
 * takes that away later, which no case has an operation left for.
 */
#include "shadow.h"

#include "world.h"

#define WORDS 512 /* in a page */
#define OA    UINT64_C(0x0000fffffffff000)
#define ID    UINT64_C(0x7fffffff)
#define SET   (UINT64_C(1) << 63)
#define COUNT (UINT64_C(127) << 46)

/* Leaves, and what all lists have. */
static struct {
	uint64_t leaves, listed;
} seen;

static void check(bool good, const char *what)
{
	if (!good)
		iv_fail("at rest: %s", what);
}

static const uint64_t *words_at(uint64_t offset)
{
	return (const uint64_t *)(const void *)(iv_tables + offset);
}

/* Of pages of links, above ends of so many bits. */
static unsigned levels_of(const struct pt_sparse *tree, unsigned bits)
{
	return ((tree->root & 0xfff) - bits) / 9;
}

/* Word `n` of a tree with ends of `bits`; NULL: it is nowhere. */
static const uint64_t *word(const struct pt_sparse *tree, unsigned bits, uint64_t n)
{
	uint64_t link = tree->root, number = n ^ tree->base, half = n >> (bits - 1) & 1;

	if (number >= tree->near_end && (!link || number >> (link & 0xfff)))
		return NULL;
	if (number < tree->near_end)
		link = tree->near[number >> bits];
	else
		for (unsigned level = levels_of(tree, bits); link && level--;)
			link = words_at(link & IV_LINK_OFF)[(number >> (9 * level + bits)) % WORDS];
	return iv_half(link, (unsigned)half)
		       ? words_at(iv_half(link, (unsigned)half)) + n % (UINT64_C(1) << (bits - 1))
		       : NULL;
}

static bool is_listed(unsigned class, uint64_t canonical, const uint64_t *link)
{
	uint64_t n = canonical >> (12 + 9 * class), before = 0;
	const uint64_t *heads = word(&iv_w.nested.heads[class], IV_HEAD_BITS, n / 2);

	for (uint64_t id = heads ? *heads >> n % 2 * 32 & ID : 0; id;
	     before = id, id = *words_at(id << 4) & ID) {
		check(*words_at(id << 4) >> 32 == before, "a list is not the same backwards");
		if (words_at(id << 4) == link)
			return true;
	}
	return false;
}

static void look_at_leaf(const struct pt_shadow *s, uint64_t ipa, uint64_t e, int level)
{
	uint64_t canonical = (e & OA) - iv_w.slots[0].head.slot[0].pa;
	unsigned class = level < PT_LEVEL_LAST, shift = class ? 21 : 12;
	const uint64_t *link = word(&s->directory[class], IV_LINK_BITS, 2 * (ipa >> shift));

	seen.leaves++;
	check(link && link[1] & SET, "a shadow's leaf has no link");
	check((link[1] & ~COUNT) == (SET | (uint64_t)shift << 40 | canonical >> 12),
	      "a link names another page than its leaf");
	check(is_listed(class, canonical, link), "a shadow's leaf is in no list");
}

static void look_at_shadow(const struct pt_shadow *s)
{
	int level = PT_LEVEL_LAST;

	for (uint64_t ipa = 0; ipa < IV_SHADOW_END && level == PT_LEVEL_LAST; ipa += 0x1000) {
		uint64_t e = iv_shadow_entry(s, ipa, &level);

		if (e & 1)
			look_at_leaf(s, ipa, e, level);
	}
}

/* The first of a list says how many it has, and the others do not. */
static void count_list(uint64_t first)
{
	uint64_t there = 0;

	for (uint64_t id = first; id; id = *words_at(id << 4) & ID, there++)
		check(id == first || !(words_at(id << 4)[1] & COUNT),
		      "a link counts that is not the first");
	check(!first || (words_at(first << 4)[1] & COUNT) >> 46 == there,
	      "a list has not so many as it says");
	seen.listed += there;
}

/* Each head that says something keeps its words, and nothing else does at rest. */
static void count_heads(uint64_t link)
{
	uint64_t say = 0;

	for (unsigned half = 0; half < 2; half++) {
		const uint64_t *words = words_at(iv_half(link, half));

		for (unsigned i = 0; iv_half(link, half) && i < 1 << (IV_HEAD_BITS - 1); i++) {
			count_list(words[i] & ID);
			count_list(words[i] >> 32 & ID);
			say += (uint32_t)words[i] != 0;
			say += words[i] >> 32 != 0;
		}
	}
	check(link >> 52 == say, "heads are kept by other than what they say");
}

static void each_heads(uint64_t link, unsigned level)
{
	const uint64_t *page = words_at(link & IV_LINK_OFF);

	for (unsigned i = 0; i < WORDS; i++)
		if (page[i] && level > 1)
			each_heads(page[i], level - 1);
		else if (page[i])
			count_heads(page[i]);
}

void iv_shadow_links_rest(void)
{
	seen.leaves = seen.listed = 0;
	for (unsigned n = 0; n < IV_SHADOWS; n++)
		if (iv_w.shadow[n].state == PT_SHADOW_LIVE)
			look_at_shadow(&iv_w.shadow[n]);
	for (unsigned i = 0; i < PT_NEAR_HEADS; i++)
		count_heads(iv_w.nested.near_heads[i]);
	for (unsigned i = 0; i < PT_SHADOW_CLASSES; i++)
		if (iv_w.nested.heads[i].root)
			each_heads(iv_w.nested.heads[i].root,
				   levels_of(&iv_w.nested.heads[i], IV_HEAD_BITS));
	check(seen.leaves == seen.listed, "lists have links of leaves that are not there");
}
