/* SPDX-License-Identifier: BSD-2-Clause */
/* ptctl nested: what a guest hypervisor does, done by hand. */
#include "commands.h"
#include "fields.h"
#include "instructions.h"
#include "number.h"
#include "pages.h"
#include "text.h"

#include "ptd/v1/context.pb-c.h"
#include "ptd/v1/fault.pb-c.h"
#include "ptd/v1/nested.pb-c.h"

#include <pt/outcome.h>
#include <stdlib.h>
#include <string.h>

#define MAPS_MAX   64
#define TABLES_MAX (4u << 20)
#define HCR_VM	   1u /* HCR_EL2.VM: stage 2 is on */

/* ---- build ---- */

/* One part of NESTED:SIZE:CANONICAL:RIGHTS, up to the next ':' of *text. */
static bool next_number(char **text, uint64_t *value)
{
	const char *one = strsep(text, ":");

	return one && !number_parse(one, strlen(one), value);
}

static bool read_map(char *text, struct ptd_guest_map *map)
{
	return next_number(&text, &map->ipa.v) && next_number(&text, &map->size) &&
	       next_number(&text, &map->out.v) && text && prot_parse(text, &map->prot);
}

/* `text` is cut up. */
static int read_maps(const struct ptctl *ctl, char *text, struct ptd_guest_map *map, size_t *count)
{
	for (char *one; (one = strsep(&text, ",")) != NULL; ++*count) {
		if (*count == MAPS_MAX)
			return ptctl_usage(ctl, "MAPS: more than %d", MAPS_MAX);
		map[*count].reserved = 0;
		if (!read_map(one, &map[*count]))
			return ptctl_usage(ctl,
					   "MAPS: a map is NESTED:SIZE:CANONICAL:RIGHTS\n  hint: "
					   "accepted: 0:2M:0x4000_0000:rwx");
	}
	return EXIT_DONE;
}

static int refused(const struct ptctl *ctl, const struct ptd_guest_tables *t,
		   enum ptd_guest_result result)
{
	if (result == PTD_GUEST_NO_ROOM)
		return ptctl_usage(
			ctl, "MAPS: the tables would be larger than %uM, or reach beyond 2^48",
			TABLES_MAX >> 20);
	if (result == PTD_GUEST_OVERLAP)
		return ptctl_usage(ctl, "MAPS: number %zu overlaps an earlier one",
				   t->at_fault + 1);
	if (t->at_fault < t->count)
		return ptctl_usage(ctl,
				   "MAPS: number %zu: misaligned, empty or outside, or rights that "
				   "no leaf has",
				   t->at_fault + 1);
	if (t->ipa_bits < 32 || t->ipa_bits > 48)
		return ptctl_usage(ctl, "--ipa-bits: %u is not 32 to 48", t->ipa_bits);
	return ptctl_usage(ctl,
			   "BASE: 0x%llx: not below 2^48, or not a multiple of the "
			   "granule and of the start tables' size",
			   (unsigned long long)t->base.v);
}

/* As the guest hypervisor writes them: accesses of its vCPU, each inside a page of 4 KiB. */
static int write_page(struct ptctl *ctl, Ptd__V1__AccessRequest *request, const uint8_t *data)
{
	const Ptd__V1__AccessResponse *response;
	const struct pt_outcome_info *info;
	ProtobufCMessage *message;
	int result;

	request->data = (ProtobufCBinaryData){4096, (uint8_t *)(uintptr_t)data};
	result = ptctl_call(ctl, "/ptd.v1.FaultService/Access", &request->base,
			    &ptd__v1__access_response__descriptor, &message);
	if (result)
		return result;
	response = (const Ptd__V1__AccessResponse *)message;
	info = response->outcome ? pt_outcome_info(response->outcome) : NULL;
	if (response->outcome) {
		fprintf(stderr, "error: the tables cannot be written at 0x%llx: %s\n",
			(unsigned long long)request->ipa, info ? info->name : "unknown outcome");
		result = EXIT_FAULT;
	}
	protobuf_c_message_free_unpacked(message, NULL);
	return result;
}

/* The end of "machine/context" in the name of a shadow, which goes on behind it; NULL: of another.
 */
static const char *canonical_end(const char *name)
{
	const char *slash = strchr(name, '/');

	return slash ? strchr(slash + 1, '/') : NULL;
}

/* Tables that stand in a shadow's memory would be those of a guest's guest, which nobody enters. */
static int need_own_context(struct ptctl *ctl, uint64_t handle)
{
	Ptd__V1__GetContextResponse *got;
	const char *name, *end;
	int result = ptctl_get_context(ctl, NULL, handle, &got);

	if (result)
		return result;
	name = got->context->name;
	end = canonical_end(name);
	if (end)
		result = ptctl_usage(ctl,
				     "CONTEXT: a shadow; a guest hypervisor's tables stand in its "
				     "own context\n  hint: ptctl nested build %.*s ...",
				     (int)(end - name), name);
	ptd__v1__get_context_response__free_unpacked(got, NULL);
	return result;
}

static int write_tables(struct ptctl *ctl, const struct ptd_guest_tables *t, const uint8_t *data)
{
	Ptd__V1__AccessRequest request = PTD__V1__ACCESS_REQUEST__INIT;
	int result = ptctl_handle(ctl, "context", &request.context);

	if (!result)
		result = need_own_context(ctl, request.context);
	request.vcpu = (uint32_t)ptctl_number(ctl, "vcpu");
	request.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_WRITE;
	for (size_t at = 0; !result && at < t->bytes; at += 4096) {
		request.ipa = t->base.v + at;
		result = write_page(ctl, &request, data + at);
	}
	return result;
}

static void show_tables(struct ptctl *ctl, const struct ptd_guest_tables *t)
{
	static const struct column columns[] = {{"vttbr", CELL_ADDRESS},
						{"vtcr", CELL_ADDRESS},
						{"bytes", CELL_NUMBER},
						{"registers", CELL_TEXT}};
	struct rows *rows = rows_new(columns, sizeof(columns) / sizeof(columns[0]));
	/* As enter, tlbi and at take them. */
	char *registers = text_new("--vttbr 0x%llx --vtcr 0x%llx", (unsigned long long)t->vttbr,
				   (unsigned long long)t->vtcr);

	rows_add(rows);
	rows_number(rows, 0, t->vttbr);
	rows_number(rows, 1, t->vtcr);
	rows_number(rows, 2, t->bytes);
	rows_text(rows, 3, registers);
	output_rows(&ctl->out, "tables", rows, true);
	rows_free(rows);
	free(registers);
}

static int build(struct ptctl *ctl, struct ptd_guest_tables *t)
{
	uint8_t *data = ptctl_alloc(TABLES_MAX);
	enum ptd_guest_result built = ptd_guest_tables_build(t, data, TABLES_MAX);
	int result = built == PTD_GUEST_OK ? write_tables(ctl, t, data) : refused(ctl, t, built);

	if (!result)
		show_tables(ctl, t);
	free(data);
	return result;
}

int cmd_nested_build(struct ptctl *ctl)
{
	static const uint32_t shifts[] = {12, 12, 14, 16};
	struct ptd_guest_map map[MAPS_MAX];
	struct ptd_guest_tables t = {
		.granule_shift = shifts[ptctl_number(ctl, "granule")],
		.ipa_bits =
			ptctl_given(ctl, "ipa-bits") ? (uint32_t)ptctl_number(ctl, "ipa-bits") : 40,
		.base = {ptctl_number(ctl, "base")},
		.vmid = (uint16_t)ptctl_number(ctl, "vmid"),
		.maps = map,
	};
	char *text = text_new("%s", ptctl_text(ctl, "maps"));
	int result = read_maps(ctl, text, map, &t.count);

	free(text);
	return result ? result : build(ctl, &t);
}

/* ---- enter, exit, list ---- */

/* Zero is a value of these registers like any other, and hardly what was meant. */
static bool says_whose(const struct ptctl *ctl)
{
	return ptctl_given(ctl, "vttbr") && ptctl_given(ctl, "vtcr");
}

static int need_stage2(struct ptctl *ctl)
{
	bool on = !ptctl_given(ctl, "hcr") || ptctl_number(ctl, "hcr") & HCR_VM;

	if (!on || says_whose(ctl))
		return EXIT_DONE;
	return ptctl_usage(ctl, "--vttbr and --vtcr are needed where stage 2 is on\n  hint: "
				"ptctl nested build says them; --hcr 0: it is off");
}

int cmd_nested_enter(struct ptctl *ctl)
{
	Ptd__V1__EnterNestedRequest request = PTD__V1__ENTER_NESTED_REQUEST__INIT;
	int result = need_stage2(ctl);

	if (result)
		return result;
	request.hcr = HCR_VM;
	return ptctl_ask(ctl, "/ptd.v1.NestedService/EnterNested", &request.base,
			 &ptd__v1__enter_nested_response__descriptor);
}

int cmd_nested_exit(struct ptctl *ctl)
{
	Ptd__V1__ExitNestedRequest request = PTD__V1__EXIT_NESTED_REQUEST__INIT;

	return ptctl_ask(ctl, "/ptd.v1.NestedService/ExitNested", &request.base,
			 &ptd__v1__exit_nested_response__descriptor);
}

static const char *next_page(ProtobufCMessage *request, const ProtobufCMessage *response)
{
	Ptd__V1__ListShadowsRequest *list = (Ptd__V1__ListShadowsRequest *)request;

	list->page_token = ((const Ptd__V1__ListShadowsResponse *)response)->next_page_token;
	return list->page_token;
}

int cmd_nested_list(struct ptctl *ctl)
{
	Ptd__V1__ListShadowsRequest request = PTD__V1__LIST_SHADOWS_REQUEST__INIT;
	int result = ptctl_fill(ctl, &request.base);

	return result ? result
		      : pages_show(ctl, "/ptd.v1.NestedService/ListShadows", &request.base,
				   &ptd__v1__list_shadows_response__descriptor, next_page);
}

/* ---- tlbi ---- */

int cmd_nested_tlbi(struct ptctl *ctl)
{
	Ptd__V1__InvalidateRequest request = PTD__V1__INVALIDATE_REQUEST__INIT;
	const struct instruction *tlbi = &tlbi_instructions[ptctl_number(ctl, "instruction") - 1];
	uint64_t ipa = ptctl_number(ctl, "ipa");

	if (ptctl_given(ctl, "ipa") && ptctl_given(ctl, "operand"))
		return ptctl_usage(ctl, "--ipa makes the operand; --operand is too much");
	if (ptctl_given(ctl, "ipa") && !tlbi->address)
		return ptctl_usage(ctl,
				   "--ipa goes with ipas2e1 and ipas2le1; a range is --operand");
	if (ipa >> 52)
		return ptctl_usage(ctl, "--ipa: 0x%llx has more than 52 bits",
				   (unsigned long long)ipa);
	if (instruction_takes(tlbi) && !ptctl_given(ctl, "ipa") && !ptctl_given(ctl, "operand"))
		return ptctl_usage(ctl, "%s--operand is needed by %s",
				   tlbi->address ? "--ipa or " : "", tlbi->name);
	if (strncmp(tlbi->name, "alle1", 5) && !says_whose(ctl))
		return ptctl_usage(ctl, "--vttbr and --vtcr are needed: they say whose shadows\n  "
					"hint: ptctl nested build says them");
	request.sys = tlbi->sys | (ptctl_given(ctl, "nxs") ? INSTRUCTION_NXS : 0);
	request.operand = ipa >> 12;
	return ptctl_ask(ctl, "/ptd.v1.NestedService/Invalidate", &request.base,
			 &ptd__v1__invalidate_response__descriptor);
}

/* ---- at ---- */

int cmd_nested_at(struct ptctl *ctl)
{
	Ptd__V1__AddressTranslateRequest request = PTD__V1__ADDRESS_TRANSLATE_REQUEST__INIT;
	const Ptd__V1__AddressTranslateResponse *response;
	ProtobufCMessage *message;
	int result = need_stage2(ctl);

	if (result)
		return result;
	request.hcr = HCR_VM;
	result = ptctl_fill(ctl, &request.base);
	if (result)
		return result;
	request.sys = at_instructions[ptctl_number(ctl, "instruction") - 1].sys;
	result = ptctl_call(ctl, "/ptd.v1.NestedService/AddressTranslate", &request.base,
			    &ptd__v1__address_translate_response__descriptor, &message);
	if (result)
		return result;
	response = (const Ptd__V1__AddressTranslateResponse *)message;
	result = response->outcome || response->par & 1 ? EXIT_FAULT : EXIT_DONE;
	output_message(&ctl->out, message, &ctl->command->view);
	protobuf_c_message_free_unpacked(message, NULL);
	return result;
}
