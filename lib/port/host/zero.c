/* SPDX-License-Identifier: BSD-2-Clause */
/* Host port: zeroing of private tables and frames. */
#include <pt/platform.h>

#include <string.h>

void pt_port_zero(void *at, size_t bytes)
{
	memset(at, 0, bytes);
}
