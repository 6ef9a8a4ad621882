/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenario text: the table of operations with their keys, and what each adds or checks. */
#include "scenario_parse.h"

#define OFFSET(field) (uint8_t) offsetof(struct scn_record, body.field)
#define WIDTH(field)  (uint8_t)sizeof(((struct scn_record *)0)->body.field)
#define KEY(name, type, required, field, help)                                                     \
	{                                                                                          \
		name, type, required, OFFSET(field), WIDTH(field), 0, help                         \
	}
#define FLAG(name, field, bit, help)                                                               \
	{                                                                                          \
		name, SCN_T_FLAG, false, OFFSET(field), WIDTH(field), bit, help                    \
	}

static const struct scn_key machine_keys[] = {
	KEY("memory", SCN_T_NUMBER, true, machine.memory_bytes, "bytes of memory, from PA 0 on"),
	KEY("vcpus", SCN_T_NUMBER, false, machine.vcpus, "vCPUs; 1"),
	KEY("pa", SCN_T_NUMBER, false, machine.pa_bits, "bits of the PA space; 48"),
	KEY("vmid", SCN_T_NUMBER, false, machine.vmid_bits, "bits of a VMID: 8 or 16"),
	FLAG("owners", machine.flags, SCN_MACHINE_OWNERS, "its frames have owners"),
	{0}};

static const struct scn_key context_keys[] = {
	KEY("machine", SCN_T_MACHINE, false, context.machine, "the latest one"),
	KEY("granule", SCN_T_GRANULE, false, context.granule_shift, "4K, 16K or 64K; 4K"),
	KEY("ipa", SCN_T_NUMBER, false, context.ipa_bits, "bits of the IPA space"),
	KEY("pa", SCN_T_NUMBER, false, context.pa_bits, "bits of the PA space; the machine's"),
	KEY("start", SCN_T_LEVEL, false, context.start_plus_2, "start level; the best one"),
	KEY("vtcr", SCN_T_NUMBER, false, context.vtcr, "a VTCR_EL2 value instead of all of these"),
	KEY("quota", SCN_T_NUMBER, false, context.quota_pages,
	    "table pages below the start tables"),
	KEY("kind", SCN_T_KIND, false, context.kind, "guest or host; guest"),
	FLAG("ds", context.flags, SCN_CTX_DS, "FEAT_LPA2 descriptors"),
	FLAG("fwb", context.flags, SCN_CTX_FWB, "HCR_EL2.FWB"),
	FLAG("xnx", context.flags, SCN_CTX_XNX, "FEAT_XNX"),
	FLAG("ha", context.flags, SCN_CTX_HA, "VTCR_EL2.HA"),
	FLAG("hd", context.flags, SCN_CTX_HD, "VTCR_EL2.HD"),
	FLAG("identity", context.flags, SCN_CTX_IDENTITY, "mappings must have IPA = PA"),
	FLAG("protected", context.flags, SCN_CTX_PROTECTED,
	     "a guest of a machine with owners: it owns its memory"),
	KEY("software", SCN_T_NUMBER, false, context.software,
	    "descriptor bits 58:55 that maps may set: 0 to 15; 0"),
	FLAG("nested", context.flags, SCN_CTX_NESTED, "a guest hypervisor runs in it"),
	KEY("shadows", SCN_T_NUMBER, false, context.shadows, "of nested: how many at a time; 64"),
	KEY("bbm", SCN_T_NUMBER, false, context.bbm, "FEAT_BBM level: 0, 1 or 2; 0"),
	{0}};

static const struct scn_key slot_keys[] = {
	KEY("id", SCN_T_NUMBER, false, slot.id, "number of the slot; 0"),
	KEY("ipa", SCN_T_NUMBER, true, slot.ipa, "where it begins"),
	KEY("size", SCN_T_NUMBER, true, slot.size, "bytes"),
	KEY("pa", SCN_T_NUMBER, true, slot.pa, "memory behind it"),
	KEY("backing", SCN_T_NUMBER, false, slot.backing, "largest block of a fault; the granule"),
	FLAG("read-only", slot.flags, 1, "writes exit"),
	FLAG("log-dirty", slot.flags, 2, "write access on the first write only"),
	FLAG("no-exec", slot.flags, 4, "instruction fetches exit"),
	{0}};

static const struct scn_key delete_keys[] = {
	KEY("machine", SCN_T_MACHINE, false, words[0], "with all its contexts"),
	KEY("slot", SCN_T_NUMBER, false, slot.id, "a slot of the context"),
	{0}};

static const struct scn_key quota_keys[] = {
	KEY("pages", SCN_T_NUMBER, true, quota.pages, "table pages; 0: no limit"), {0}};

#define SERIES_KEYS                                                                                \
	KEY("ipa", SCN_T_NUMBER, true, map.ipa, "where it begins"),                                \
		KEY("size", SCN_T_NUMBER, true, map.size, "bytes"),                                \
		KEY("count", SCN_T_NUMBER, false, map.count, "so many operations; 1"),             \
		KEY("stride", SCN_T_NUMBER, false, map.stride,                                     \
		    "bytes from one to the next; size"),                                           \
		KEY("lane-step", SCN_T_NUMBER, false, map.lane_step,                               \
		    "in par: bytes from one vCPU's to the next's")
#define RANGE_KEYS                                                                                 \
	SERIES_KEYS, FLAG("validate", map.flags, SCN_MAP_VALIDATE, "report, change nothing")

static const struct scn_key map_keys[] = {
	RANGE_KEYS,
	KEY("pa", SCN_T_NUMBER, true, map.pa, "memory behind it"),
	KEY("prot", SCN_T_PROT, true, map.prot, "rights: letters of r w x, p (EL1), u (EL0)"),
	KEY("type", SCN_T_MEMORY, false, map.prot, "normal, nc or device; normal"),
	FLAG("replace", map.flags, 1, "over another mapping, too"),
	FLAG("pages", map.flags, 2, "no blocks"),
	KEY("software", SCN_T_NUMBER, false, words[7], "descriptor bits 58:55; 0"),
	FLAG("contiguous", map.flags, 4, "the contiguous hint wherever a whole group fits"),
	{0}};

static const struct scn_key unmap_keys[] = {RANGE_KEYS, {0}};

static const struct scn_key protect_keys[] = {
	RANGE_KEYS, KEY("prot", SCN_T_PROT, true, map.prot, "the rights from now on"), {0}};

static const struct scn_key relax_keys[] = {
	RANGE_KEYS, KEY("prot", SCN_T_PROT, true, map.prot, "rights to add"), {0}};

/* The two parts of the invalid descriptor are put together in map.pa. */
static const struct scn_key annotate_keys[] = {
	RANGE_KEYS,
	KEY("type", SCN_T_NUMBER, true, words[7], "2 to 15: bits 63:60"),
	KEY("payload", SCN_T_NUMBER, false, map.pa, "bits 59:1; 0"),
	{0}};

static const struct scn_key age_keys[] = {
	SERIES_KEYS, FLAG("clear", map.flags, SCN_AGE_CLEAR, "take the access flags away"), {0}};

static const struct scn_key split_keys[] = {
	SERIES_KEYS,
	KEY("level", SCN_T_LEVEL, false, map.prot, "no block above it is left; 3"),
	KEY("pages", SCN_T_NUMBER, false, map.pa, "table pages to spend at most; any"),
	{0}};

static const struct scn_key collapse_keys[] = {SERIES_KEYS, {0}};

#define LOG_KEY                                                                                    \
	KEY("id", SCN_T_NUMBER, false, log.index, "which of the scenario's logs: 0 to 63; 0")
static const struct scn_key log_start_keys[] = {
	LOG_KEY,
	KEY("ipa", SCN_T_NUMBER, true, log.ipa, "where it begins"),
	KEY("size", SCN_T_NUMBER, true, log.size, "bytes"),
	FLAG("eager", log.flags, SCN_LOG_EAGER, "split blocks now, not at their first write"),
	FLAG("all-dirty", log.flags, SCN_LOG_ALL, "every page counts as dirty at first"),
	{0}};
static const struct scn_key log_get_keys[] = {
	LOG_KEY,
	KEY("ipa", SCN_T_NUMBER, false, log.ipa, "from here on; the log's begin"),
	KEY("size", SCN_T_NUMBER, false, log.size, "bytes; to the log's end"),
	FLAG("clear", log.flags, SCN_LOG_CLEAR, "they are clean from now on"),
	{0}};
static const struct scn_key log_stop_keys[] = {LOG_KEY, {0}};

static const struct scn_key batch_keys[] = {
	KEY("mode", SCN_T_MODE, true, group.mode, "atomic, stop or best"),
	FLAG("validate", group.flags, SCN_MAP_VALIDATE, "report, change nothing"),
	{0}};

#define SWEEP_KEYS                                                                                 \
	KEY("ipa", SCN_T_NUMBER, true, access.ipa, "the first address"),                           \
		KEY("size", SCN_T_NUMBER, false, access.size, "sweep so many bytes"),              \
		KEY("step", SCN_T_NUMBER, false, access.step, "from one access to the next"),      \
		KEY("length", SCN_T_NUMBER, false, access.length, "bytes of an access; 8"),        \
		KEY("data", SCN_T_NUMBER, false, access.data, "what a write writes"),              \
		KEY("vcpu", SCN_T_NUMBER, false, access.vcpu, "who; 0, in par the lane"),          \
		KEY("lane-step", SCN_T_NUMBER, false, access.lane_step,                            \
		    "in par: bytes from one vCPU's to the next's"),                                \
		KEY("on", SCN_T_LANES, false, words[7], "in par: all, even, odd or a number"),     \
		FLAG("el0", access.flags, SCN_ACCESS_EL0, "from EL0")

static const struct scn_key access_keys[] = {
	SWEEP_KEYS, FLAG("s1ptw", access.flags, SCN_ACCESS_S1PTW, "a stage-1 table access"), {0}};

static const struct scn_key access_kind_keys[] = {
	SWEEP_KEYS,
	FLAG("s1ptw", access.flags, SCN_ACCESS_S1PTW, "a stage-1 table access"),
	KEY("kind", SCN_T_ACCESS, true, access.kind, "read, write, exec or at"),
	{0}};

static const struct scn_key fault_keys[] = {
	KEY("ipa", SCN_T_NUMBER, false, fault.ipa, "the address"),
	KEY("access", SCN_T_ACCESS, false, fault.kind, "read, write or exec"),
	KEY("esr", SCN_T_NUMBER, false, fault.esr, "instead: ESR_EL2"),
	KEY("far", SCN_T_NUMBER, false, fault.far, "FAR_EL2"),
	KEY("hpfar", SCN_T_NUMBER, false, fault.hpfar, "HPFAR_EL2"),
	KEY("vcpu", SCN_T_NUMBER, false, fault.vcpu, "whose TLB entry faulted; 0"),
	FLAG("el0", fault.flags, SCN_ACCESS_EL0, "from EL0"),
	{0}};

static const struct scn_key translate_keys[] = {
	KEY("ipa", SCN_T_NUMBER, true, fault.ipa, "the address"),
	KEY("access", SCN_T_ACCESS, false, fault.kind, "read, write or exec; read"),
	KEY("vcpu", SCN_T_NUMBER, false, fault.vcpu, "the vCPU; 0"),
	FLAG("el0", fault.flags, SCN_ACCESS_EL0, "from EL0"),
	{0}};

static const struct scn_key failpoint_keys[] = {
	KEY("action", SCN_T_ACTION, false, failpoint.action, "error, drop or delay; error"),
	KEY("nth", SCN_T_NUMBER, false, failpoint.nth, "the n-th hit fails"),
	KEY("times", SCN_T_NUMBER, false, failpoint.times, "so many in a row; without end"),
	KEY("ppm", SCN_T_NUMBER, false, failpoint.probability_ppm, "probability in millionths"),
	KEY("seed", SCN_T_NUMBER, false, failpoint.seed, "of the probability"),
	KEY("ttl", SCN_T_NUMBER, false, failpoint.ttl_ms, "ms until it disarms itself"),
	KEY("delay", SCN_T_NUMBER, false, failpoint.delay_ms, "ms"),
	KEY("status", SCN_T_NUMBER, false, failpoint.grpc_status, "gRPC status of an error"),
	FLAG("scoped", failpoint.scoped, 1, "only in the context"),
	{0}};

static const struct scn_key no_keys[] = {{0}};

bool scn_key_given(const struct scn_key *keys, const char *name, uint64_t given)
{
	for (unsigned i = 0; keys[i].name; i++)
		if (!__builtin_strcmp(keys[i].name, name))
			return given >> i & 1;
	return false;
}

static bool finish_machine(struct scn_compiler *c, struct scn_record *r, uint64_t given)
{
	(void)c;
	if (!scn_key_given(machine_keys, "vcpus", given))
		r->body.machine.vcpus = 1;
	return true;
}

static bool finish_context(struct scn_compiler *c, struct scn_record *r, uint64_t given)
{
	struct scn_context_body *b = &r->body.context;
	bool vtcr = scn_key_given(context_keys, "vtcr", given);

	if (!scn_key_given(context_keys, "machine", given)) {
		if (!c->machines.count)
			return scn_error(c, NULL, "a machine line must come first");
		b->machine = c->machines.count - 1;
	}
	if (vtcr && (b->granule_shift || b->ipa_bits || b->pa_bits || b->start_plus_2 ||
		     b->flags & SCN_CTX_DS))
		return scn_error(c, NULL, "vtcr= stands for granule, ipa, pa, start and ds");
	if (!vtcr && !b->ipa_bits)
		return scn_error(c, NULL, "context needs ipa= or vtcr=");
	if (!vtcr && !b->granule_shift)
		b->granule_shift = 12;
	if (!b->kind)
		b->kind = 1;
	if (b->shadows && !(b->flags & SCN_CTX_NESTED))
		return scn_error(c, NULL, "shadows= goes with nested");
	if (!b->shadows && b->flags & SCN_CTX_NESTED)
		b->shadows = 64;
	c->machine_of[r->object] = (uint16_t)b->machine;
	return true;
}

static bool finish_slot(struct scn_compiler *c, struct scn_record *r, uint64_t given)
{
	uint64_t backing = r->body.slot.backing;

	(void)given;
	return !(backing & (backing - 1)) || scn_error(c, NULL, "backing must be a power of two");
}

static bool finish_delete(struct scn_compiler *c, struct scn_record *r, uint64_t given)
{
	bool context = false;

	for (size_t i = 1; i < c->words; i++)
		context |= scn_span_is(&c->word[i].key, "context");
	if (scn_key_given(delete_keys, "machine", given)) {
		if (given != 1 || context)
			return scn_error(c, NULL, "delete takes one object at a time");
		r->op = SCN_DELETE_MACHINE;
		r->object = (uint16_t)r->body.words[0];
		r->body.words[0] = 0;
		return true;
	}
	if (!given && !context)
		return scn_error(c, NULL, "delete needs machine=, context= or slot=");
	r->op = given ? SCN_DELETE_SLOT : SCN_DELETE_CONTEXT;
	return true;
}

static bool finish_map(struct scn_compiler *c, struct scn_record *r, uint64_t given)
{
	struct scn_map_body *b = &r->body.map;

	(void)given;
	if (!b->count)
		b->count = 1;
	if (b->count > SCN_MAX_COUNT)
		return scn_error(c, NULL, "count is above %u", SCN_MAX_COUNT);
	if (!b->stride)
		b->stride = b->size;
	if (b->lane_step && !(r->flags & SCN_F_PAR))
		return scn_error(c, NULL, "lane-step= belongs inside par");
	return true;
}

/* Software bits stand above rights and memory type. */
static bool finish_software(struct scn_compiler *c, struct scn_record *r, uint64_t given)
{
	uint64_t bits = r->body.words[7];

	r->body.words[7] = 0;
	if (bits > 15)
		return scn_error(c, NULL, "software is at most 15");
	r->body.map.prot |= (uint32_t)bits << 16;
	return finish_map(c, r, given);
}

static bool finish_annotate(struct scn_compiler *c, struct scn_record *r, uint64_t given)
{
	struct scn_map_body *b = &r->body.map;
	uint64_t type = r->body.words[7];

	r->body.words[7] = 0;
	if (type > 15)
		return scn_error(c, NULL, "type is at most 15");
	if (b->pa >> 59)
		return scn_error(c, NULL, "payload has more than 59 bits");
	b->pa = type << 60 | b->pa << 1;
	return finish_map(c, r, given);
}

static bool finish_log(struct scn_compiler *c, struct scn_record *r, uint64_t given)
{
	(void)given;
	return r->body.log.index < SCN_MAX_LOGS ||
	       scn_error(c, NULL, "id is at most %u", SCN_MAX_LOGS - 1);
}

static bool finish_access(struct scn_compiler *c, struct scn_record *r, uint64_t given)
{
	struct scn_access_body *b = &r->body.access;
	uint64_t on = r->body.words[7];
	bool par = r->flags & SCN_F_PAR;

	r->body.words[7] = 0;
	if (!par && (on || b->lane_step))
		return scn_error(c, NULL, "on= and lane-step= belong inside par");
	if (par && scn_key_given(access_keys, "vcpu", given))
		return scn_error(c, NULL, "inside par each vCPU does it: use on=, not vcpu=");
	if (!b->size != !b->step)
		return scn_error(c, NULL, "a sweep needs size= and step=");
	if (!b->kind)
		b->kind = scn_span_is(&c->word[0].all, "read")	  ? 1
			  : scn_span_is(&c->word[0].all, "write") ? 2
			  : scn_span_is(&c->word[0].all, "exec")  ? 3
								  : 4;
	if (on) {
		b->select = (uint8_t)on;
		b->vcpu = (uint32_t)(on >> 8);
	}
	if (!scn_key_given(access_keys, "length", given))
		b->length = b->kind == 3 ? 4 : b->kind == 4 ? 0 : 8;
	if (b->length > 8)
		return scn_error(c, NULL, "length is at most 8");
	if (!scn_key_given(access_keys, "data", given))
		b->data = UINT64_C(0x0123456789abcdef);
	return true;
}

static bool finish_fault(struct scn_compiler *c, struct scn_record *r, uint64_t given)
{
	struct scn_fault_body *b = &r->body.fault;
	bool raw = scn_key_given(fault_keys, "esr", given);

	if (r->op == SCN_TRANSLATE)
		b->kind = b->kind ? b->kind : 1;
	else if (raw && (scn_key_given(fault_keys, "ipa", given) || b->kind))
		return scn_error(c, NULL, "fault takes esr, far and hpfar, or ipa and access");
	else if (!raw && !b->kind)
		return scn_error(c, NULL, "fault needs access= (or esr=)");
	else if (!raw && !scn_key_given(fault_keys, "ipa", given))
		return scn_error(c, NULL, "fault needs ipa= (the address)");
	else if (raw && !scn_key_given(fault_keys, "far", given))
		return scn_error(c, NULL, "fault needs far= beside esr= (0 where it is unknown)");
	else if (raw && !scn_key_given(fault_keys, "hpfar", given))
		return scn_error(c, NULL, "fault needs hpfar= beside esr= (0 where it is unknown)");
	return true;
}

static bool finish_failpoint(struct scn_compiler *c, struct scn_record *r, uint64_t given)
{
	struct scn_failpoint_body *b = &r->body.failpoint;

	(void)given;
	if (!b->action)
		b->action = 1;
	if (!b->nth && !b->probability_ppm)
		return scn_error(c, NULL, "failpoint needs nth= or ppm=");
	if (b->action == 3 && !b->delay_ms)
		return scn_error(c, NULL, "failpoint needs delay= with action=delay");
	if (b->scoped && c->context == SCN_NONE)
		return scn_error(c, NULL, "scoped needs a context");
	r->object = b->scoped ? (uint16_t)c->context : SCN_NONE;
	return true;
}

static bool finish_group(struct scn_compiler *c, struct scn_record *r, uint64_t given)
{
	uint32_t lanes = r->body.group.lanes;

	(void)given;
	if (r->op == SCN_PAR && (!lanes || lanes > SCN_MAX_LANES))
		return scn_error(c, &c->word[1].all, "par takes 1 to %u vCPUs", SCN_MAX_LANES);
	c->group = (uint32_t)(r - c->records);
	c->group_line = c->line_number;
	c->group_text = (struct scn_span){c->line, c->line_length};
	return true;
}

const struct scn_verb scn_verb_table[] = {
	{"machine", SCN_MACHINE, SCN_FIRST_MACHINE, 0, machine_keys, finish_machine,
	 "create a machine"},
	{"context", SCN_CONTEXT, SCN_FIRST_CONTEXT, 0, context_keys, finish_context,
	 "create a context; later lines work on it"},
	{"slot", SCN_SLOT, SCN_FIRST_NONE, SCN_W_CONTEXT, slot_keys, finish_slot,
	 "create or change a memslot"},
	{"delete", 0, SCN_FIRST_NONE, SCN_W_CONTEXT, delete_keys, finish_delete,
	 "delete a machine, context or slot"},
	{"quota", SCN_QUOTA, SCN_FIRST_NONE, SCN_W_CONTEXT, quota_keys, NULL,
	 "limit the table pages"},
	{"map", SCN_MAP, SCN_FIRST_NONE, SCN_W_CONTEXT | SCN_W_PAR | SCN_W_BATCH, map_keys,
	 finish_software, "map a range"},
	{"unmap", SCN_UNMAP, SCN_FIRST_NONE, SCN_W_CONTEXT | SCN_W_PAR | SCN_W_BATCH, unmap_keys,
	 finish_map, "unmap a range"},
	{"protect", SCN_PROTECT, SCN_FIRST_NONE, SCN_W_CONTEXT | SCN_W_PAR | SCN_W_BATCH,
	 protect_keys, finish_map, "replace the rights of a range"},
	{"wrprotect", SCN_WRPROTECT, SCN_FIRST_NONE, SCN_W_CONTEXT | SCN_W_PAR | SCN_W_BATCH,
	 unmap_keys, finish_map, "take write access away from a range"},
	{"relax", SCN_RELAX, SCN_FIRST_NONE, SCN_W_CONTEXT | SCN_W_PAR | SCN_W_BATCH, relax_keys,
	 finish_map, "add rights to what is mapped"},
	{"annotate", SCN_ANNOTATE, SCN_FIRST_NONE, SCN_W_CONTEXT | SCN_W_PAR | SCN_W_BATCH,
	 annotate_keys, finish_annotate, "unmap a range and leave an invalid descriptor"},
	{"young", SCN_YOUNG, SCN_FIRST_NONE, SCN_W_CONTEXT | SCN_W_PAR | SCN_W_BATCH, unmap_keys,
	 finish_map, "set the access flags of a range"},
	{"flush", SCN_FLUSH, SCN_FIRST_NONE, SCN_W_CONTEXT | SCN_W_PAR | SCN_W_BATCH, unmap_keys,
	 finish_map, "data cache maintenance over a range"},
	{"age", SCN_AGE, SCN_FIRST_NONE, SCN_W_CONTEXT | SCN_W_PAR, age_keys, finish_map,
	 "which of a range was accessed"},
	{"split", SCN_SPLIT, SCN_FIRST_NONE, SCN_W_CONTEXT | SCN_W_PAR, split_keys, finish_map,
	 "turn blocks into smaller ones or pages"},
	{"collapse", SCN_COLLAPSE, SCN_FIRST_NONE, SCN_W_CONTEXT | SCN_W_PAR, collapse_keys,
	 finish_map, "turn what can be one block into one"},
	{"log-start", SCN_LOG_START, SCN_FIRST_NONE, SCN_W_CONTEXT, log_start_keys, finish_log,
	 "log which pages of a range are written"},
	{"log-get", SCN_LOG_GET, SCN_FIRST_NONE, SCN_W_CONTEXT, log_get_keys, finish_log,
	 "which pages were written"},
	{"log-stop", SCN_LOG_STOP, SCN_FIRST_NONE, SCN_W_CONTEXT, log_stop_keys, finish_log,
	 "end a log"},
	{"own", SCN_OWN, SCN_FIRST_NAME, 0, scn_own_keys, scn_finish_own,
	 "a transition of ownership, or show: whose a page is"},
	{"tables", SCN_TABLES, SCN_FIRST_NAME, SCN_W_CONTEXT, scn_tables_keys, scn_finish_tables,
	 "write the stage-2 tables of a guest hypervisor"},
	{"enter", SCN_ENTER, SCN_FIRST_NAME, SCN_W_CONTEXT, scn_enter_keys, scn_finish_enter,
	 "a guest hypervisor runs its guest: later lines work on that shadow"},
	{"exit", SCN_EXIT, SCN_FIRST_NONE, SCN_W_CONTEXT, scn_exit_keys, scn_finish_exit,
	 "back to virtual EL2: later lines work on its own context"},
	{"tlbi", SCN_TLBI, SCN_FIRST_NAME, SCN_W_CONTEXT, scn_tlbi_keys, scn_finish_tlbi,
	 "a guest hypervisor's TLBI"},
	{"guest-at", SCN_GUEST_AT, SCN_FIRST_NAME, SCN_W_CONTEXT, scn_guest_at_keys,
	 scn_finish_guest_at, "a guest hypervisor's AT for its guest, whose stage 1 is off"},
	{"batch", SCN_BATCH, SCN_FIRST_NONE, SCN_W_CONTEXT, batch_keys, finish_group,
	 "the lines up to endbatch are one Apply call"},
	{"read", SCN_ACCESS, SCN_FIRST_NONE, SCN_W_CONTEXT | SCN_W_PAR, access_keys, finish_access,
	 "a vCPU reads"},
	{"write", SCN_ACCESS, SCN_FIRST_NONE, SCN_W_CONTEXT | SCN_W_PAR, access_keys, finish_access,
	 "a vCPU writes"},
	{"exec", SCN_ACCESS, SCN_FIRST_NONE, SCN_W_CONTEXT | SCN_W_PAR, access_keys, finish_access,
	 "a vCPU fetches an instruction"},
	{"at", SCN_ACCESS, SCN_FIRST_NONE, SCN_W_CONTEXT | SCN_W_PAR, access_keys, finish_access,
	 "a vCPU translates an address"},
	{"access", SCN_ACCESS, SCN_FIRST_NONE, SCN_W_CONTEXT | SCN_W_PAR, access_kind_keys,
	 finish_access, "the same, with kind="},
	{"fault", SCN_FAULT, SCN_FIRST_NONE, SCN_W_CONTEXT | SCN_W_PAR, fault_keys, finish_fault,
	 "handle one fault"},
	{"translate", SCN_TRANSLATE, SCN_FIRST_NONE, SCN_W_CONTEXT | SCN_W_PAR, translate_keys,
	 finish_fault, "an architectural walk; changes nothing"},
	{"digest", SCN_DIGEST, SCN_FIRST_DIGEST, SCN_W_CONTEXT, no_keys, NULL,
	 "keep the context's digest under a name"},
	{"stage", SCN_STAGE, SCN_FIRST_NAME, 0, no_keys, NULL, "begin a timed stage"},
	{"failpoint", SCN_FAILPOINT, SCN_FIRST_NAME, 0, failpoint_keys, finish_failpoint,
	 "arm an injected failure"},
	{"disarm", SCN_DISARM, SCN_FIRST_NONE, 0, no_keys, NULL, "disarm all failpoints"},
	{"par", SCN_PAR, SCN_FIRST_NUMBER, 0, no_keys, finish_group,
	 "the lines up to end run on so many vCPUs at once"},
	{0}};

const struct scn_verb *scn_verb(const struct scn_span *name)
{
	for (const struct scn_verb *v = scn_verb_table; v->name; v++)
		if (scn_span_is(name, v->name))
			return v;
	return NULL;
}
