/* SPDX-License-Identifier: BSD-2-Clause */
/* ptctl failpoint. */
#include "commands.h"

#include "ptd/v1/failpoint.pb-c.h"

int cmd_failpoint_arm(struct ptctl *ctl)
{
	Ptd__V1__ArmFailpointRequest request = PTD__V1__ARM_FAILPOINT_REQUEST__INIT;
	Ptd__V1__Failpoint failpoint = PTD__V1__FAILPOINT__INIT;
	int result;

	if (!ptctl_given(ctl, "action"))
		return ptctl_usage(ctl, "--action is needed: error, drop or delay");
	if (!ptctl_given(ctl, "nth") && !ptctl_given(ctl, "ppm"))
		return ptctl_usage(ctl, "--nth or --ppm is needed: which hits fail");
	result = ptctl_fill(ctl, &failpoint.base);
	if (result)
		return result;
	if (failpoint.action == PTD__V1__FAILPOINT_ACTION__FAILPOINT_ACTION_DELAY &&
	    !failpoint.delay_ms)
		return ptctl_usage(ctl, "--delay is needed with --action delay");
	request.failpoint = &failpoint;
	return ptctl_show(ctl, "/ptd.v1.FailpointService/ArmFailpoint", &request.base,
			  &ptd__v1__arm_failpoint_response__descriptor);
}

int cmd_failpoint_disarm(struct ptctl *ctl)
{
	Ptd__V1__DisarmFailpointsRequest request = PTD__V1__DISARM_FAILPOINTS_REQUEST__INIT;

	return ptctl_ask(ctl, "/ptd.v1.FailpointService/DisarmFailpoints", &request.base,
			 &ptd__v1__disarm_failpoints_response__descriptor);
}

int cmd_failpoint_list(struct ptctl *ctl)
{
	Ptd__V1__ListFailpointsRequest request = PTD__V1__LIST_FAILPOINTS_REQUEST__INIT;

	return ptctl_show(ctl, "/ptd.v1.FailpointService/ListFailpoints", &request.base,
			  &ptd__v1__list_failpoints_response__descriptor);
}
