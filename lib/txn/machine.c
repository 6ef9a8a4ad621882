/* SPDX-License-Identifier: BSD-2-Clause */
/* Machines, and waiting for the sections of their other agents. */
#include <pt/machine.h>

void pt_machine_init(struct pt_machine *machine, struct pt_world *world, struct pt_port *port,
		     struct pt_port_mmu *mmu, unsigned pa_bits)
{
	pt_port_note(PT_EVENT_MACHINE_INIT, 0, machine, NULL, (uintptr_t)mmu, 0);
	pt_port_note(PT_EVENT_LOCK_CLASS, PT_LOCK_CLAIM, &machine->lock, NULL, 0, 0);
	*machine = (struct pt_machine){
		.world = world, .port = port, .mmu = mmu, .pa_bits = (uint8_t)pa_bits};
}

/*
 * The fence pairs with pt_section_begin() and pt_machine_use(): for each agent, either the snapshot
 * sees its section (and bit), or its section sees what was written before the snapshot.
 */
void pt_grace_begin(struct pt_grace *grace, struct pt_machine *machine, const struct pt_agent *self)
{
	struct pt_world *world = machine->world;
	uint64_t agents;

	pt_port_fence_full();
	agents = atomic_load_explicit(&machine->agents, memory_order_relaxed);
	agents &= ~(UINT64_C(1) << self->id);
	grace->mask = 0;
	for (; agents; agents &= agents - 1) {
		unsigned id = (unsigned)__builtin_ctzll(agents);
		struct pt_agent *other =
			atomic_load_explicit(&world->agent[id], memory_order_acquire);
		uint64_t section;

		if (!other)
			continue;
		section = atomic_load_explicit(&other->section, memory_order_acquire);
		if (!(section & 1))
			continue;
		grace->seen[id] = section;
		grace->mask |= UINT64_C(1) << id;
	}
}

bool pt_grace_done(struct pt_grace *grace, const struct pt_machine *machine)
{
	for (uint64_t left = grace->mask; left; left &= left - 1) {
		unsigned id = (unsigned)__builtin_ctzll(left);
		struct pt_agent *other =
			atomic_load_explicit(&machine->world->agent[id], memory_order_acquire);

		if (!other ||
		    atomic_load_explicit(&other->section, memory_order_acquire) != grace->seen[id])
			grace->mask &= ~(UINT64_C(1) << id);
	}
	return grace->mask == 0;
}
