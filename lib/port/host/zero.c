/* SPDX-License-Identifier: BSD-2-Clause */
/* Host port: zeroing of private tables and frames. */
#include <pt/platform.h>

#include <string.h>

void pt_port_zero(void *at, size_t bytes)
{
	pt_port_note(PT_EVENT_ZERO, 0, at, NULL, bytes, 0);
	memset(at, 0, bytes);
}
