/* SPDX-License-Identifier: BSD-2-Clause */
/* System instructions of a guest hypervisor, by name. */
#ifndef CLIENT_INSTRUCTIONS_H
#define CLIENT_INSTRUCTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct instruction {
	const char *name;
	uint32_t sys; /* as in ESR_EL2.ISS for EC 0x18 */
	bool address; /* of a TLBI: the operand is an address alone */
};

/* Of a TLBI: does it have an operand, an address or a range? */
static inline bool instruction_takes(const struct instruction *tlbi)
{
	return tlbi->address || tlbi->name[0] == 'r';
}

/* Each ends at a NULL name, and is in the order of the choices of client/table.c. */
extern const struct instruction tlbi_instructions[], at_instructions[];

#define INSTRUCTION_NXS (1u << 10) /* of a TLBI: the nXS form */

#endif
