/* SPDX-License-Identifier: BSD-2-Clause */
/* A program with a defect, for test_replay.py: while a range unmap flushes, the leaf is put back.
 */
#include "../unit/core.h"

#include <pt/host/checked.h>

static pt_pte *slot;
static pt_pte leaf;

static void hook(const struct pt_event *e)
{
	if (e->kind == PT_EVENT_STORE && e->lo && !e->hi) {
		slot = (pt_pte *)(uintptr_t)e->at;
		leaf = e->lo;
	}
	if (e->kind == PT_EVENT_TLBI && slot) {
		pt_host_event_hook = NULL;
		pt_pte_store(slot, leaf);
	}
}

int main(int argc, char **argv)
{
	struct core c;

	(void)argv;
	core_open(&c, &shapes[0]);
	core_map(&c, 0, 0x3000, 0x1000, PT_PROT_RW, 0);
	if (argc > 1)
		pt_host_event_hook = hook;
	core_unmap(&c, 0, 0x2000);
	core_close(&c);
	return 0;
}
