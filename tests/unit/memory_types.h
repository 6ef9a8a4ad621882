/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory types as the Arm ARM's pseudocode applies stage 2 to what stage 1 says: an oracle that
 * shares nothing with lib. */
#ifndef TESTS_UNIT_MEMORY_TYPES_H
#define TESTS_UNIT_MEMORY_TYPES_H

#include <stdbool.h>

#define STAGE_1_TYPES 13

/* A memory type after some stages: Device 0 to 3 (nGnRnE, nGnRE, nGRE, GRE); else Normal, outer and
 * inner 1 (NC), 2 (WT), 3 (WB). */
struct type {
	bool device;
	unsigned device_type, outer, inner;
};

static inline unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* AArch64.S2ApplyFWBMemAttrs. */
static inline struct type apply_fwb(struct type s1, unsigned attr)
{
	if (!(attr & 4)) {
		unsigned d = attr & 3;

		return (struct type){true, s1.device ? least(d, s1.device_type) : d, 0, 0};
	}
	if ((attr & 3) == 3)
		return s1;
	if ((attr & 3) == 2)
		return (struct type){false, 0, 3, 3};
	return s1.device ? s1 : (struct type){false, 0, 1, 1};
}

/* S2CombineS1MemAttrs. */
static inline struct type apply_plain(struct type s1, unsigned attr)
{
	if (!(attr & 0xc)) {
		unsigned d = attr & 3;

		return (struct type){true, s1.device ? least(d, s1.device_type) : d, 0, 0};
	}
	if (s1.device)
		return s1;
	return (struct type){false, 0, least(s1.outer, attr >> 2), least(s1.inner, attr & 3)};
}

static inline struct type apply(struct type s1, unsigned attr, bool fwb)
{
	return fwb ? apply_fwb(s1, attr) : apply_plain(s1, attr);
}

static inline bool same(struct type a, struct type b)
{
	return a.device == b.device && a.device_type == b.device_type && a.outer == b.outer &&
	       a.inner == b.inner;
}

/* Is `a` the same as b or stricter? */
static inline bool no_weaker(struct type a, struct type b)
{
	if (a.device)
		return !b.device || a.device_type <= b.device_type;
	return !b.device && a.outer <= b.outer && a.inner <= b.inner;
}

static inline bool is_reserved(unsigned attr, bool fwb)
{
	return fwb ? attr > 7 || attr == 4 : attr & 0xc && !(attr & 3);
}

/* Every type that stage 1 can give. */
static inline unsigned every_type(struct type all[STAGE_1_TYPES])
{
	unsigned n = 0;

	for (unsigned d = 0; d < 4; d++)
		all[n++] = (struct type){true, d, 0, 0};
	for (unsigned o = 1; o < 4; o++)
		for (unsigned i = 1; i < 4; i++)
			all[n++] = (struct type){false, 0, o, i};
	return n;
}

/* Is what one encoding makes of each type of stage 1's what both stages make of it; or at least no
 * less strict? */
static inline bool says_both(unsigned both, unsigned guest, bool guest_fwb, unsigned host,
			     bool host_fwb, bool exactly)
{
	struct type all[STAGE_1_TYPES];
	unsigned types = every_type(all);

	for (unsigned t = 0; t < types; t++) {
		struct type want = apply(apply(all[t], guest, guest_fwb), host, host_fwb);
		struct type is = apply(all[t], both, host_fwb);

		if (exactly ? !same(is, want) : !no_weaker(is, want))
			return false;
	}
	return !is_reserved(both, host_fwb);
}

/* What a leaf of both may say: the same where there is an encoding for it, else nothing less
 * strict. */
static inline bool is_type_of_both(unsigned both, unsigned guest, bool guest_fwb, unsigned host,
				   bool host_fwb)
{
	if (says_both(both, guest, guest_fwb, host, host_fwb, true))
		return true;
	for (unsigned other = 0; other < 16; other++)
		if (says_both(other, guest, guest_fwb, host, host_fwb, true))
			return false;
	return says_both(both, guest, guest_fwb, host, host_fwb, false);
}

#endif
