/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The other half of an MMU: a stage-2 walker that follows the Arm ARM's pseudocode from VTCR_EL2
 * and VTTBR_EL2 alone (AArch64.S2Walk). It shares no header with lib, so that one mistake cannot
 * hide in both.
 */
#ifndef PT_HOST_HWWALK_H
#define PT_HOST_HWWALK_H

#include <stdbool.h>
#include <stdint.h>

enum hw_access { HW_READ = 1, HW_WRITE = 2, HW_EXEC = 3, HW_AT = 4 };

/* DFSC/IFSC classes of a stage-2 fault; the level is apart. */
enum hw_fault {
	HW_NO_FAULT,
	HW_ADDRESS_SIZE,
	HW_TRANSLATION,
	HW_ACCESS_FLAG,
	HW_PERMISSION,
	HW_EXTERNAL,
	HW_TLB_CONFLICT /* no level; EL2 invalidates and returns to the same instruction */
};

struct hw_regs {
	uint64_t vtcr;
	uint64_t vttbr;
	bool fwb; /* HCR_EL2.FWB */
	bool xnx; /* FEAT_XNX */
};

/* How the walker reaches memory that holds tables. `read` returns false for a bus hole (external
 * abort on the walk). */
struct hw_bus {
	bool (*read)(void *arg, uint64_t pa, uint64_t *descriptor);
	/* Hardware update of AF (VTCR.HA) and dirty state (VTCR.HD): compare and swap; false if it
	 * was changed meanwhile. */
	bool (*cas)(void *arg, uint64_t pa, uint64_t old, uint64_t new);
	void *arg;
};

#define HW_MAX_STEPS 5

struct hw_step {
	uint64_t table; /* PA of the table read */
	uint64_t entry; /* PA of the descriptor */
	uint64_t descriptor;
	uint32_t index;
	int8_t level;
};

struct hw_result {
	enum hw_fault fault;
	int8_t level;	     /* of the leaf, or of the fault as FSC reports it */
	uint64_t pa;	     /* of the byte asked for */
	uint64_t span;	     /* bytes that the leaf covers */
	uint64_t descriptor; /* the leaf, or what ended the walk */
	bool read, write, exec_el1, exec_el0;
	uint8_t memattr; /* descriptor bits 5:2 */
	bool af_set;	 /* the walk set AF in memory (VTCR.HA) */
	unsigned steps;
	struct hw_step step[HW_MAX_STEPS]; /* the first `steps` of them are set */
};

/* One walk. `access` decides the permission check; el0 for instruction fetches under XNX. Pure but
 * for AF and dirty updates. */
void hw_walk(const struct hw_regs *regs, const struct hw_bus *bus, uint64_t ipa,
	     enum hw_access access, bool el0, struct hw_result *result);

/* ESR_EL2, FAR_EL2 and HPFAR_EL2 as the fault of `result` would set them. size 1, 2, 4, 8 gives
 * ISV=1 for data accesses. */
struct hw_syndrome {
	uint64_t esr, far, hpfar;
	bool hpfar_known; /* UNKNOWN on a permission fault without S1PTW */
};
void hw_syndrome(const struct hw_result *result, uint64_t ipa, enum hw_access access, bool s1ptw,
		 unsigned size, struct hw_syndrome *syndrome);

/* The reverse: class, level, access from a raw ESR (EC 0x20/0x24, stage-2 FSCs). False if it is not
 * a stage-2 abort. */
struct hw_abort {
	enum hw_fault fault;
	int8_t level;
	enum hw_access access;
	bool s1ptw;
};
bool hw_decode_abort(uint64_t esr, struct hw_abort *abort);

#endif
