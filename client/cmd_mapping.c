/* SPDX-License-Identifier: BSD-2-Clause */
/* ptctl map, unmap, protect and wrprotect. */
#include "commands.h"

#include "ptd/v1/mapping.pb-c.h"

static uint32_t flags_of(const struct ptctl *ctl)
{
	return (ptctl_given(ctl, "replace") ? PTD_MAP_REPLACE : 0) |
	       (ptctl_given(ctl, "pages") ? PTD_MAP_PAGES : 0) |
	       (ptctl_given(ctl, "contiguous") ? PTD_MAP_CONTIGUOUS : 0);
}

int cmd_map(struct ptctl *ctl)
{
	Ptd__V1__MapRequest request = PTD__V1__MAP_REQUEST__INIT;
	int result = ptctl_fill(ctl, &request.base);

	if (result)
		return result;
	request.prot |= (uint32_t)ptctl_number(ctl, "software") << 16;
	request.flags = flags_of(ctl);
	return ptctl_show(ctl, "/ptd.v1.MappingService/Map", &request.base,
			  &ptd__v1__map_response__descriptor);
}

int cmd_unmap(struct ptctl *ctl)
{
	Ptd__V1__UnmapRequest request = PTD__V1__UNMAP_REQUEST__INIT;

	return ptctl_ask(ctl, "/ptd.v1.MappingService/Unmap", &request.base,
			 &ptd__v1__unmap_response__descriptor);
}

int cmd_protect(struct ptctl *ctl)
{
	Ptd__V1__ProtectRequest request = PTD__V1__PROTECT_REQUEST__INIT;

	return ptctl_ask(ctl, "/ptd.v1.MappingService/Protect", &request.base,
			 &ptd__v1__protect_response__descriptor);
}

int cmd_wrprotect(struct ptctl *ctl)
{
	Ptd__V1__WriteProtectRequest request = PTD__V1__WRITE_PROTECT_REQUEST__INIT;

	return ptctl_ask(ctl, "/ptd.v1.MappingService/WriteProtect", &request.base,
			 &ptd__v1__write_protect_response__descriptor);
}
