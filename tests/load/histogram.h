/* SPDX-License-Identifier: BSD-2-Clause */
/* Times in a fixed table: 64 steps for each power of two, so a percentile is right within 1.6 %. */
#ifndef LOAD_HISTOGRAM_H
#define LOAD_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEPS 64u
#define HISTOGRAM_SLOTS (40u * HISTOGRAM_STEPS)

struct histogram {
	uint64_t slot[HISTOGRAM_SLOTS];
	uint64_t count, max_ns;
};

void histogram_add(struct histogram *histogram, uint64_t ns);
/* `share` of all times are at most this long; 0 without any. */
uint64_t histogram_percentile(const struct histogram *histogram, double share);
void histogram_merge(struct histogram *into, const struct histogram *from);
void histogram_clear(struct histogram *histogram);

#endif
