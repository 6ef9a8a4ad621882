/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses, descriptors, permissions and the small types that every module of lib shares. */
#ifndef PT_TYPES_H
#define PT_TYPES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Distinct types at module borders, so that an IPA cannot be passed where a PA is meant. Bytes. */
struct pt_ipa {
	uint64_t v;
};
struct pt_pa {
	uint64_t v;
};

static inline struct pt_ipa pt_ipa(uint64_t v)
{
	return (struct pt_ipa){v};
}

static inline struct pt_pa pt_pa(uint64_t v)
{
	return (struct pt_pa){v};
}

/* A VMSAv8-64 descriptor as it stands in memory. */
typedef uint64_t pt_pte;

/* Lookup levels are signed as in the Arm ARM: -1 (LPA2 only) to 3. */
#define PT_LEVEL_FIRST (-1)
#define PT_LEVEL_LAST  3
#define PT_TTL_UNKNOWN 127 /* no level: no walk was made, or tables went, too */
#define PT_LEVELS      5

/* Access rights, memory type and software bits of a mapping: rights in 7:0, enum pt_memtype in
 * 15:8, software bits in 19:16. */
#define PT_PROT_R	  0x1u
#define PT_PROT_W	  0x2u
#define PT_PROT_PX	  0x4u /* execute at EL1 */
#define PT_PROT_UX	  0x8u /* execute at EL0 */
#define PT_PROT_RW	  (PT_PROT_R | PT_PROT_W)
#define PT_PROT_X	  (PT_PROT_PX | PT_PROT_UX)
#define PT_PROT_RWX	  (PT_PROT_RW | PT_PROT_X)
#define PT_PROT_RIGHTS	  0xffu
#define PT_PROT_MEM_SHIFT 8
#define PT_PROT_MEM_MASK  0xff00u
#define PT_PROT_SW	  0xf0000u /* descriptor bits 58:55; each has an owner: pt_ctx_sw_own() */
#define PT_PROT_SW_SHIFT  16

enum pt_memtype {
	PT_MEM_NORMAL = 0, /* Normal, inner and outer write-back */
	PT_MEM_NC = 1,	   /* Normal, non-cacheable */
	PT_MEM_DEVICE = 2, /* Device-nGnRE */
	PT_MEM_TYPES
};

#define PT_PROT(rights, type) ((uint32_t)(rights) | ((uint32_t)(type) << PT_PROT_MEM_SHIFT))

static inline enum pt_memtype pt_prot_memtype(uint32_t prot)
{
	return (enum pt_memtype)((prot & PT_PROT_MEM_MASK) >> PT_PROT_MEM_SHIFT);
}

/* What an agent does to memory; a bit set only where a function says so. */
enum pt_access {
	PT_ACCESS_READ = 1,
	PT_ACCESS_WRITE = 2,
	PT_ACCESS_EXEC = 3,
	PT_ACCESS_AT = 4, /* address translation instruction: checked as a read, moves no data */
};

/* Flags of a map item. An unknown bit is PT_INVALID. */
#define PT_MAP_REPLACE	   0x1u /* another output address, or a table below, may be overwritten */
#define PT_MAP_FORCE_PAGES 0x2u /* never a block: last-level pages only */
#define PT_MAP_CONTIGUOUS                                                                          \
	0x4u /* the contiguous hint on each group of leaves that this item makes as a whole */
#define PT_MAP_FLAGS 0x7u

#define PT_SZ_4K  (UINT64_C(1) << 12)
#define PT_SZ_16K (UINT64_C(1) << 14)
#define PT_SZ_64K (UINT64_C(1) << 16)
#define PT_SZ_2M  (UINT64_C(1) << 21)
#define PT_SZ_1G  (UINT64_C(1) << 30)

#endif
