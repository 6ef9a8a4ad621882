/* SPDX-License-Identifier: BSD-2-Clause */
/* The rows of the outcome table. */
#include <pt/outcome.h>

#include <stddef.h>

/* Indexed by number: the numbers are wire format and have gaps, which stay NULL names. */
static const struct pt_outcome_info table[] = {
#define PT_X(id, number, cls, status, line, advice)                                                \
	[number] = {.name = #id,                                                                   \
		    .text = line,                                                                  \
		    .hint = advice,                                                                \
		    .code = PT_##id,                                                               \
		    .class = PT_CLASS_##cls,                                                       \
		    .grpc = PT_GRPC_##status},
	PT_OUTCOME_TABLE(PT_X)
#undef PT_X
};

const struct pt_outcome_info *pt_outcome_info(unsigned code)
{
	if (code >= sizeof(table) / sizeof(table[0]) || !table[code].name)
		return NULL;
	return &table[code];
}
