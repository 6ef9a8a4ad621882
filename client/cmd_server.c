/* SPDX-License-Identifier: BSD-2-Clause */
/* ptctl server and health. */
#include "commands.h"
#include "fields.h"

#include "grpc/health/v1/health.pb-c.h"
#include "ptd/v1/server.pb-c.h"

#include <stdlib.h>

int cmd_server_info(struct ptctl *ctl)
{
	Ptd__V1__GetInfoRequest request = PTD__V1__GET_INFO_REQUEST__INIT;

	return ptctl_show(ctl, "/ptd.v1.ServerService/GetInfo", &request.base,
			  &ptd__v1__get_info_response__descriptor);
}

int cmd_server_stats(struct ptctl *ctl)
{
	Ptd__V1__GetStatsRequest request = PTD__V1__GET_STATS_REQUEST__INIT;

	return ptctl_show(ctl, "/ptd.v1.ServerService/GetStats", &request.base,
			  &ptd__v1__get_stats_response__descriptor);
}

int cmd_server_drain(struct ptctl *ctl)
{
	Ptd__V1__DrainRequest request = PTD__V1__DRAIN_REQUEST__INIT;

	return ptctl_show(ctl, "/ptd.v1.ServerService/Drain", &request.base,
			  &ptd__v1__drain_response__descriptor);
}

int cmd_health(struct ptctl *ctl)
{
	Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
	const char *service = ptctl_text(ctl, "service");
	ProtobufCMessage *message;
	bool serving;
	int result;

	request.service = (char *)(uintptr_t)(service ? service : "");
	result = ptctl_call(ctl, "/grpc.health.v1.Health/Check", &request.base,
			    &grpc__health__v1__health_check_response__descriptor, &message);
	if (result)
		return result;
	output_message(&ctl->out, message, &ctl->command->view);
	serving = ((Grpc__Health__V1__HealthCheckResponse *)message)->status ==
		  GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
	protobuf_c_message_free_unpacked(message, NULL);
	return serving ? EXIT_DONE : EXIT_MISMATCH;
}
