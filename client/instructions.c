/* SPDX-License-Identifier: BSD-2-Clause */
/* System instructions of a guest hypervisor, by name: TLBI and AT. */
#include "instructions.h"

#define SYS(op1, crn, crm, op2)                                                                    \
	(1u << 20 | (op2) << 17 | (op1) << 14 | (uint32_t)(crn) << 10 | (crm) << 1)
#define TLBI(name, op1, crm, op2)                                                                  \
	{                                                                                          \
		name, SYS(op1, 8, crm, op2), false                                                 \
	}
#define TLBI_IPA(name, crm, op2)                                                                   \
	{                                                                                          \
		name, SYS(4u, 8, crm, op2), true                                                   \
	}
#define AT(name, op1, crm, op2)                                                                    \
	{                                                                                          \
		name, SYS(op1, 7, crm, op2), false                                                 \
	}

/* Arm ARM C5.5: all have CRn 8, and 9 with nXS. */
const struct instruction tlbi_instructions[] = {
	TLBI("alle1", 4u, 7u, 4u),	  TLBI("alle1is", 4u, 3u, 4u),
	TLBI("alle1os", 4u, 1u, 4u),	  TLBI("vmalls12e1", 4u, 7u, 6u),
	TLBI("vmalls12e1is", 4u, 3u, 6u), TLBI("vmalls12e1os", 4u, 1u, 6u),
	TLBI_IPA("ipas2e1", 4u, 1u),	  TLBI_IPA("ipas2e1is", 0u, 1u),
	TLBI_IPA("ipas2e1os", 4u, 0u),	  TLBI_IPA("ipas2le1", 4u, 5u),
	TLBI_IPA("ipas2le1is", 0u, 5u),	  TLBI_IPA("ipas2le1os", 4u, 4u),
	TLBI("ripas2e1", 4u, 4u, 2u),	  TLBI("ripas2e1is", 4u, 0u, 2u),
	TLBI("ripas2e1os", 4u, 4u, 3u),	  TLBI("ripas2le1", 4u, 4u, 6u),
	TLBI("ripas2le1is", 4u, 0u, 6u),  TLBI("ripas2le1os", 4u, 4u, 7u),
	TLBI("vmalle1", 0u, 7u, 0u),	  TLBI("vmalle1is", 0u, 3u, 0u),
	TLBI("vmalle1os", 0u, 1u, 0u),	  {0}};

/* Arm ARM C5.4: all have CRn 7. */
const struct instruction at_instructions[] = {AT("s1e1r", 0u, 8u, 0u),
					      AT("s1e1w", 0u, 8u, 1u),
					      AT("s1e0r", 0u, 8u, 2u),
					      AT("s1e0w", 0u, 8u, 3u),
					      AT("s1e1rp", 0u, 9u, 0u),
					      AT("s1e1wp", 0u, 9u, 1u),
					      AT("s12e1r", 4u, 8u, 4u),
					      AT("s12e1w", 4u, 8u, 5u),
					      AT("s12e0r", 4u, 8u, 6u),
					      AT("s12e0w", 4u, 8u, 7u),
					      {0}};
