/* SPDX-License-Identifier: BSD-2-Clause */
/* Fault status codes: a class, with a level; private to lib. */
#ifndef PT_NESTED_FSC_H
#define PT_NESTED_FSC_H

#include <stdint.h>

/* Values of the class at level 0: ESR_EL2.ISS.DFSC and IFSC, PAR_EL1.FST (Arm ARM D24.2.40). */
enum pt__fsc {
	PT__FSC_ADDRESS_SIZE = 0x00,
	PT__FSC_TRANSLATION = 0x04,
	PT__FSC_ACCESS_FLAG = 0x08,
	PT__FSC_PERMISSION = 0x0c,
	PT__FSC_EXTERNAL_WALK = 0x14, /* synchronous external abort on a walk */
	PT__FSC_ATOMIC_UPDATE = 0x31, /* unsupported atomic hardware update: no level */
};

/* The code of a class at a level; -1 has codes of its own, and none for access flag and permission,
 * since no leaf stands there. */
static inline uint8_t pt__fsc(enum pt__fsc class, int level)
{
	if (class == PT__FSC_ATOMIC_UPDATE)
		return PT__FSC_ATOMIC_UPDATE;
	if (level >= 0)
		return (uint8_t)(class | (unsigned)level);
	switch (class) {
	case PT__FSC_ADDRESS_SIZE: return 0x29;
	case PT__FSC_EXTERNAL_WALK: return 0x13;
	default: return 0x2b;
	}
}

#endif
