/* SPDX-License-Identifier: BSD-2-Clause */
/* ptctl dump: a context's tables, page by page, then drawn. */
#include "commands.h"
#include "dump.h"
#include "text.h"

#include "ptd/v1/context.pb-c.h"

#include <stdlib.h>
#include <string.h>

#define STRIP_WIDTH 64

struct rows_of {
	struct dump_row *row;
	size_t count, room;
	uint64_t root;
};

static int context_of(struct ptctl *ctl, uint64_t handle, struct dump *dump)
{
	Ptd__V1__GetContextResponse *got;
	int result = ptctl_get_context(ctl, NULL, handle, &got);

	if (result)
		return result;
	if (pt_geometry_from_vtcr(&dump->geo, got->context->vtcr) != PT_OK) {
		fprintf(stderr, "error: the daemon's VTCR_EL2 cannot be read\n");
		result = EXIT_REFUSED;
	} else if (got->context->options) {
		dump->attrs = (got->context->options->fwb ? PT_ATTR_FWB : 0) |
			      (got->context->options->xnx ? PT_ATTR_XNX : 0);
	}
	ptd__v1__get_context_response__free_unpacked(got, NULL);
	return result;
}

static bool columns_agree(const Ptd__V1__DumpContextResponse *m)
{
	size_t n = m->n_ipa;

	return m->n_level == n && m->n_descriptor == n && m->n_count == n && m->n_table == n;
}

static void keep(struct rows_of *all, const Ptd__V1__DumpContextResponse *m)
{
	for (size_t i = 0; i < m->n_ipa; i++) {
		if (all->count == all->room) {
			struct dump_row *old = all->row;

			all->room = all->room ? 2 * all->room : 256;
			all->row = ptctl_alloc(all->room * sizeof(*all->row));
			if (all->count)
				memcpy(all->row, old, all->count * sizeof(*old));
			free(old);
		}
		all->row[all->count++] = (struct dump_row){.ipa = m->ipa[i],
							   .descriptor = m->descriptor[i],
							   .count = m->count[i],
							   .table = m->table[i],
							   .level = m->level[i]};
	}
	all->root = m->root;
}

/* A level that no table has would make every span wrong. */
static bool levels_ok(const struct dump *dump, const struct rows_of *all)
{
	for (size_t i = 0; i < all->count; i++)
		if (all->row[i].level < dump->geo.start_level || all->row[i].level > PT_LEVEL_LAST)
			return false;
	return true;
}

static int fetch(struct ptctl *ctl, Ptd__V1__DumpContextRequest *m, struct rows_of *all)
{
	uint64_t end = m->size ? m->ipa + m->size : 0;

	for (;;) {
		const Ptd__V1__DumpContextResponse *got;
		ProtobufCMessage *answer;
		int result = ptctl_call(ctl, "/ptd.v1.ContextService/DumpContext", &m->base,
					&ptd__v1__dump_context_response__descriptor, &answer);
		bool more, bad;

		if (result)
			return result;
		got = (const void *)answer;
		bad = !columns_agree(got) || (!got->done && got->next_ipa <= m->ipa);
		more = !got->done;
		if (!bad)
			keep(all, got);
		m->ipa = got->next_ipa;
		protobuf_c_message_free_unpacked(answer, NULL);
		if (bad) {
			fprintf(stderr, "error: the daemon's dump contradicts itself\n");
			return EXIT_REFUSED;
		}
		if (!more || (end && m->ipa >= end))
			return EXIT_DONE;
		if (end)
			m->size = end - m->ipa;
	}
}

static const char *class_name(const struct dump_row *r)
{
	switch (dump_class(r)) {
	case DUMP_HOLE: return "hole";
	case DUMP_INVALID: return pt_pte_locked(r->descriptor) ? "locked" : "invalid";
	case DUMP_TABLE: return "table";
	default: return r->level == PT_LEVEL_LAST ? "page" : "block";
	}
}

static void show_rows(struct ptctl *ctl, const struct dump *dump)
{
	static const struct column columns[] = {
		{"ipa", CELL_IPA},
		{"level", CELL_SIGNED},
		{"kind", CELL_TEXT},
		{"count", CELL_NUMBER},
		{"pa", CELL_ADDRESS},
		{"prot", CELL_TEXT},
		{"descriptor", CELL_ADDRESS},
		{"table", CELL_ADDRESS},
	};
	struct rows *rows = rows_new(columns, sizeof(columns) / sizeof(columns[0]));
	char prot[TEXT_MAX];

	for (size_t i = 0; i < dump->count; i++) {
		const struct dump_row *r = &dump->rows[i];
		enum dump_class class = dump_class(r);

		rows_add(rows);
		rows_number(rows, 0, r->ipa);
		rows_signed(rows, 1, r->level);
		rows_text(rows, 2, class_name(r));
		rows_number(rows, 3, r->count);
		if (class == DUMP_LEAF || class == DUMP_TABLE)
			rows_number(rows, 4, pt_pte_to_oa(&dump->geo, r->descriptor).v);
		if (class == DUMP_LEAF)
			rows_text(rows, 5,
				  prot_text(prot,
					    pt_leaf_prot(&dump->geo, r->descriptor, dump->attrs)));
		rows_number(rows, 6, r->descriptor);
		rows_number(rows, 7, r->table);
	}
	output_rows(&ctl->out, "rows", rows, false);
	rows_free(rows);
}

static void show(struct ptctl *ctl, const struct dump *dump)
{
	const char *name = ctl->out.name;

	if (ctl->out.quiet)
		return;
	if (ctl->out.format != FORMAT_OTHER)
		show_rows(ctl, dump);
	else if (!strcmp(name, "kernel"))
		dump_kernel(dump, ctl->out.file);
	else if (!strcmp(name, "tree"))
		dump_tree(dump, ctl->out.file);
	else
		dump_strip(dump, ptctl_number(ctl, "ipa"), ptctl_number(ctl, "size"), STRIP_WIDTH,
			   ctl->out.file);
}

int cmd_dump(struct ptctl *ctl)
{
	Ptd__V1__DumpContextRequest m = PTD__V1__DUMP_CONTEXT_REQUEST__INIT;
	bool drawn = ctl->out.format == FORMAT_OTHER;
	struct rows_of all = {0};
	struct dump dump = {0};
	uint64_t handle;
	int result = ptctl_handle(ctl, "context", &handle);

	if (!result)
		result = context_of(ctl, handle, &dump);
	if (result)
		return result;
	m.context = handle;
	m.ipa = ptctl_number(ctl, "ipa");
	m.size = ptctl_number(ctl, "size");
	m.stable = ptctl_given(ctl, "stable");
	m.tables = ptctl_given(ctl, "tables") || (drawn && !strcmp(ctl->out.name, "tree"));
	m.holes = ptctl_given(ctl, "holes") || (drawn && !strcmp(ctl->out.name, "kernel"));
	ctl->out.ipa_bits = dump.geo.ipa_bits;
	result = fetch(ctl, &m, &all);
	if (!result && !levels_ok(&dump, &all)) {
		fprintf(stderr, "error: the daemon's dump has levels that the context has not\n");
		result = EXIT_REFUSED;
	}
	dump.rows = all.row;
	dump.count = all.count;
	dump.root = all.root;
	if (!result)
		show(ctl, &dump);
	free(all.row);
	return result;
}
