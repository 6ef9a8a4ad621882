/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to the host port: events as text. */
#ifndef PORT_HOST_TRACE_H
#define PORT_HOST_TRACE_H

#include <pt/check.h>

#include <stdio.h>

/* An event with what it points to. */
struct host_event {
	struct pt_event event;
	struct pt_tlbi tlbi;
	struct pt_event_ctx facts;
};

void host_event_copy(struct host_event *to, const struct pt_event *event);

/* One line: the kind, then name=value for what is not 0. */
void host_event_print(FILE *file, const struct host_event *event);
/* The same read back; a number before the kind is passed over. False: no event. */
bool host_event_parse(const char *line, struct host_event *event);

void host_finding_print(FILE *file, const struct pt_finding *finding);

#endif
