/* SPDX-License-Identifier: BSD-2-Clause */
/* One agent's operations between two events of another's; what is judged when agents meet. */
#include "beside.h"

#include "../unit/core.h"

#include <pt/host/checked.h>

/* What the other agent does before an event of `kind`, once. */
static struct {
	struct core c;
	struct pt_agent b;
	uint8_t kind;
	void (*act)(void);
	unsigned acted;
} beside;

static void hook(const struct pt_event *e)
{
	struct pt_host_self self = pt_host_self;

	if (e->kind != beside.kind || !beside.act)
		return;
	pt_host_self = (struct pt_host_self){.thread = self.thread + 1000};
	pt_host_event_hook = NULL;
	pt_section_begin(&beside.b);
	beside.act();
	pt_section_end(&beside.b);
	beside.acted++;
	pt_host_self = self;
}

static void open_beside(enum pt_event_kind kind, void (*act)(void))
{
	memset(&beside, 0, sizeof(beside));
	core_open(&beside.c, &shapes[0]);
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&beside.c.tables.world, &beside.b));
	beside.kind = (uint8_t)kind;
	beside.act = act;
}

static void close_beside(void)
{
	assert_int_equal(1, beside.acted);
	pt_agent_leave(&beside.b);
	core_close(&beside.c);
}

static enum pt_outcome point_of(struct pt_agent *agent, enum pt_item_kind kind, uint32_t prot)
{
	struct pt_item item = core_item(&beside.c, kind, 0, 0x1000, 0x1000, prot, 0);
	struct pt_effects effects = {0};

	return pt_point(agent, &item, &effects, NULL);
}

static void unmap_and_map(void)
{
	ASSERT_OUTCOME(PT_UNMAPPED, point_of(&beside.b, PT_ITEM_UNMAP, 0));
	ASSERT_OUTCOME(PT_MAPPED, point_of(&beside.b, PT_ITEM_MAP, PT_PROT_RW));
}

/* W5: what the second agent flushed is clean, whatever the first still owes for its own reply. */
void unmapped_and_mapped_before_the_flush(void **state)
{
	struct core *c = &beside.c;

	(void)state;
	open_beside(PT_EVENT_TLBI, unmap_and_map);
	ASSERT_OUTCOME(PT_MAPPED, core_map(c, 0, 0x2000, 0x1000, PT_PROT_RW, 0));
	pt_section_begin(&c->agent);
	pt_host_event_hook = hook;
	ASSERT_OUTCOME(PT_PROTECTED, point_of(&c->agent, PT_ITEM_PROTECT, PT_PROT_R));
	pt_host_event_hook = NULL;
	pt_section_end(&c->agent);
	close_beside();
}
