/* SPDX-License-Identifier: BSD-2-Clause */
/* ptd-nested: random guests and hosts beside the oracle of composition, as TAP. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "nested/play.h"

#define PLAY_STEPS 1000

static uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

/* Each kind of operation and of what came of it came up so often at least. */
static bool is_enough(const struct nested_counts *c, uint64_t least)
{
	const char *lacks = nested_lacks(c, least);

	if (lacks)
		printf("# less than %" PRIu64 " %s\n", least, lacks);
	return !lacks;
}

int main(void)
{
	uint64_t seed = setting("PTD_SEED", 1), wanted = setting("PTD_OPERATIONS", 200000);
	struct nested_counts c = {0};
	char failure[256] = "";
	bool good = true;

	setenv("CMOCKA_TEST_ABORT", "1", 1); /* an assertion that fails says so, and is a crash */
	printf("PTD_SEED=%" PRIu64 " PTD_OPERATIONS=%" PRIu64 "\n1..1\n", seed, wanted);
	while (good && c.operations < wanted) {
		good = nested_play(seed, PLAY_STEPS, NESTED_AS_IS, &c, failure);
		seed += good;
	}
	if (!good)
		printf("# PTD_SEED=%" PRIu64 ": %s\n", seed, failure);
	else
		good = is_enough(&c, setting("PTD_LEAST", 1));
	printf("# %" PRIu64 " operations\n", c.operations);
	nested_print(&c);
	printf("%sok 1 - shadows are what guest and host say together\n", good ? "" : "not ");
	return !good;
}
