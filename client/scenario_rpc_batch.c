/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenarios over RPC: a batch as one Apply call with packed columns. */
#include "scenario_rpc.h"

#include "ptd/v1/mapping.pb-c.h"

#include <inttypes.h>
#include <stdlib.h>

/* The columns of an Apply, and how many rows they have. */
struct columns {
	uint64_t *ipa, *size, *pa;
	uint32_t *kind, *prot, *flags;
	size_t n;
	bool maps;
};

static size_t count_items(const struct scn_record *r, uint32_t records)
{
	size_t n = 0;

	for (uint32_t i = 0; i < records; i++)
		n += r[i].body.map.count;
	return n;
}

static void add_items(struct columns *c, const struct scn_record *r)
{
	const struct scn_map_body *b = &r->body.map;

	for (uint32_t i = 0; i < b->count; i++, c->n++) {
		c->ipa[c->n] = b->ipa + i * b->stride;
		c->size[c->n] = b->size;
		c->pa[c->n] = r->op == SCN_MAP	      ? b->pa + i * b->stride
			      : r->op == SCN_ANNOTATE ? b->pa
						      : 0;
		c->kind[c->n] = scn_item_kind(r->op);
		c->prot[c->n] = b->prot;
		c->flags[c->n] = b->flags & ~SCN_MAP_VALIDATE;
	}
	c->maps |= r->op == SCN_MAP || r->op == SCN_ANNOTATE;
}

static bool columns_init(struct columns *c, size_t n)
{
	*c = (struct columns){.ipa = calloc(n, 8),
			      .size = calloc(n, 8),
			      .pa = calloc(n, 8),
			      .kind = calloc(n, 4),
			      .prot = calloc(n, 4),
			      .flags = calloc(n, 4)};
	return c->ipa && c->size && c->pa && c->kind && c->prot && c->flags;
}

static void columns_free(struct columns *c)
{
	free(c->ipa);
	free(c->size);
	free(c->pa);
	free(c->kind);
	free(c->prot);
	free(c->flags);
}

static void take_apply(const Ptd__V1__ApplyResponse *m, struct scn_reply *reply,
		       struct scn_sums *sums)
{
	scn_take_effects(m->effects, reply);
	scn_count_effects(reply, sums);
	scn_set_fact(reply, SCN_FACT_applied, m->applied);
	scn_set_fact(reply, SCN_FACT_errors, m->errors_total);
	if (!m->errors_total || !m->n_errors)
		return;
	scn_set_fact(reply, SCN_FACT_outcome, m->errors[0]->code);
	scn_set_fact(reply, SCN_FACT_error_index, m->errors[0]->index);
	scn_set_fact(reply, SCN_FACT_error_ipa, m->errors[0]->ipa);
	snprintf(reply->text, sizeof(reply->text), "%u of its items failed; item %u at 0x%" PRIx64,
		 m->errors_total, m->errors[0]->index, m->errors[0]->ipa);
}

static Ptd__V1__Ops ops_of(struct columns *c)
{
	Ptd__V1__Ops ops = PTD__V1__OPS__INIT;

	ops.n_ipa = ops.n_size = ops.n_kind = ops.n_prot = ops.n_flags = c->n;
	ops.n_pa = c->maps ? c->n : 0;
	ops.ipa = c->ipa;
	ops.size = c->size;
	ops.pa = c->pa;
	ops.kind = c->kind;
	ops.prot = c->prot;
	ops.flags = c->flags;
	return ops;
}

bool scn_rpc_batch(struct scn_rpc *rpc, const struct scenario *scenario, uint32_t record,
		   struct scn_reply *reply, struct scn_sums *sums)
{
	const struct scn_record *r = &scenario->records[record];
	const struct scn_group_body *b = &r->body.group;
	Ptd__V1__ApplyRequest m = PTD__V1__APPLY_REQUEST__INIT;
	ProtobufCMessage *answer = NULL;
	struct columns columns;
	Ptd__V1__Ops ops;
	bool ok = columns_init(&columns, count_items(r + 1, b->records));

	if (ok) {
		for (uint32_t i = 0; i < b->records; i++)
			add_items(&columns, r + 1 + i);
		ops = ops_of(&columns);
		m.context = rpc->context[r->object];
		m.mode = (Ptd__V1__BatchMode)b->mode;
		m.ops = &ops;
		m.validate_only = (b->flags & SCN_MAP_VALIDATE) != 0;
		ok = scn_rpc_call(rpc, "/ptd.v1.MappingService/Apply", &m.base,
				  &ptd__v1__apply_response__descriptor, &answer, reply);
	}
	if (answer)
		take_apply((const void *)answer, reply, sums);
	protobuf_c_message_free_unpacked(answer, NULL);
	columns_free(&columns);
	return ok;
}
