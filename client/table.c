/* SPDX-License-Identifier: BSD-2-Clause */
/* The command table: parsing, help, completion and the tests read nothing else. */
#include "commands.h"

#define NAMES "letters, digits, '-', '_' and '.'"

#define ARG_MACHINE                                                                                \
	{                                                                                          \
		.name = "machine", .type = VALUE_MACHINE, .help = "name or handle"                 \
	}
#define ARG_CONTEXT                                                                                \
	{                                                                                          \
		.name = "context", .type = VALUE_CONTEXT, .help = "MACHINE/NAME or handle"         \
	}
#define ARG_IPA                                                                                    \
	{                                                                                          \
		.name = "ipa", .type = VALUE_ADDRESS, .help = "intermediate physical address"      \
	}
#define ARG_SIZE                                                                                   \
	{                                                                                          \
		.name = "size", .type = VALUE_SIZE, .help = "bytes, as in 2M"                      \
	}
#define ARG_PA                                                                                     \
	{                                                                                          \
		.name = "pa", .type = VALUE_ADDRESS, .help = "physical address"                    \
	}
#define ARG_PROT                                                                                   \
	{                                                                                          \
		.name = "prot", .type = VALUE_PROT,                                                \
		.help = "rights, as in rw, rwx, r-pu:nc, rw:device"                                \
	}

#define OPTION_REQUEST_ID                                                                          \
	{                                                                                          \
		.name = "request-id", .type = VALUE_HEX,                                           \
		.help = "32 hexadecimal digits: sent again, it is done once"                       \
	}
#define OPTION_GENERATION                                                                          \
	{                                                                                          \
		.name = "if-generation", .type = VALUE_NUMBER,                                     \
		.help = "only if the context's generation is still this"                           \
	}
#define OPTION_DRY_RUN                                                                             \
	{                                                                                          \
		.name = "dry-run", .type = VALUE_FLAG, .help = "report, change nothing"            \
	}
#define OPTION_VCPU                                                                                \
	{                                                                                          \
		.name = "vcpu", .type = VALUE_NUMBER, .limit = UINT32_MAX,                         \
		.help = "number of the vCPU; 0 if not given"                                       \
	}
#define OPTION_EL0                                                                                 \
	{                                                                                          \
		.name = "el0", .type = VALUE_FLAG, .help = "from EL0 (matters with --xnx)"         \
	}
#define END                                                                                        \
	{                                                                                          \
		.name = NULL                                                                       \
	}

#define PARAMS static const struct param

/* --- machines ------------------------------------------------------------------------------ */

PARAMS machine_arg[] = {ARG_MACHINE, END};
#define OPTION_OWNERS                                                                              \
	{                                                                                          \
		.name = "owners", .type = VALUE_FLAG,                                              \
		.help = "each frame has an owner; the host's context comes first"                  \
	}
PARAMS machine_create_args[] = {{.name = "name", .type = VALUE_TEXT, .help = NAMES}, END};
PARAMS machine_create_options[] = {
	{.name = "memory", .type = VALUE_SIZE, .help = "of the guest; 1G if not given"},
	{.name = "vcpus", .type = VALUE_NUMBER, .limit = UINT32_MAX, .help = "1 if not given"},
	{.name = "pa-bits", .type = VALUE_NUMBER, .limit = 64, .help = "48 if not given"},
	{.name = "vmid-bits",
	 .type = VALUE_NUMBER,
	 .limit = 64,
	 .help = "8 or 16; 16 if not given"},
	OPTION_OWNERS,
	{.name = "owner-quota",
	 .type = VALUE_NUMBER,
	 .help = "with --owners: pages for what is recorded; no limit if not given"},
	{.name = "foreign-access",
	 .type = VALUE_CHOICE,
	 .choices = "abort|force-reclaim",
	 .help = "with --owners: what the host gets for a page of a guest's; abort if not given"},
	OPTION_REQUEST_ID,
	END};
PARAMS machine_delete_options[] = {
	{.name = "force", .type = VALUE_FLAG, .help = "with its contexts"}, OPTION_REQUEST_ID, END};
PARAMS machine_read_args[] = {
	ARG_MACHINE,
	{.name = "address", .type = VALUE_ADDRESS, .help = "PA, or with --context an IPA"},
	{.name = "length", .type = VALUE_SIZE, .limit = UINT32_MAX, .help = "bytes"},
	END};
PARAMS machine_write_args[] = {
	ARG_MACHINE,
	{.name = "address", .type = VALUE_ADDRESS, .help = "PA, or with --context an IPA"},
	{.name = "data", .type = VALUE_HEX, .help = "hexadecimal digits, @FILE or @-"},
	END};
#define OPTION_AS_CONTEXT                                                                          \
	{                                                                                          \
		.name = "context", .type = VALUE_CONTEXT,                                          \
		.help = "through this context's stage 2; raw if not given"                         \
	}
PARAMS machine_read_options[] = {OPTION_AS_CONTEXT, END};
PARAMS machine_write_options[] = {OPTION_AS_CONTEXT, OPTION_REQUEST_ID, END};

#define MACHINE_COLUMNS "name handle memory_bytes vcpus pa_bits vmid_bits contexts resident_bytes"

/* --- contexts ------------------------------------------------------------------------------ */

PARAMS context_arg[] = {ARG_CONTEXT, END};
PARAMS finalize_args[] = {
	ARG_MACHINE, {.name = "guest", .type = VALUE_CONTEXT, .help = "its context"}, END};
PARAMS context_create_args[] = {{.name = "name", .type = VALUE_TEXT, .help = "MACHINE/NAME"}, END};
PARAMS context_create_options[] = {
	{.name = "kind",
	 .type = VALUE_CHOICE,
	 .choices = "guest|host",
	 .help = "guest if not given"},
	{.name = "granule",
	 .type = VALUE_CHOICE,
	 .choices = "4K|16K|64K",
	 .help = "4K if not given"},
	{.name = "ipa-bits",
	 .type = VALUE_NUMBER,
	 .limit = 64,
	 .help = "32 to 52; 40 if not given"},
	{.name = "pa-bits",
	 .type = VALUE_NUMBER,
	 .limit = 64,
	 .help = "the machine's if not given"},
	{.name = "ds", .type = VALUE_FLAG, .help = "FEAT_LPA2 descriptors (4K and 16K)"},
	{.name = "start-level",
	 .type = VALUE_CHOICE,
	 .choices = "-1|0|1|2|3",
	 .help = "the one with the fewest tables if not given"},
	{.name = "vtcr", .type = VALUE_NUMBER, .help = "a VTCR_EL2 value instead of all these"},
	{.name = "fwb", .type = VALUE_FLAG, .help = "memory types as FEAT_S2FWB has them"},
	{.name = "xnx", .type = VALUE_FLAG, .help = "FEAT_XNX: execute at EL1 and EL0 apart"},
	{.name = "ha", .type = VALUE_FLAG, .help = "hardware sets the access flag"},
	{.name = "hd", .type = VALUE_FLAG, .help = "hardware keeps dirty state"},
	{.name = "bbm",
	 .type = VALUE_NUMBER,
	 .limit = UINT32_MAX,
	 .help = "FEAT_BBM level: 0, 1 or 2"},
	{.name = "durable", .type = VALUE_FLAG, .help = "tables survive a restart"},
	{.name = "identity", .type = VALUE_FLAG, .help = "every mapping must have IPA = PA"},
	{.name = "protected",
	 .type = VALUE_FLAG,
	 .help = "guest that owns its memory (machines with --owners)"},
	{.name = "topped-up",
	 .type = VALUE_FLAG,
	 .help = "its tables come out of what the host gives: own top-up"},
	{.name = "nested",
	 .type = VALUE_FLAG,
	 .help = "a guest hypervisor runs in it: it can have shadows"},
	{.name = "max-shadows",
	 .type = VALUE_NUMBER,
	 .limit = UINT32_MAX,
	 .help = "with --nested: how many at a time; 64 if not given"},
	{.name = "link-pages",
	 .type = VALUE_NUMBER,
	 .help = "with --nested: pages for reverse links; no limit if not given"},
	{.name = "software-bits",
	 .type = VALUE_NUMBER,
	 .limit = 15,
	 .help = "descriptor bits 58:55 that map --software may set; none if not given"},
	{.name = "quota", .type = VALUE_NUMBER, .help = "table pages; no limit if not given"},
	OPTION_REQUEST_ID,
	END};
PARAMS request_options[] = {OPTION_REQUEST_ID, END};
#define OPTION_OF_MACHINE                                                                          \
	{                                                                                          \
		.name = "machine", .type = VALUE_MACHINE, .help = "only of this one"               \
	}
PARAMS context_list_options[] = {OPTION_OF_MACHINE, END};
PARAMS quota_args[] = {ARG_CONTEXT,
		       {.name = "pages", .type = VALUE_NUMBER, .help = "table pages; 0: no limit"},
		       END};
#define OPTION_STABLE                                                                              \
	{                                                                                          \
		.name = "stable", .type = VALUE_FLAG, .help = "of one moment"                      \
	}
PARAMS digest_options[] = {OPTION_STABLE, END};
PARAMS watch_options[] = {
	OPTION_OF_MACHINE,
	{.name = "count", .type = VALUE_NUMBER, .help = "end after so many events"},
	{.name = "until-synced", .type = VALUE_FLAG, .help = "end when all that existed was sent"},
	END};

#define CONTEXT_COLUMNS                                                                            \
	"name handle kind geometry.granule_shift geometry.ipa_bits geometry.pa_bits vmid "         \
	"generation table_pages quota_pages"

/* --- slots --------------------------------------------------------------------------------- */

#define ARG_SLOT                                                                                   \
	{                                                                                          \
		.name = "id", .type = VALUE_NUMBER, .limit = UINT32_MAX,                           \
		.help = "number of the memslot"                                                    \
	}
PARAMS slot_set_args[] = {ARG_CONTEXT, ARG_SLOT, ARG_IPA, ARG_SIZE, ARG_PA, END};
PARAMS slot_set_options[] = {
	{.name = "read-only", .type = VALUE_FLAG, .help = "writes go to the VMM"},
	{.name = "log-dirty", .type = VALUE_FLAG, .help = "writable only after a write"},
	{.name = "no-exec", .type = VALUE_FLAG, .help = "no instruction fetch"},
	{.name = "backing",
	 .type = VALUE_SIZE,
	 .help = "size of the backing pages: the largest block of a fault; the granule if not given"},
	OPTION_GENERATION,
	OPTION_REQUEST_ID,
	END};
PARAMS slot_delete_args[] = {ARG_CONTEXT, ARG_SLOT, END};
PARAMS slot_delete_options[] = {OPTION_GENERATION, OPTION_REQUEST_ID, END};

/* --- mappings ------------------------------------------------------------------------------ */

PARAMS map_args[] = {ARG_CONTEXT, ARG_IPA, ARG_SIZE, ARG_PA, ARG_PROT, END};
PARAMS map_options[] = {
	{.name = "replace", .type = VALUE_FLAG, .help = "overwrite what is mapped elsewhere"},
	{.name = "pages", .type = VALUE_FLAG, .help = "last-level pages only, no blocks"},
	{.name = "contiguous",
	 .type = VALUE_FLAG,
	 .help = "with the contiguous hint wherever a whole group fits"},
	{.name = "software",
	 .type = VALUE_NUMBER,
	 .limit = 15,
	 .help = "descriptor bits 58:55; 0 if not given"},
	OPTION_GENERATION,
	OPTION_DRY_RUN,
	OPTION_REQUEST_ID,
	END};
PARAMS range_args[] = {ARG_CONTEXT, ARG_IPA, ARG_SIZE, END};
PARAMS change_options[] = {OPTION_GENERATION, OPTION_DRY_RUN, OPTION_REQUEST_ID, END};
PARAMS protect_args[] = {ARG_CONTEXT, ARG_IPA, ARG_SIZE, ARG_PROT, END};
PARAMS relax_args[] = {ARG_CONTEXT,
		       ARG_IPA,
		       ARG_SIZE,
		       {.name = "prot", .type = VALUE_PROT, .help = "rights to add, as in w or x"},
		       END};
PARAMS annotate_args[] = {
	ARG_CONTEXT,
	ARG_IPA,
	ARG_SIZE,
	{.name = "type", .type = VALUE_NUMBER, .limit = 15, .help = "2 to 15: bits 63:60"},
	{.name = "payload",
	 .type = VALUE_NUMBER,
	 .limit = (UINT64_C(1) << 59) - 1,
	 .optional = true,
	 .help = "bits 59:1 of the descriptor; 0 if not given"},
	END};
#define APPLY_COLUMNS                                                                              \
	"generation outcome effects.leaves_written effects.leaves_removed effects.already "        \
	"effects.holes effects.blocks_split effects.tables_added effects.tables_freed "            \
	"effects.tlbis effects.annotated"

/* --- upkeep -------------------------------------------------------------------------------- */

PARAMS age_options[] = {
	{.name = "clear", .type = VALUE_FLAG, .help = "take the access flags away"},
	{.name = "bitmap", .type = VALUE_FLAG, .help = "one bit for each granule, first in bit 0"},
	OPTION_REQUEST_ID,
	END};
PARAMS split_options[] = {
	{.name = "level",
	 .type = VALUE_CHOICE,
	 .choices = "1|2|3",
	 .help = "no block above it is left; 3, pages, if not given"},
	{.name = "pages",
	 .type = VALUE_NUMBER,
	 .help = "table pages to spend at most; no limit but the quota if not given"},
	END};
PARAMS dirty_start_options[] = {
	{.name = "eager", .type = VALUE_FLAG, .help = "split blocks now, not at their first write"},
	{.name = "all-dirty", .type = VALUE_FLAG, .help = "every page counts as dirty at first"},
	OPTION_REQUEST_ID,
	END};
#define ARG_LOG                                                                                    \
	{                                                                                          \
		.name = "log", .type = VALUE_NUMBER, .help = "handle that dirty start printed"     \
	}
PARAMS dirty_get_args[] = {ARG_LOG, END};
PARAMS dirty_get_options[] = {
	{.name = "ipa",
	 .type = VALUE_ADDRESS,
	 .help = "from here on; the log's begin if not given"},
	{.name = "size", .type = VALUE_SIZE, .help = "bytes; to the log's end if not given"},
	{.name = "clear", .type = VALUE_FLAG, .help = "they are clean from now on"},
	{.name = "generation",
	 .type = VALUE_NUMBER,
	 .help = "log_generation of the last reply that came; without it, what it told is told again"},
	END};
PARAMS dirty_stop_args[] = {ARG_LOG, END};
PARAMS dirty_list_options[] = {
	{.name = "context", .type = VALUE_CONTEXT, .help = "only of this one"}, END};

/* --- vCPUs --------------------------------------------------------------------------------- */

PARAMS at_args[] = {ARG_CONTEXT, ARG_IPA, END};
PARAMS write_args[] = {
	ARG_CONTEXT,
	ARG_IPA,
	{.name = "data", .type = VALUE_HEX, .help = "hexadecimal digits, @FILE or @-"},
	END};
#define OPTION_S1PTW                                                                               \
	{                                                                                          \
		.name = "s1ptw", .type = VALUE_FLAG, .help = "as a stage-1 table walk does"        \
	}
PARAMS access_options[] = {OPTION_VCPU, OPTION_EL0, OPTION_S1PTW, END};
PARAMS read_options[] = {{.name = "length",
			  .type = VALUE_SIZE,
			  .limit = UINT32_MAX,
			  .help = "bytes; 8 if not given"},
			 OPTION_VCPU,
			 OPTION_EL0,
			 OPTION_S1PTW,
			 END};
PARAMS fault_options[] = {
	{.name = "esr", .type = VALUE_NUMBER, .help = "ESR_EL2 as hardware has it"},
	{.name = "far", .type = VALUE_NUMBER, .help = "FAR_EL2, with --esr"},
	{.name = "hpfar", .type = VALUE_NUMBER, .help = "HPFAR_EL2, with --esr; 0 where unknown"},
	{.name = "ipa", .type = VALUE_ADDRESS, .help = "instead of registers"},
	{.name = "access",
	 .type = VALUE_CHOICE,
	 .choices = "read|write|exec",
	 .help = "with --ipa; read if not given"},
	OPTION_VCPU,
	OPTION_EL0,
	END};
PARAMS translate_options[] = {
	{.name = "access",
	 .type = VALUE_CHOICE,
	 .choices = "read|write|exec",
	 .help = "read if not given"},
	{.name = "explain", .type = VALUE_FLAG, .help = "every step of the walk"},
	OPTION_VCPU,
	OPTION_EL0,
	END};

/* --- owners -------------------------------------------------------------------------------- */

PARAMS own_show_args[] = {ARG_MACHINE,
			  {.name = "pa",
			   .type = VALUE_ADDRESS,
			   .optional = true,
			   .help = "from here on; all memory if not given"},
			  {.name = "size",
			   .type = VALUE_SIZE,
			   .optional = true,
			   .help = "bytes; all that is alike around pa if not given"},
			  END};
#define TRANSFER_COLUMNS                                                                           \
	"generation effects.leaves_written effects.leaves_removed effects.blocks_split "           \
	"effects.tables_added effects.tables_freed effects.tlbis effects.annotated"
PARAMS own_transfer_args[] = {ARG_MACHINE, ARG_SIZE, END};
PARAMS own_reclaim_args[] = {ARG_MACHINE, ARG_PA, ARG_SIZE, END};
#define OPTION_PARTY(which, otherwise)                                                             \
	{                                                                                          \
		.name = which, .type = VALUE_TEXT,                                                 \
		.help = "host, hyp, other, or a guest's context" otherwise                         \
	}
#define OPTION_HOST_GENERATION                                                                     \
	{                                                                                          \
		.name = "if-generation", .type = VALUE_NUMBER,                                     \
		.help = "only if the host's generation is still this"                              \
	}
#define OPTION_MORE                                                                                \
	{                                                                                          \
		.name = "more", .type = VALUE_TEXT,                                                \
		.help = "further ranges in the same step: PA:SIZE or PA:IPA:SIZE, with commas"     \
	}
#define OPTION_FRAMES(help_text)                                                                   \
	{                                                                                          \
		.name = "pa", .type = VALUE_ADDRESS, .help = help_text                             \
	}
#define OPTION_PLACE(help_text)                                                                    \
	{                                                                                          \
		.name = "ipa", .type = VALUE_ADDRESS, .help = help_text                            \
	}
#define OPTION_GUEST(which, help_text)                                                             \
	{                                                                                          \
		.name = which, .type = VALUE_TEXT, .help = help_text                               \
	}
#define OPTIONS_OF_STEP OPTION_MORE, OPTION_HOST_GENERATION, OPTION_DRY_RUN, OPTION_REQUEST_ID
#define OPTIONS_OF_TRANSFER                                                                        \
	OPTION_PARTY("from", "; host if not given"), OPTION_PARTY("to", "; host if not given"),    \
		OPTION_FRAMES("which frames, where the host gives"),                               \
		OPTION_PLACE("where the guest has them, or gets them"), OPTIONS_OF_STEP
PARAMS own_share_options[] = {
	OPTIONS_OF_TRANSFER,
	{.name = "prot", .type = VALUE_PROT, .help = "rights of the guest, as in rw or rwx"},
	END};
PARAMS own_unshare_options[] = {OPTIONS_OF_TRANSFER, END};
PARAMS own_top_up_options[] = {OPTION_GUEST("to", "the guest's context"),
			       OPTION_FRAMES("which frames"), OPTIONS_OF_STEP, END};
PARAMS own_dying_options[] = {OPTION_GUEST("from", "the guest's context"),
			      OPTION_PLACE("where the guest has them"), OPTION_REQUEST_ID, END};
PARAMS own_donate_options[] = {
	OPTIONS_OF_TRANSFER,
	{.name = "zero", .type = VALUE_FLAG, .help = "the memory reads as zero afterwards"},
	END};
PARAMS own_back_args[] = {
	ARG_MACHINE,
	{.name = "pa", .type = VALUE_ADDRESS, .optional = true, .help = "physical address"},
	{.name = "size", .type = VALUE_SIZE, .optional = true, .help = "bytes, as in 2M"},
	END};
#define LENDER(does) "host, or a guest's context that " does "; host if not given"
#define LEND_HANDLE  "of a lending: own lendings shows them"
PARAMS own_back_options[] = {{.name = "lend-handle", .type = VALUE_NUMBER, .help = LEND_HANDLE},
			     OPTION_GUEST("to", LENDER("lent it")),
			     OPTION_MORE,
			     OPTION_HOST_GENERATION,
			     OPTION_DRY_RUN,
			     OPTION_REQUEST_ID,
			     END};
PARAMS own_lend_options[] = {
	OPTION_GUEST("from", LENDER("lends")),
	{.name = "to", .type = VALUE_TEXT, .help = "guests who may have it, with commas"},
	{.name = "pa", .type = VALUE_ADDRESS, .help = "which frames, where the host lends"},
	{.name = "ipa", .type = VALUE_ADDRESS, .help = "where the guest has them that lends"},
	OPTION_MORE,
	{.name = "zero",
	 .type = VALUE_FLAG,
	 .help = "it reads as zero when the last has relinquished"},
	{.name = "lend-size",
	 .type = VALUE_SIZE,
	 .help = "of all pieces, if more calls bring the others"},
	{.name = "lend-timeout-ms",
	 .type = VALUE_NUMBER,
	 .limit = UINT32_MAX,
	 .help = "for these; 60000 if not given"},
	{.name = "lend-handle",
	 .type = VALUE_NUMBER,
	 .help = "of the list that this is a further piece of"},
	OPTION_REQUEST_ID,
	END};
PARAMS own_lent_args[] = {
	ARG_MACHINE, {.name = "lend-handle", .type = VALUE_NUMBER, .help = LEND_HANDLE}, END};
PARAMS own_retrieve_options[] = {
	OPTION_GUEST("to", "the guest's context, one that it was lent to"),
	{.name = "ipa", .type = VALUE_ADDRESS, .help = "where it gets all of it"},
	OPTION_REQUEST_ID,
	END};
PARAMS own_relinquish_options[] = {OPTION_GUEST("from", "the guest's context that has it"),
				   OPTION_REQUEST_ID, END};
PARAMS own_reclaim_options[] = {OPTION_MORE, OPTION_HOST_GENERATION, OPTION_DRY_RUN,
				OPTION_REQUEST_ID, END};
PARAMS own_watch_options[] = {{.name = "after",
			       .type = VALUE_NUMBER,
			       .help = "go on behind this seq; from now on if not given"},
			      {.name = "count", .type = VALUE_NUMBER, .help = "end after so many"},
			      END};
PARAMS own_show_options[] = {
	{.name = "matrix", .type = VALUE_FLAG, .help = "sizes by owner and state"}, END};

PARAMS pager_serve_args[] = {ARG_CONTEXT, ARG_IPA, ARG_SIZE, END};
PARAMS pager_serve_options[] = {
	{.name = "file",
	 .type = VALUE_TEXT,
	 .help = "what the range holds, from its start on, and zeros behind; zeros if not given"},
	{.name = "as-is",
	 .type = VALUE_FLAG,
	 .help = "pages hold what the machine's memory has: it was written by other ways"},
	{.name = "push", .type = VALUE_FLAG, .help = "supply all of it, asked for or not"},
	{.name = "window",
	 .type = VALUE_NUMBER,
	 .limit = UINT32_MAX,
	 .help = "pages asked for at once; max_pager_window if not given"},
	{.name = "count", .type = VALUE_NUMBER, .help = "end after so many were asked for"},
	END};

#define SHADOW_COLUMNS "shadow name enabled leaves vcpus last_used"

/* --- nested ------------------------------------------------------------------------------- */

#define OPTION_VTTBR                                                                               \
	{                                                                                          \
		.name = "vttbr", .type = VALUE_NUMBER, .help = "VTTBR_EL2 of the guest hypervisor" \
	}
#define OPTION_VTCR                                                                                \
	{                                                                                          \
		.name = "vtcr", .type = VALUE_NUMBER, .help = "its VTCR_EL2"                       \
	}
PARAMS nested_build_args[] = {
	ARG_CONTEXT,
	{.name = "base", .type = VALUE_ADDRESS, .help = "IPA of the context where they will stand"},
	{.name = "maps",
	 .type = VALUE_TEXT,
	 .help = "NESTED:SIZE:CANONICAL:RIGHTS, further ones with commas"},
	END};
PARAMS nested_build_options[] = {
	{.name = "granule",
	 .type = VALUE_CHOICE,
	 .choices = "4K|16K|64K",
	 .help = "4K if not given"},
	{.name = "ipa-bits",
	 .type = VALUE_NUMBER,
	 .limit = 64,
	 .help = "32 to 48; 40 if not given"},
	{.name = "vmid", .type = VALUE_NUMBER, .limit = 65535, .help = "0 if not given"},
	OPTION_VCPU,
	END};
PARAMS nested_enter_options[] = {
	OPTION_VTTBR,
	OPTION_VTCR,
	{.name = "hcr", .type = VALUE_NUMBER, .help = "HCR_EL2; 1 if not given: its stage 2 is on"},
	{.name = "sctlr-el2", .type = VALUE_NUMBER, .help = "SCTLR_EL2: bit 25 is EE"},
	OPTION_VCPU,
	END};
PARAMS nested_exit_options[] = {OPTION_VCPU, END};
PARAMS nested_tlbi_args[] = {
	ARG_CONTEXT,
	{.name = "instruction",
	 .type = VALUE_CHOICE,
	 .choices = "alle1|alle1is|alle1os|vmalls12e1|vmalls12e1is|vmalls12e1os|ipas2e1|ipas2e1is|"
		    "ipas2e1os|ipas2le1|ipas2le1is|ipas2le1os|ripas2e1|ripas2e1is|ripas2e1os|"
		    "ripas2le1|ripas2le1is|ripas2le1os|vmalle1|vmalle1is|vmalle1os",
	 .help = "as the guest hypervisor executes it"},
	END};
PARAMS nested_tlbi_options[] = {
	{.name = "ipa", .type = VALUE_ADDRESS, .help = "nested, of ipas2e1 and its like"},
	{.name = "operand", .type = VALUE_NUMBER, .help = "the register, with TTL or a range"},
	{.name = "nxs", .type = VALUE_FLAG, .help = "the nXS form"},
	OPTION_VTTBR,
	OPTION_VTCR,
	OPTION_VCPU,
	END};

PARAMS nested_at_args[] = {
	ARG_CONTEXT,
	{.name = "instruction",
	 .type = VALUE_CHOICE,
	 .choices = "s1e1r|s1e1w|s1e0r|s1e0w|s1e1rp|s1e1wp|s12e1r|s12e1w|s12e0r|s12e0w",
	 .help = "as the guest hypervisor executes it"},
	{.name = "address", .type = VALUE_ADDRESS, .help = "of its guest"},
	END};
PARAMS nested_at_options[] = {
	{.name = "sctlr", .type = VALUE_NUMBER, .help = "SCTLR_EL1; 0 if not given: no stage 1"},
	{.name = "tcr", .type = VALUE_NUMBER, .help = "TCR_EL1"},
	{.name = "ttbr0", .type = VALUE_NUMBER, .help = "TTBR0_EL1"},
	{.name = "ttbr1", .type = VALUE_NUMBER, .help = "TTBR1_EL1"},
	{.name = "mair", .type = VALUE_NUMBER, .help = "MAIR_EL1"},
	{.name = "hcr", .type = VALUE_NUMBER, .help = "HCR_EL2; 1 if not given: its stage 2 is on"},
	{.name = "pan", .type = VALUE_FLAG, .help = "PSTATE.PAN, of s1e1rp and s1e1wp"},
	OPTION_VTTBR,
	OPTION_VTCR,
	{.name = "sctlr-el2", .type = VALUE_NUMBER, .help = "SCTLR_EL2: bit 25 is EE"},
	OPTION_VCPU,
	END};

/* --- failpoints ---------------------------------------------------------------------------- */

PARAMS arm_args[] = {
	{.name = "name",
	 .type = VALUE_TEXT,
	 .help = "pool.reserve, tlbi.drop, rpc.reply; of ptd-checked also cas.lose, tlbi.delay, "
		 "free.delay, section.long"},
	END};
PARAMS arm_options[] = {
	{.name = "action",
	 .type = VALUE_CHOICE,
	 .choices = "error|drop|delay",
	 .help = "what happens"},
	{.name = "context", .type = VALUE_CONTEXT, .help = "only in this one"},
	{.name = "nth", .type = VALUE_NUMBER, .limit = UINT32_MAX, .help = "first hit that fails"},
	{.name = "times",
	 .type = VALUE_NUMBER,
	 .limit = UINT32_MAX,
	 .help = "hits in a row that fail; 0: without end"},
	{.name = "ppm",
	 .type = VALUE_NUMBER,
	 .limit = 1000000,
	 .help = "instead of --nth: probability in millionths"},
	{.name = "seed", .type = VALUE_NUMBER, .help = "of --ppm"},
	{.name = "ttl", .type = VALUE_DURATION, .help = "disarms itself then; 60s if not given"},
	{.name = "delay", .type = VALUE_DURATION, .help = "of action delay"},
	{.name = "grpc-status",
	 .type = VALUE_NUMBER,
	 .limit = 16,
	 .help = "of errors at rpc.reply"},
	END};
PARAMS disarm_args[] = {{.name = "id",
			 .type = VALUE_NUMBER,
			 .optional = true,
			 .help = "as arm printed it; all if not given"},
			END};
#define FAILPOINT_COLUMNS                                                                          \
	"id name action context nth times probability_ppm hits failures time_to_live_ms"

/* --- no daemon needed ---------------------------------------------------------------------- */

PARAMS health_args[] = {{.name = "service",
			 .type = VALUE_TEXT,
			 .optional = true,
			 .help = "full name; all if not given"},
			END};
PARAMS code_args[] = {
	{.name = "code", .type = VALUE_CODE, .optional = true, .help = "all if not given"}, END};

PARAMS decode_args[] = {{.name = "what",
			 .type = VALUE_CHOICE,
			 .choices = "pte|vtcr|vttbr|esr|hpfar|par",
			 .help = "a descriptor or a register"},
			{.name = "value", .type = VALUE_NUMBER, .help = "as hardware has it"},
			END};
PARAMS decode_options[] = {
	{.name = "granule",
	 .type = VALUE_CHOICE,
	 .choices = "4K|16K|64K",
	 .help = "4K if not given"},
	{.name = "level",
	 .type = VALUE_CHOICE,
	 .choices = "-1|0|1|2|3",
	 .help = "where a pte stands; 3 if not given"},
	{.name = "pa-bits",
	 .type = VALUE_NUMBER,
	 .limit = 64,
	 .help = "52 at 64K: the LPA format; 48 if not given, 52 with --ds"},
	{.name = "ds", .type = VALUE_FLAG, .help = "FEAT_LPA2 descriptors (4K and 16K)"},
	{.name = "fwb", .type = VALUE_FLAG, .help = "memory types as FEAT_S2FWB has them"},
	{.name = "xnx", .type = VALUE_FLAG, .help = "FEAT_XNX: execute at EL1 and EL0 apart"},
	END};
PARAMS dump_options[] = {
	{.name = "ipa", .type = VALUE_ADDRESS, .help = "from here on; 0 if not given"},
	{.name = "size", .type = VALUE_SIZE, .help = "bytes; to the end if not given"},
	{.name = "tables", .type = VALUE_FLAG, .help = "also table descriptors"},
	{.name = "holes", .type = VALUE_FLAG, .help = "also runs of empty entries"},
	{.name = "stable", .type = VALUE_FLAG, .help = "the state of one moment"},
	END};
#define OPTION_SET                                                                                 \
	{                                                                                          \
		.name = "set", .type = VALUE_TEXT,                                                 \
		.help = "NAME=VALUE,...: in place of the file's let lines"                         \
	}
PARAMS scenario_args[] = {
	{.name = "file", .type = VALUE_TEXT, .help = "scenario, text or compiled; - for stdin"},
	END};
PARAMS compile_options[] = {OPTION_SET, END};
PARAMS run_options[] = {
	OPTION_SET,
	{.name = "keep", .type = VALUE_FLAG, .help = "leave its machines in the daemon"},
	{.name = "transcript",
	 .type = VALUE_FLAG,
	 .help = "a line for each operation, not for each stage"},
	{.name = "check", .type = VALUE_FLAG, .help = "read and check it, run nothing"},
	END};

PARAMS tls_init_options[] = {
	{.name = "dir", .type = VALUE_TEXT, .help = "folder for the files; ptd-tls if not given"},
	{.name = "name",
	 .type = VALUE_TEXT,
	 .help = "HOST,...: of the daemon; localhost,127.0.0.1,::1 if not given"},
	{.name = "client", .type = VALUE_TEXT, .help = "NAME,...: of clients; trial if not given"},
	{.name = "days",
	 .type = VALUE_NUMBER,
	 .limit = 3650,
	 .help = "how long they are valid; 30 if not given"},
	{.name = "force", .type = VALUE_FLAG, .help = "replace files that are there"},
	END};

/* A row is a paragraph, not a column. */
/* clang-format off */
const struct command command_table[] = {
	{"server", "info", "version, epoch, features and limits", "ptctl server info -o json", NULL,
	 NULL, cmd_server_info, {0}, NULL, 0},
	{"server", "stats", "counters of each loop since the start", "ptctl server stats -o tsv",
	 NULL, NULL, cmd_server_stats, {.rows = "loops"}, NULL, 0},
	{"server", "drain", "take no new calls, end the running ones, stop", "ptctl server drain",
	 NULL, NULL, cmd_server_drain, {0}, NULL, 0},
	{"health", NULL, "is it serving? exit code 8 if not", "ptctl health ptd.v1.MappingService",
	 health_args, NULL, cmd_health, {0}, NULL, 0},
	{"machine", "create", "make a machine with memory and vCPUs",
	 "ptctl machine create m0 --memory 4G --vcpus 8", machine_create_args,
	 machine_create_options, cmd_machine_create, {0}, NULL, 0},
	{"machine", "list", "all machines", "ptctl machine list", NULL, NULL, cmd_machine_list,
	 {.rows = "machines", .columns = MACHINE_COLUMNS}, NULL, 0},
	{"machine", "show", "one machine", "ptctl machine show m0", machine_arg, NULL,
	 cmd_machine_show, {0}, NULL, 0},
	{"machine", "delete", "delete a machine", "ptctl machine delete m0 --force", machine_arg,
	 machine_delete_options, cmd_machine_delete, {0}, NULL, 0},
	{"machine", "read", "bytes of its memory", "ptctl machine read m0 0x8000_0000 16",
	 machine_read_args, machine_read_options, cmd_machine_read, {0}, NULL, 0},
	{"machine", "write", "set bytes of its memory",
	 "ptctl machine write m0 0x1000 00112233 --context m0/g0", machine_write_args,
	 machine_write_options, cmd_machine_write, {0}, NULL, 0},
	{"context", "create", "make an empty stage-2 context",
	 "ptctl context create m0/g0 --granule 4K --ipa-bits 40 --fwb", context_create_args,
	 context_create_options, cmd_context_create, {0}, NULL, 0},
	{"context", "list", "all contexts", "ptctl context list --machine m0", NULL,
	 context_list_options, cmd_context_list, {.rows = "contexts", .columns = CONTEXT_COLUMNS},
	 NULL, 0},
	{"context", "show", "one context, with its memslots", "ptctl context show m0/g0 -o json",
	 context_arg, NULL, cmd_context_show, {0}, NULL, 0},
	{"context", "delete", "unmap all and delete a context", "ptctl context delete m0/g0",
	 context_arg, request_options, cmd_context_delete, {0}, NULL, 0},
	{"context", "teardown", "let a guest die (machines with --owners)",
	 "ptctl context teardown m0/g0", context_arg, request_options, cmd_context_teardown,
	 {0}, NULL, 0},
	{"context", "finalize", "end a dying guest that has nothing left",
	 "ptctl context finalize m0 m0/g0", finalize_args, request_options, cmd_context_finalize,
	 {0}, NULL, 0},
	{"context", "quota", "limit its table pages", "ptctl context quota m0/g0 4096", quota_args,
	 NULL, cmd_context_quota, {0}, NULL, 0},
	{"context", "digest", "digest of its tables, leaves by level from -1 on",
	 "ptctl context digest m0/g0 --stable", context_arg, digest_options, cmd_context_digest,
	 {0}, NULL, 0},
	{"context", "watch", "contexts as they are, then every change",
	 "ptctl context watch -o json", NULL, watch_options, cmd_context_watch,
	 {.columns = "seq kind context.name context.generation context.table_pages"}, NULL, 0},
	{"slot", "set", "back an IPA range with a PA range",
	 "ptctl slot set m0/g0 0 0x4000_0000 1G 0 --backing 2M", slot_set_args, slot_set_options,
	 cmd_slot_set, {0}, NULL, 0},
	{"slot", "delete", "delete a memslot and unmap its range", "ptctl slot delete m0/g0 0",
	 slot_delete_args, slot_delete_options, cmd_slot_delete, {0}, NULL, 0},
	{"slot", "list", "memslots of a context", "ptctl slot list m0/g0", context_arg, NULL,
	 cmd_slot_list, {.rows = "slots"}, NULL, 0},
	{"map", NULL, "map a range", "ptctl map m0/g0 0x4000_0000 2M 0x8000_0000 rwx", map_args,
	 map_options, cmd_map, {0}, NULL, 0},
	{"unmap", NULL, "unmap a range", "ptctl unmap m0/g0 0x4000_0000 2M", range_args,
	 change_options, cmd_unmap, {0}, NULL, 0},
	{"protect", NULL, "change the rights of a range", "ptctl protect m0/g0 0x4000_0000 4K r",
	 protect_args, change_options, cmd_protect, {0}, NULL, 0},
	{"wrprotect", NULL, "take write access away from a range",
	 "ptctl wrprotect m0/g0 0x4000_0000 2M", range_args, change_options, cmd_wrprotect, {0},
	 NULL, 0},
	{"relax", NULL, "add rights to what is mapped in a range",
	 "ptctl relax m0/g0 0x4000_0000 4K w", relax_args, change_options, cmd_relax,
	 {.columns = APPLY_COLUMNS}, NULL, 0},
	{"annotate", NULL, "unmap a range and leave an invalid descriptor at each granule",
	 "ptctl annotate m0/g0 0x4000_0000 2M 2 0x1234", annotate_args, change_options,
	 cmd_annotate, {.columns = APPLY_COLUMNS}, NULL, 0},
	{"young", NULL, "set the access flags of a range", "ptctl young m0/g0 0x4000_0000 2M",
	 range_args, change_options, cmd_young, {.columns = APPLY_COLUMNS}, NULL, 0},
	{"flush", NULL, "data cache maintenance over what is mapped in a range",
	 "ptctl flush m0/g0 0x4000_0000 2M", range_args, change_options, cmd_flush,
	 {.columns = APPLY_COLUMNS}, NULL, 0},
	{"age", NULL, "which of a range was accessed", "ptctl age m0/g0 0x4000_0000 2M --clear",
	 range_args, age_options, cmd_age, {0}, NULL, 0},
	{"split", NULL, "turn the blocks of a range into smaller ones or pages",
	 "ptctl split m0/g0 0x4000_0000 1G --level 2", range_args, split_options, cmd_split, {0},
	 NULL, 0},
	{"collapse", NULL, "turn what can be one block of a range into one",
	 "ptctl collapse m0/g0 0x4000_0000 1G", range_args, NULL, cmd_collapse, {0}, NULL, 0},
	{"dirty", "start", "log which pages of a range are written",
	 "ptctl dirty start m0/g0 0x4000_0000 1G --eager", range_args, dirty_start_options,
	 cmd_dirty_start, {0}, NULL, 0},
	{"dirty", "get", "which pages were written, and with --clear begin anew",
	 "ptctl dirty get 0xd142000000000007 --clear", dirty_get_args, dirty_get_options,
	 cmd_dirty_get, {0}, NULL, 0},
	{"dirty", "stop", "end a log", "ptctl dirty stop 0xd142000000000007", dirty_stop_args,
	 NULL, cmd_dirty_stop, {0}, NULL, 0},
	{"dirty", "list", "the logs that are there", "ptctl dirty list --context m0/g0", NULL,
	 dirty_list_options, cmd_dirty_list, {.rows = "logs", .columns = "log context_name ipa size memory_bytes"},
	 NULL, 0},
	{"access", "read", "read as a vCPU does; exit code 7 on a fault",
	 "ptctl access read m0/g0 0x4000_0000 --length 16", at_args, read_options, cmd_access, {0},
	 NULL, 0},
	{"access", "write", "write as a vCPU does; exit code 7 on a fault",
	 "ptctl access write m0/g0 0x4000_0000 cafe --vcpu 1", write_args, access_options,
	 cmd_access, {0}, NULL, 0},
	{"access", "exec", "fetch an instruction as a vCPU does; exit code 7 on a fault",
	 "ptctl access exec m0/g0 0x4000_0000", at_args, access_options, cmd_access, {0}, NULL, 0},
	{"access", "at", "an address translation instruction; exit code 7 on a fault",
	 "ptctl access at m0/g0 0x4000_0000", at_args, access_options, cmd_access, {0}, NULL, 0},
	{"fault", NULL, "handle one stage-2 fault; exit code 7 if it goes to the VMM",
	 "ptctl fault m0/g0 --ipa 0x4000_0000 --access write", context_arg, fault_options,
	 cmd_fault, {0}, NULL, 0},
	{"translate", NULL, "walk the tables; exit code 7 on a fault",
	 "ptctl translate m0/g0 0x4000_0000 --explain", at_args, translate_options, cmd_translate,
	 {0}, NULL, 0},
	{"own", "share", "let another party reach memory, too",
	 "ptctl own share m0 2M --to g0 --pa 0 --ipa 0x4000_0000 --prot rw", own_transfer_args,
	 own_share_options, cmd_own_transfer, {.columns = TRANSFER_COLUMNS}, NULL, 0},
	{"own", "unshare", "end that", "ptctl own unshare m0 2M --to g0 --ipa 0x4000_0000",
	 own_transfer_args, own_unshare_options, cmd_own_transfer, {.columns = TRANSFER_COLUMNS},
	 NULL, 0},
	{"own", "donate", "make another party its owner",
	 "ptctl own donate m0 2M --to g1 --pa 2M --ipa 0x8000_0000 --zero", own_transfer_args,
	 own_donate_options, cmd_own_transfer, {.columns = TRANSFER_COLUMNS}, NULL, 0},
	{"own", "lend", "let guests have memory that stays its owner's, who has none of it meanwhile",
	 "ptctl own lend m0 2M --to g0,g1 --pa 4M --zero", own_transfer_args, own_lend_options,
	 cmd_own_transfer, {.columns = "lend_handle lend_missing " TRANSFER_COLUMNS}, NULL, 0},
	{"own", "retrieve", "have what was lent",
	 "ptctl own retrieve m0 1 --to g0 --ipa 0x4000_0000", own_lent_args, own_retrieve_options,
	 cmd_own_transfer, {.columns = TRANSFER_COLUMNS}, NULL, 0},
	{"own", "relinquish", "end that", "ptctl own relinquish m0 1 --from g0", own_lent_args,
	 own_relinquish_options, cmd_own_transfer, {.columns = TRANSFER_COLUMNS}, NULL, 0},
	{"own", "lendings", "what is lent, and lists that are not complete",
	 "ptctl own lendings m0", machine_arg, NULL, cmd_own_lendings,
	 {.rows = "lendings"}, NULL, 0},
	{"own", "reclaim", "take guests' memory by force, which poisons theirs; or have back what was lent",
	 "ptctl own reclaim m0 2M 4K", own_back_args, own_back_options, cmd_own_transfer,
	 {.columns = TRANSFER_COLUMNS}, NULL, 0},
	{"own", "reclaim-dying", "have back what a dying guest has, holes included",
	 "ptctl own reclaim-dying m0 2M --from g0 --ipa 1G", own_transfer_args, own_dying_options,
	 cmd_own_transfer, {.columns = TRANSFER_COLUMNS}, NULL, 0},
	{"own", "top-up", "give frames for a guest's tables",
	 "ptctl own top-up m0 64K --to g0 --pa 8M", own_transfer_args, own_top_up_options,
	 cmd_own_transfer, {.columns = TRANSFER_COLUMNS}, NULL, 0},
	{"own", "pin", "hyp uses what the host shares with it: no unshare meanwhile",
	 "ptctl own pin m0 2M 4K", own_reclaim_args, own_reclaim_options, cmd_own_transfer,
	 {.columns = TRANSFER_COLUMNS}, NULL, 0},
	{"own", "unpin", "end that", "ptctl own unpin m0 2M 4K", own_reclaim_args,
	 own_reclaim_options, cmd_own_transfer, {.columns = TRANSFER_COLUMNS}, NULL, 0},
	{"own", "show", "whose a machine's memory is, as a list or with --matrix in sums",
	 "ptctl own show m0 0x4000_0000 2M", own_show_args, own_show_options, cmd_own_show,
	 {.rows = "ranges"}, NULL, 0},
	{"own", "watch", "each transition as it comes", "ptctl own watch m0 -o json", machine_arg,
	 own_watch_options, cmd_own_watch,
	 {.columns = "seq kind after.pa after.size before.owner.kind before.state after.owner.kind "
		     "after.state overflow"},
	 NULL, 0},
	{"own", "map", "a picture of it, in letters or as SVG",
	 "ptctl own map m0 -o svg", machine_arg, NULL, cmd_own_map, {.rows = "ranges"},
	 "svg", 0},
	{"nested", "build", "write the stage-2 tables of a guest hypervisor, and say its registers",
	 "ptctl nested build m0/g0 0x4020_0000 0:2M:0x4000_0000:rwx", nested_build_args,
	 nested_build_options, cmd_nested_build, {0}, NULL, 0},
	{"nested", "enter", "a guest hypervisor runs its guest: find or make the shadow",
	 "ptctl nested enter m0/g0 --vttbr 0x4020_0000 --vtcr 0x800d3558", context_arg,
	 nested_enter_options, cmd_nested_enter, {0}, NULL, 0},
	{"nested", "exit", "back to virtual EL2", "ptctl nested exit m0/g0", context_arg,
	 nested_exit_options, cmd_nested_exit, {0}, NULL, 0},
	{"nested", "tlbi", "a TLBI of a guest hypervisor",
	 "ptctl nested tlbi m0/g0 ipas2e1is --ipa 0x1000 --vttbr 0x4020_0000 --vtcr 0x800d3558",
	 nested_tlbi_args,
	 nested_tlbi_options, cmd_nested_tlbi, {0}, NULL, 0},
	{"nested", "at", "an address translation instruction; exit code 7 on a fault",
	 "ptctl nested at m0/g0 s12e1r 0x1000 --vttbr 0x4020_0000 --vtcr 0x800d3558",
	 nested_at_args, nested_at_options, cmd_nested_at, {0}, NULL, 0},
	{"nested", "list", "the shadows of a context", "ptctl nested list m0/g0", context_arg,
	 NULL, cmd_nested_list, {.rows = "shadows", .columns = SHADOW_COLUMNS}, NULL, 0},
	{"pager", "serve", "supply the pages of a range when they are needed; prints who needs them",
	 "ptctl pager serve m0/g0 0x4000_0000 64M --file guest.img", pager_serve_args,
	 pager_serve_options, cmd_pager_serve, {.columns = "seq ipa access vcpu nested"}, NULL, 0},
	{"pager", "list", "ranges of a machine that lack pages", "ptctl pager list m0", machine_arg,
	 NULL, cmd_pager_list, {.rows = "pagers"}, NULL, 0},
	{"failpoint", "arm", "inject a failure",
	 "ptctl failpoint arm pool.reserve --action error --nth 3 --times 1", arm_args, arm_options,
	 cmd_failpoint_arm, {0}, NULL, 0},
	{"failpoint", "disarm", "take one or all back", "ptctl failpoint disarm", disarm_args, NULL,
	 cmd_failpoint_disarm, {0}, NULL, 0},
	{"failpoint", "list", "what is armed", "ptctl failpoint list", NULL, NULL,
	 cmd_failpoint_list, {.rows = "failpoints", .columns = FAILPOINT_COLUMNS}, NULL, 0},
	{"dump", NULL, "the tables of a context, as rows or drawn", "ptctl dump m0/g0 -o tree",
	 context_arg, dump_options, cmd_dump, {0}, "kernel|tree|strip", 0},
	{"decode", NULL, "a descriptor or register, field by field",
	 "ptctl decode pte 0x40000000040006c5 --level 2", decode_args, decode_options, cmd_decode,
	 {0}, NULL, COMMAND_LOCAL},
	{"compile", NULL, "turn a scenario into records that ptctl run and EL2 read",
	 "ptctl compile tests/scenarios/range_rules.ptd -o range_rules.scn", scenario_args,
	 compile_options, cmd_compile, {0}, "*", COMMAND_LOCAL},
	{"run", NULL, "run a scenario: one line a stage, exit code 1 if an expectation fails",
	 "ptctl run tests/scenarios/range_rules.ptd --set size=64M", scenario_args, run_options,
	 cmd_run, {0}, NULL, 0},
	{"explain", NULL, "what an outcome or error means", "ptctl explain PTD-E0068", code_args,
	 NULL, cmd_explain, {0}, NULL, COMMAND_LOCAL},
	{"tls", "init", "a throw-away authority, and certificates for a daemon and its clients",
	 "ptctl tls init --dir /tmp/ptd-tls --name localhost,::1 --client trial,other", NULL,
	 tls_init_options, cmd_tls_init, {0}, NULL, COMMAND_LOCAL},
	{"completion", "bash", "completion for bash", "source <(ptctl completion bash)", NULL, NULL,
	 cmd_completion, {0}, NULL, COMMAND_LOCAL},
	{.noun = NULL},
};
/* clang-format on */
