/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A compiled scenario: what `ptctl compile` writes and what the daemon's client and the EL2 image
 * run.
 *
 * A file is a header, header.records records of one size, and header.string_bytes bytes of
 * NUL-terminated strings. Little-endian, no pointers: names are offsets into the strings, objects
 * are indexes. Everything that is not used is zero. The checksum is FNV-1a, 64 bits, over the whole
 * file with the checksum field zero. A reader refuses another version, another size of header or
 * record, and an operation that it does not know.
 */
#ifndef SCENARIO_FORMAT_H
#define SCENARIO_FORMAT_H

#include <stdint.h>

#define SCN_MAGIC   UINT64_C(0x0a6e63732d647470) /* "ptd-scn\n" */
#define SCN_VERSION 1

#define SCN_MAX_RECORDS	 65536u
#define SCN_MAX_STRINGS	 (1u << 20)
#define SCN_MAX_MACHINES 64u
#define SCN_MAX_CONTEXTS 256u
#define SCN_MAX_DIGESTS	 64u
#define SCN_MAX_LOGS	 64u
#define SCN_MAX_STAGES	 256u
#define SCN_MAX_LANES	 64u
#define SCN_MAX_BATCH	 4096u	    /* records of a batch */
#define SCN_MAX_COUNT	 (1u << 20) /* operations of a record or batch */
#define SCN_MAX_TERMS	 8u
#define SCN_NONE	 0xffffu /* no context */

struct scn_header {
	uint64_t magic;
	uint16_t version;
	uint16_t header_bytes;
	uint16_t record_bytes;
	uint16_t reserved;
	uint32_t records;
	uint32_t string_bytes;
	uint32_t machines; /* so many indexes are in use, from 0 on */
	uint32_t contexts;
	uint32_t digests;
	uint32_t stages; /* with the one before the first stage line */
	uint32_t source; /* string: name of the source file */
	uint32_t reserved2;
	uint64_t total_bytes;
	uint64_t checksum;
};

/* Operations. Numbers are file format. */
enum scn_op {
	SCN_MACHINE = 1,     /* body.machine; `object` is its index, `name` its name */
	SCN_CONTEXT = 2,     /* body.context */
	SCN_SLOT = 3,	     /* body.slot */
	SCN_DELETE_SLOT = 4, /* body.slot.id */
	SCN_QUOTA = 5,	     /* body.quota */
	SCN_MAP = 6,	     /* body.map, also of the next two */
	SCN_UNMAP = 7,	     /* no pa, no prot */
	SCN_PROTECT = 8,     /* no pa */
	SCN_BATCH = 9,	     /* body.group: the next `records` records are one call */
	SCN_ACCESS = 10,     /* body.access */
	SCN_FAULT = 11,	     /* body.fault */
	SCN_TRANSLATE = 12,  /* body.fault.ipa, kind, vcpu, flags */
	SCN_DIGEST = 13,     /* body.digest: keeps the context's digest */
	SCN_STAGE = 14,	     /* `name`: a timed stage begins */
	SCN_EXPECT = 15,     /* body.expect: about the operation before, or the stage */
	SCN_FAILPOINT = 16,  /* body.failpoint, `name` */
	SCN_DISARM = 17,     /* all failpoints */
	SCN_PAR = 18,	     /* body.group: the next `records` records, by each of `lanes` vCPUs */
	SCN_DELETE_MACHINE = 19, /* `object` */
	SCN_DELETE_CONTEXT = 20, /* `object` */
	SCN_WRPROTECT = 21,	 /* body.map, as SCN_UNMAP */
	SCN_RELAX = 22,		 /* body.map, as SCN_PROTECT */
	SCN_ANNOTATE = 23,	 /* body.map; pa is the invalid descriptor */
	SCN_YOUNG = 24,		 /* body.map, as SCN_UNMAP */
	SCN_FLUSH = 25,		 /* the same */
	SCN_AGE = 26,		 /* body.map; flags: SCN_AGE_CLEAR */
	SCN_SPLIT = 27,		 /* body.map; prot: level + 2 (0: pages), pa: table pages, 0: any */
	SCN_COLLAPSE = 28,	 /* body.map, as SCN_UNMAP without flags */
	SCN_LOG_START = 29,	 /* body.log, also of the next two */
	SCN_LOG_GET = 30,
	SCN_LOG_STOP = 31,  /* index alone */
	SCN_OWN = 32,	    /* body.own */
	SCN_TABLES = 33,    /* body.tables: those of a guest hypervisor, by the maps that follow */
	SCN_TABLE_MAP = 34, /* body.table_map; after SCN_TABLES alone */
	SCN_ENTER =
		35,    /* body.enter; `object` and `name` are the shadow's, a context from now on */
	SCN_EXIT = 36, /* body.instruction.vcpu */
	SCN_TLBI = 37, /* body.instruction, also of the next one */
	SCN_GUEST_AT = 38,
	SCN_OPS
};

/* scn_record.flags */
#define SCN_F_OUTCOME                                                                              \
	0x1u		 /* an expect line states how the operation ends: a failure is no error    \
			  */
#define SCN_F_PAR   0x2u /* inside par */
#define SCN_F_BATCH 0x4u /* inside batch */
#define SCN_F_FLAGS 0x7u

#define SCN_MACHINE_OWNERS 1u /* its frames have owners (docs/ownership.md) */

struct scn_machine_body {
	uint64_t memory_bytes;
	uint32_t vcpus;
	uint32_t pa_bits;   /* 0: the target's choice */
	uint32_t vmid_bits; /* 0: the target's choice */
	uint32_t flags;	    /* SCN_MACHINE_OWNERS */
};

#define SCN_CTX_DS	  0x01u
#define SCN_CTX_FWB	  0x02u
#define SCN_CTX_XNX	  0x04u
#define SCN_CTX_HA	  0x08u
#define SCN_CTX_HD	  0x10u
#define SCN_CTX_IDENTITY  0x20u
#define SCN_CTX_PROTECTED 0x40u
#define SCN_CTX_NESTED	  0x80u
#define SCN_CTX_FLAGS	  0xffu

struct scn_context_body {
	uint64_t vtcr; /* not 0: instead of the geometry */
	uint64_t quota_pages;
	uint32_t machine;
	uint32_t flags; /* SCN_CTX_* */
	uint32_t kind;	/* ContextKind: 1 guest, 2 host */
	uint8_t granule_shift, ipa_bits, pa_bits;
	uint8_t start_plus_2; /* start level + 2; 0: chosen */
	uint32_t bbm;	      /* FEAT_BBM level: 0, 1 or 2 */
	uint32_t software;    /* bits 58:55 of a descriptor that maps may set, from 0 to 15 */
	uint32_t shadows;     /* SCN_CTX_NESTED: how many at a time */
};

struct scn_slot_body {
	uint64_t ipa, size, pa;
	uint64_t backing; /* 0: the granule */
	uint32_t id;
	uint32_t flags; /* Slot.flags */
};

struct scn_quota_body {
	uint64_t pages; /* 0: none */
};

#define SCN_MAP_VALIDATE 0x80000000u /* report, change nothing; the other flags are Ops.flags */

/* `count` operations, addresses `stride` apart; a lane of par begins lane * lane_step later. */
struct scn_map_body {
	uint64_t ipa, size, pa;
	uint64_t stride, lane_step;
	uint32_t prot, flags, count, reserved;
};

#define SCN_AGE_CLEAR 0x1u

#define SCN_LOG_EAGER 0x1u
#define SCN_LOG_ALL   0x2u /* every page counts as dirty at first */
#define SCN_LOG_CLEAR 0x4u

/* A dirty log of the record's context. */
struct scn_log_body {
	uint64_t ipa, size; /* LOG_GET: size 0 means all of it */
	uint32_t index;	    /* below SCN_MAX_LOGS: which of the scenario's logs */
	uint32_t flags;	    /* SCN_LOG_* */
};

/* Who takes part in a transition: a context by its index, or one of these. */
#define SCN_PARTY_HOST	0xff01u /* the low byte: OwnerKind */
#define SCN_PARTY_HYP	0xff02u
#define SCN_PARTY_GUEST 0xff03u /* whichever has it */
#define SCN_PARTY_OTHER 0xff04u

#define SCN_OWN_KINDS 10u   /* TransferKind goes so far */
#define SCN_OWN_SHOW  0xffu /* asks whose the page at `pa` is */

#define SCN_OWN_ZERO	 0x1u
#define SCN_OWN_VALIDATE 0x2u
#define SCN_OWN_PIECE	 0x4u /* LEND: a further piece of the list */

#define SCN_MAX_LENDINGS 16u

/* A transition of ownership. */
struct scn_own_body {
	uint64_t pa, ipa, size;
	uint64_t total; /* LEND: of all pieces */
	uint32_t prot;
	uint32_t lending; /* below SCN_MAX_LENDINGS: which of the scenario's */
	uint16_t machine;
	uint16_t from, to; /* SCN_PARTY_*, or an index of a context; LEND: the first borrower */
	uint16_t also;	   /* LEND: the second, or SCN_NONE */
	uint8_t kind;	   /* TransferKind, or SCN_OWN_SHOW */
	uint8_t flags;	   /* SCN_OWN_* */
};

/* Stage-2 tables, as ptd_guest_tables_build() makes them and a vCPU writes them. */
struct scn_tables_body {
	uint32_t records; /* so many SCN_TABLE_MAP follow; as in scn_group_body */
	uint32_t vcpu;
	uint64_t base;
	uint16_t vmid;
	uint8_t granule_shift, ipa_bits;
	uint32_t reserved;
};

struct scn_table_map_body {
	uint64_t ipa, size, out;
	uint32_t prot;
};

#define SCN_MAX_TABLES	 16u
#define SCN_TABLES_BYTES (1u << 20)

/* What the guest hypervisor has in its registers when its guest runs. */
struct scn_enter_body {
	uint64_t vttbr, vtcr, hcr;
	uint32_t vcpu;
	uint32_t canonical; /* the context that it runs in */
};

struct scn_instruction_body {
	uint64_t vttbr, vtcr, hcr;
	uint64_t operand; /* GUEST_AT: the address */
	uint32_t sys;	  /* as in ESR_EL2.ISS for EC 0x18 */
	uint32_t vcpu;
};

/* A run of records that belong together. */
struct scn_group_body {
	uint32_t records;
	uint32_t lanes; /* par */
	uint32_t mode;	/* batch: BatchMode */
	uint32_t flags; /* batch: SCN_MAP_VALIDATE */
};

enum scn_select { SCN_ALL = 0, SCN_EVEN = 1, SCN_ODD = 2, SCN_ONE = 3 };

#define SCN_ACCESS_S1PTW 1u
#define SCN_ACCESS_EL0	 2u

/* One access at each of ipa, ipa + step, ... below ipa + size. */
struct scn_access_body {
	uint64_t ipa, size, step, lane_step;
	uint64_t data;	/* what a write writes, little-endian */
	uint32_t vcpu;	/* in par: the lane it is for, with SCN_ONE */
	uint8_t kind;	/* AccessKind */
	uint8_t select; /* enum scn_select: lanes of par that take part */
	uint8_t length;
	uint8_t flags; /* SCN_ACCESS_* */
};

struct scn_fault_body {
	uint64_t ipa, esr, far, hpfar;
	uint32_t vcpu;
	uint32_t kind;	/* AccessKind */
	uint32_t flags; /* SCN_ACCESS_EL0 */
};

struct scn_digest_body {
	uint32_t slot; /* index of the kept digest */
};

enum scn_compare { SCN_EQ = 0, SCN_NE = 1, SCN_LT = 2, SCN_LE = 3, SCN_GT = 4, SCN_GE = 5 };

/* fact COMPARE constant + term[0] + term[1] + ... (modulo 2^64) */
struct scn_expect_body {
	uint64_t constant; /* for SCN_FACT_DIGEST: index of a kept digest */
	uint16_t fact;	   /* enum scn_fact */
	uint8_t compare;   /* enum scn_compare */
	uint8_t terms;
	uint16_t term[SCN_MAX_TERMS];
};

struct scn_failpoint_body {
	uint64_t seed;
	uint32_t action; /* FailpointAction */
	uint32_t nth, times, probability_ppm, ttl_ms, delay_ms, grpc_status;
	uint32_t scoped; /* 1: only in the record's context */
};

union scn_body {
	struct scn_machine_body machine;
	struct scn_context_body context;
	struct scn_slot_body slot;
	struct scn_quota_body quota;
	struct scn_map_body map;
	struct scn_log_body log;
	struct scn_own_body own;
	struct scn_tables_body tables;
	struct scn_table_map_body table_map;
	struct scn_enter_body enter;
	struct scn_instruction_body instruction;
	struct scn_group_body group;
	struct scn_access_body access;
	struct scn_fault_body fault;
	struct scn_digest_body digest;
	struct scn_expect_body expect;
	struct scn_failpoint_body failpoint;
	uint64_t words[8];
};

struct scn_record {
	uint16_t op;	/* enum scn_op */
	uint16_t flags; /* SCN_F_* */
	uint16_t
		object; /* index of the context (of the machine: SCN_MACHINE, SCN_DELETE_MACHINE) */
	uint16_t column;
	uint32_t line;
	uint32_t name; /* string */
	union scn_body body;
};

_Static_assert(sizeof(struct scn_header) == 64, "the header is file format");
_Static_assert(sizeof(union scn_body) == 64, "the body is file format");
_Static_assert(sizeof(struct scn_record) == 80, "the record is file format");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are little-endian");

/*
 * What an expect line can speak of: X(name, number, scope, kind)
 * Scopes: REPLY, the operation before; STATE, the context now; STAGE, sums since the stage began.
 * Kinds: how a value is written: NUMBER, LEVEL (signed), OUTCOME, PROT, FAULT, DIGEST, OWNER,
 * STATE, TAKER. Numbers are below SCN_FACT_NUMBERS.
 */
#define SCN_FACT_NUMBERS 128
#define SCN_FACTS(X)                                                                               \
	X(borrowers, 0, REPLY, NUMBER)                                                             \
	X(outcome, 1, REPLY, OUTCOME)                                                              \
	X(pa, 2, REPLY, NUMBER)                                                                    \
	X(level, 3, REPLY, LEVEL)                                                                  \
	X(prot, 4, REPLY, PROT)                                                                    \
	X(exits, 5, REPLY, NUMBER)                                                                 \
	X(data, 6, REPLY, NUMBER)                                                                  \
	X(par, 7, REPLY, NUMBER)                                                                   \
	X(fault, 8, REPLY, FAULT)                                                                  \
	X(span, 9, REPLY, NUMBER)                                                                  \
	X(applied, 10, REPLY, NUMBER)                                                              \
	X(errors, 11, REPLY, NUMBER)                                                               \
	X(error_index, 12, REPLY, NUMBER)                                                          \
	X(error_ipa, 13, REPLY, NUMBER)                                                            \
	X(leaves_written, 14, REPLY, NUMBER)                                                       \
	X(leaves_removed, 15, REPLY, NUMBER)                                                       \
	X(already, 16, REPLY, NUMBER)                                                              \
	X(holes, 17, REPLY, NUMBER)                                                                \
	X(blocks_split, 18, REPLY, NUMBER)                                                         \
	X(tables_added, 19, REPLY, NUMBER)                                                         \
	X(tables_freed, 20, REPLY, NUMBER)                                                         \
	X(tlbis, 21, REPLY, NUMBER)                                                                \
	X(nearest_below, 22, REPLY, NUMBER)                                                        \
	X(nearest_above, 23, REPLY, NUMBER)                                                        \
	X(annotated, 24, REPLY, NUMBER)                                                            \
	X(young, 25, REPLY, NUMBER)                                                                \
	X(old, 26, REPLY, NUMBER)                                                                  \
	X(next_ipa, 27, REPLY, NUMBER)                                                             \
	X(blocks_made, 28, REPLY, NUMBER)                                                          \
	X(dirty, 29, REPLY, NUMBER)                                                                \
	X(owner, 30, REPLY, OWNER)                                                                 \
	X(state, 31, REPLY, STATE)                                                                 \
	X(leaves_minus1, 32, STATE, NUMBER)                                                        \
	X(leaves0, 33, STATE, NUMBER)                                                              \
	X(leaves1, 34, STATE, NUMBER)                                                              \
	X(leaves2, 35, STATE, NUMBER)                                                              \
	X(leaves3, 36, STATE, NUMBER)                                                              \
	X(leaves, 37, STATE, NUMBER)                                                               \
	X(tables, 38, STATE, NUMBER)                                                               \
	X(table_pages, 39, STATE, NUMBER)                                                          \
	X(generation, 40, STATE, NUMBER)                                                           \
	X(digest, 41, STATE, DIGEST)                                                               \
	X(shadows, 42, STATE, NUMBER)                                                              \
	X(fills, 43, STATE, NUMBER)                                                                \
	X(killed, 44, STATE, NUMBER)                                                               \
	X(invalidated, 45, STATE, NUMBER)                                                          \
	X(recycled, 46, STATE, NUMBER)                                                             \
	X(calls, 64, STAGE, NUMBER)                                                                \
	X(failed, 65, STAGE, NUMBER)                                                               \
	X(accesses, 66, STAGE, NUMBER)                                                             \
	X(faults, 67, STAGE, NUMBER)                                                               \
	X(installed, 68, STAGE, NUMBER)                                                            \
	X(already_mapped, 69, STAGE, NUMBER)                                                       \
	X(raced, 70, STAGE, NUMBER)                                                                \
	X(relaxed, 71, STAGE, NUMBER)                                                              \
	X(made_young, 72, STAGE, NUMBER)                                                           \
	X(refused, 73, STAGE, NUMBER)                                                              \
	X(max_exits, 74, STAGE, NUMBER)                                                            \
	X(written, 75, STAGE, NUMBER)                                                              \
	X(removed, 76, STAGE, NUMBER)                                                              \
	X(taker, 96, REPLY, TAKER)                                                                 \
	X(canonical, 97, REPLY, NUMBER)                                                            \
	X(created, 98, REPLY, NUMBER)

enum scn_fact {
#define SCN_X(name, number, scope, kind) SCN_FACT_##name = number,
	SCN_FACTS(SCN_X)
#undef SCN_X
};

#endif
