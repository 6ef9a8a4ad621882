/* SPDX-License-Identifier: BSD-2-Clause */
/* ptctl machine. */
#include "commands.h"
#include "pages.h"

#include "ptd/v1/machine.pb-c.h"

int cmd_machine_create(struct ptctl *ctl)
{
	Ptd__V1__CreateMachineRequest request = PTD__V1__CREATE_MACHINE_REQUEST__INIT;

	ctl->about = ptctl_text(ctl, "name");
	request.memory_bytes = UINT64_C(1) << 30;
	request.vcpus = 1;
	return ptctl_ask(ctl, "/ptd.v1.MachineService/CreateMachine", &request.base,
			 &ptd__v1__create_machine_response__descriptor);
}

static const char *next_page(ProtobufCMessage *request, const ProtobufCMessage *response)
{
	Ptd__V1__ListMachinesRequest *list = (Ptd__V1__ListMachinesRequest *)request;

	list->page_token = ((const Ptd__V1__ListMachinesResponse *)response)->next_page_token;
	return list->page_token;
}

int cmd_machine_list(struct ptctl *ctl)
{
	Ptd__V1__ListMachinesRequest request = PTD__V1__LIST_MACHINES_REQUEST__INIT;

	return pages_show(ctl, "/ptd.v1.MachineService/ListMachines", &request.base,
			  &ptd__v1__list_machines_response__descriptor, next_page);
}

int cmd_machine_show(struct ptctl *ctl)
{
	Ptd__V1__GetMachineRequest request = PTD__V1__GET_MACHINE_REQUEST__INIT;
	const struct value *machine = ptctl_value(ctl, "machine");

	ctl->about = machine->text;
	request.handle = machine->number;
	if (!machine->number)
		request.name = (char *)(uintptr_t)machine->text;
	return ptctl_show(ctl, "/ptd.v1.MachineService/GetMachine", &request.base,
			  &ptd__v1__get_machine_response__descriptor);
}

int cmd_machine_delete(struct ptctl *ctl)
{
	Ptd__V1__DeleteMachineRequest request = PTD__V1__DELETE_MACHINE_REQUEST__INIT;

	return ptctl_ask(ctl, "/ptd.v1.MachineService/DeleteMachine", &request.base,
			 &ptd__v1__delete_machine_response__descriptor);
}

int cmd_machine_read(struct ptctl *ctl)
{
	Ptd__V1__ReadMemoryRequest request = PTD__V1__READ_MEMORY_REQUEST__INIT;

	return ptctl_ask(ctl, "/ptd.v1.MachineService/ReadMemory", &request.base,
			 &ptd__v1__read_memory_response__descriptor);
}

int cmd_machine_write(struct ptctl *ctl)
{
	Ptd__V1__WriteMemoryRequest request = PTD__V1__WRITE_MEMORY_REQUEST__INIT;

	return ptctl_ask(ctl, "/ptd.v1.MachineService/WriteMemory", &request.base,
			 &ptd__v1__write_memory_response__descriptor);
}
