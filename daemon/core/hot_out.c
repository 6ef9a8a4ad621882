/* SPDX-License-Identifier: BSD-2-Clause */
/* Packing the answers of Apply and of a Session: fields in the order of their numbers, zeroes left
 * out, as protobuf-c does. */
#include "hot.h"

#include <string.h>

#include "ptd/v1/mapping.pb-c.h"

#define VARINT_MOST	  10u
#define TAG(number, wire) ((uint8_t)((number) << 3 | (wire)))
#define HEAD_MOST	  (1u + 5u) /* a tag and a length */
#define EFFECTS_MOST	  (HEAD_MOST + 9u * (1u + VARINT_MOST))

static inline uint8_t *put_varint(uint8_t *out, uint64_t value)
{
	while (value >= 0x80) {
		*out++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*out++ = (uint8_t)value;
	return out;
}

static inline uint8_t *put_number(uint8_t *out, unsigned number, uint64_t value)
{
	if (!value)
		return out;
	*out++ = TAG(number, 0);
	return put_varint(out, value);
}

/* A part whose length is known when it is written: one byte is kept for it, which is nearly always
 * enough. */
static uint8_t *begin_part(uint8_t *out, unsigned number)
{
	*out = TAG(number, 2);
	return out + 2;
}

static uint8_t *end_part(uint8_t *body, uint8_t *end)
{
	size_t length = (size_t)(end - body);
	uint8_t size[VARINT_MOST];
	size_t n;

	if (length < 0x80) {
		body[-1] = (uint8_t)length;
		return end;
	}
	n = (size_t)(put_varint(size, length) - size);
	memmove(body - 1 + n, body, length);
	memcpy(body - 1, size, n);
	return end + n - 1;
}

static uint8_t *put_effects(uint8_t *out, const Ptd__V1__Effects *e)
{
	uint8_t *body = begin_part(out, 3), *at = body;

	at = put_number(at, 1, e->leaves_written);
	at = put_number(at, 2, e->leaves_removed);
	at = put_number(at, 3, e->already);
	at = put_number(at, 4, e->holes);
	at = put_number(at, 5, e->blocks_split);
	at = put_number(at, 6, e->tables_added);
	at = put_number(at, 7, e->tables_freed);
	at = put_number(at, 8, e->tlbis);
	at = put_number(at, 9, e->annotated);
	return end_part(body, at);
}

static uint8_t *put_column32(uint8_t *out, unsigned number, const uint32_t *value, size_t n)
{
	uint8_t *body, *at;

	if (!n)
		return out;
	body = at = begin_part(out, number);
	for (size_t i = 0; i < n; i++)
		at = put_varint(at, value[i]);
	return end_part(body, at);
}

static uint8_t *put_column64(uint8_t *out, unsigned number, const uint64_t *value, size_t n)
{
	if (!n)
		return out;
	*out++ = TAG(number, 2);
	out = put_varint(out, n * 8);
	memcpy(out, value, n * 8);
	return out + n * 8;
}

static size_t apply_most(const Ptd__V1__ApplyResponse *r)
{
	return 3 * (1 + VARINT_MOST) + EFFECTS_MOST + HEAD_MOST + 5 * r->n_outcome;
}

static uint8_t *put_apply(uint8_t *out, const Ptd__V1__ApplyResponse *r)
{
	out = put_number(out, 1, r->generation);
	out = put_number(out, 2, r->applied);
	if (r->effects)
		out = put_effects(out, r->effects);
	out = put_number(out, 5, r->errors_total);
	return put_column32(out, 6, r->outcome, r->n_outcome);
}

size_t hot_pack_apply(const ProtobufCMessage *response, uint8_t *out)
{
	const Ptd__V1__ApplyResponse *r = (const void *)response;

	if (!out)
		return r->n_errors ? 0 : apply_most(r);
	return (size_t)(put_apply(out, r) - out);
}

static size_t results_most(const Ptd__V1__AccessResults *r)
{
	return 6 * HEAD_MOST + 5 * (r->n_outcome + r->n_taker) +
	       8 * (r->n_pa + r->n_esr + r->n_hpfar + r->n_canonical_ipa);
}

static uint8_t *put_results(uint8_t *out, const Ptd__V1__AccessResults *r)
{
	out = put_column32(out, 1, r->outcome, r->n_outcome);
	out = put_column64(out, 2, r->pa, r->n_pa);
	out = put_column64(out, 3, r->esr, r->n_esr);
	out = put_column64(out, 4, r->hpfar, r->n_hpfar);
	out = put_column32(out, 5, r->taker, r->n_taker);
	return put_column64(out, 6, r->canonical_ipa, r->n_canonical_ipa);
}

static size_t session_most(const Ptd__V1__SessionResponse *r)
{
	size_t most = 1 + VARINT_MOST + HEAD_MOST;

	if (r->what_case == PTD__V1__SESSION_RESPONSE__WHAT_APPLY)
		return r->apply->n_errors ? 0 : most + apply_most(r->apply);
	if (r->what_case == PTD__V1__SESSION_RESPONSE__WHAT_RESULTS)
		return most + results_most(r->results);
	return 0;
}

size_t hot_pack_session(const ProtobufCMessage *response, uint8_t *out)
{
	const Ptd__V1__SessionResponse *r = (const void *)response;
	uint8_t *at, *body;

	if (!out)
		return session_most(r);
	at = put_number(out, 1, r->seq);
	body = begin_part(at, r->what_case);
	if (r->what_case == PTD__V1__SESSION_RESPONSE__WHAT_APPLY)
		at = put_apply(body, r->apply);
	else
		at = put_results(body, r->results);
	return (size_t)(end_part(body, at) - out);
}
