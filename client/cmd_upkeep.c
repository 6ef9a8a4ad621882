/* SPDX-License-Identifier: BSD-2-Clause */
/* ptctl age, split, collapse and dirty. */
#include "commands.h"

#include "ptd/v1/mapping.pb-c.h"

int cmd_age(struct ptctl *ctl)
{
	Ptd__V1__AgeRequest request = PTD__V1__AGE_REQUEST__INIT;

	return ptctl_ask(ctl, "/ptd.v1.MappingService/Age", &request.base,
			 &ptd__v1__age_response__descriptor);
}

int cmd_split(struct ptctl *ctl)
{
	Ptd__V1__SplitRequest request = PTD__V1__SPLIT_REQUEST__INIT;

	/* Choices 1, 2, 3 are numbered from 1 on. */
	if (ptctl_given(ctl, "level"))
		request.level_plus_2 = (uint32_t)ptctl_number(ctl, "level") + 2;
	return ptctl_ask(ctl, "/ptd.v1.MappingService/Split", &request.base,
			 &ptd__v1__split_response__descriptor);
}

int cmd_collapse(struct ptctl *ctl)
{
	Ptd__V1__CollapseRequest request = PTD__V1__COLLAPSE_REQUEST__INIT;

	return ptctl_ask(ctl, "/ptd.v1.MappingService/Collapse", &request.base,
			 &ptd__v1__collapse_response__descriptor);
}

int cmd_dirty_start(struct ptctl *ctl)
{
	Ptd__V1__StartDirtyLogRequest request = PTD__V1__START_DIRTY_LOG_REQUEST__INIT;

	return ptctl_ask(ctl, "/ptd.v1.MappingService/StartDirtyLog", &request.base,
			 &ptd__v1__start_dirty_log_response__descriptor);
}

int cmd_dirty_get(struct ptctl *ctl)
{
	Ptd__V1__GetDirtyLogRequest request = PTD__V1__GET_DIRTY_LOG_REQUEST__INIT;

	return ptctl_ask(ctl, "/ptd.v1.MappingService/GetDirtyLog", &request.base,
			 &ptd__v1__get_dirty_log_response__descriptor);
}

int cmd_dirty_stop(struct ptctl *ctl)
{
	Ptd__V1__StopDirtyLogRequest request = PTD__V1__STOP_DIRTY_LOG_REQUEST__INIT;

	return ptctl_ask(ctl, "/ptd.v1.MappingService/StopDirtyLog", &request.base,
			 &ptd__v1__stop_dirty_log_response__descriptor);
}

int cmd_dirty_list(struct ptctl *ctl)
{
	Ptd__V1__ListDirtyLogsRequest request = PTD__V1__LIST_DIRTY_LOGS_REQUEST__INIT;

	return ptctl_ask(ctl, "/ptd.v1.MappingService/ListDirtyLogs", &request.base,
			 &ptd__v1__list_dirty_logs_response__descriptor);
}
