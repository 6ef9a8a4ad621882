/* SPDX-License-Identifier: BSD-2-Clause */
/* Times in a fixed table. */
#include "histogram.h"

#include <string.h>

/* Values below HISTOGRAM_STEPS have a slot each; above, the top seven bits choose it. */
static uint32_t slot_of(uint64_t ns)
{
	uint32_t top, slot;

	if (ns < HISTOGRAM_STEPS)
		return (uint32_t)ns;
	top = 63u - (uint32_t)__builtin_clzll(ns);
	slot = (top - 5) * HISTOGRAM_STEPS + (uint32_t)((ns >> (top - 6)) & (HISTOGRAM_STEPS - 1));
	return slot < HISTOGRAM_SLOTS ? slot : HISTOGRAM_SLOTS - 1;
}

/* The middle of a slot. */
static uint64_t value_of(uint32_t slot)
{
	uint32_t top = slot / HISTOGRAM_STEPS + 5;
	uint64_t step;

	if (slot < HISTOGRAM_STEPS)
		return slot;
	step = UINT64_C(1) << (top - 6);
	return (HISTOGRAM_STEPS + slot % HISTOGRAM_STEPS) * step + step / 2;
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
	histogram->slot[slot_of(ns)]++;
	histogram->count++;
	if (ns > histogram->max_ns)
		histogram->max_ns = ns;
}

uint64_t histogram_percentile(const struct histogram *histogram, double share)
{
	uint64_t left = (uint64_t)((double)histogram->count * share);

	for (uint32_t i = 0; i < HISTOGRAM_SLOTS; i++) {
		if (histogram->slot[i] > left)
			return value_of(i);
		left -= histogram->slot[i];
	}
	return histogram->max_ns;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	for (uint32_t i = 0; i < HISTOGRAM_SLOTS; i++)
		into->slot[i] += from->slot[i];
	into->count += from->count;
	if (from->max_ns > into->max_ns)
		into->max_ns = from->max_ns;
}

void histogram_clear(struct histogram *histogram)
{
	memset(histogram, 0, sizeof(*histogram));
}
