/* SPDX-License-Identifier: BSD-2-Clause */
/* MachineService's memory: bytes as a context sees them, or raw. */
#include "handlers.h"

#include "domain_fail.h"
#include "registry.h"

#include <pt/dirty.h>
#include <string.h>

#include "ptd/v1/machine.pb-c.h"

struct span {
	struct machine *machine;
	struct context *context; /* NULL: raw */
	uint64_t address, length;
	enum pt_access access;
	uint64_t *pa; /* of each chunk, found before the first byte moves */
	bool raced;   /* met an entry between break and make: once more, in a later step */
};

static enum call_result fail_at(struct call *call, enum pt_outcome code, const char *text,
				uint64_t ipa, int level)
{
	call_fail(call, code, "address: %s at 0x%llx", text, (unsigned long long)ipa);
	if (code == PT_DENIED)
		call->status.grpc = PT_GRPC_PERMISSION_DENIED;
	call->status.ipa = ipa;
	call->status.level = (int8_t)level;
	return CALL_DONE;
}

/* Finds the machine and the agent, and checks the length. CALL_MORE: go on. */
static enum call_result resolve(struct call *call, struct span *s, uint64_t machine,
				uint64_t context)
{
	s->machine = find_machine(call, machine, "machine");
	if (!s->machine)
		return CALL_DONE;
	if (context) {
		s->context = find_context(call, context, "context");
		if (!s->context)
			return CALL_DONE;
		if (s->context->machine != s->machine)
			return call_fail(call, PT_INVALID, "context: it is of another machine");
	} else if (!call->principal->admin) {
		return fail_denied(call, "context: raw access is for admins; name a context");
	}
	if (!s->length)
		return call_fail(call, PT_INVALID, "length: there are no bytes to move");
	if (s->length > LIMIT_ACCESS_BYTES)
		return call_fail(call, PT_TOO_LARGE, "length: above max_access_bytes (%u)",
				 LIMIT_ACCESS_BYTES);
	return CALL_MORE;
}

static uint64_t chunk(const struct span *s, uint64_t at)
{
	uint64_t granule, room, left = s->length - at;

	if (!s->context)
		return left;
	granule = UINT64_C(1) << s->context->pt.geo.granule_shift;
	room = granule - ((s->address + at) & (granule - 1));
	return left < room ? left : room;
}

/* The PA of the chunk at offset `at`. CALL_MORE: found, and inside the machine's memory. */
static enum call_result locate(struct call *call, struct span *s, uint64_t at, uint64_t *pa)
{
	uint64_t address = s->address + at;
	struct hw_result walk = {.pa = address, .level = PT_TTL_UNKNOWN};

	if (s->context && address >> s->context->pt.geo.ipa_bits)
		return fail_at(call, PT_OUT_OF_RANGE, "beyond the IPA space", address,
			       PT_TTL_UNKNOWN);
	s->raced = s->context && pt_host_translate(&s->context->pt, pt_ipa(address), s->access,
						   false, &walk) == PT_RACED;
	if (s->raced)
		return CALL_DONE;
	if (walk.fault == HW_PERMISSION)
		return fail_at(call, PT_DENIED, "the context lacks the right", address, walk.level);
	if (walk.fault != HW_NO_FAULT)
		return fail_at(call, PT_NOT_MAPPED, "nothing is mapped", address, walk.level);
	*pa = walk.pa;
	if (*pa > s->machine->ram.bytes || chunk(s, at) > s->machine->ram.bytes - *pa)
		return fail_at(call, PT_OUT_OF_RANGE, "beyond the machine's memory", address,
			       walk.level);
	return CALL_MORE;
}

/* All chunks can be reached; remembers where. CALL_MORE: yes. */
static enum call_result check(struct call *call, struct span *s)
{
	unsigned shift = s->context ? s->context->pt.geo.granule_shift : 63;
	uint64_t n = 0;

	if (s->address + s->length - 1 < s->address)
		return call_fail(call, PT_INVALID, "address: address + length wraps");
	s->pa = call_alloc(call, ((s->length >> shift) + 2) * sizeof(*s->pa));
	if (!s->pa)
		return fail_arena(call);
	for (uint64_t at = 0; at < s->length; at += chunk(s, at))
		if (locate(call, s, at, &s->pa[n++]) != CALL_MORE)
			return CALL_DONE;
	return CALL_MORE;
}

/* In the step that checked: a later unmap waits for this section, so these bytes come before it. */
static void move(const struct span *s, uint8_t *data)
{
	uint64_t i = 0, n;

	for (uint64_t at = 0; at < s->length; at += n, i++) {
		n = chunk(s, at);
		if (s->access == PT_ACCESS_WRITE)
			pt_host_ram_write(&s->machine->ram, s->pa[i], data + at, n);
		else
			pt_host_ram_read(&s->machine->ram, s->pa[i], data + at, n);
	}
	if (s->context && s->access == PT_ACCESS_WRITE)
		pt_dirty_mark(&s->context->pt, pt_ipa(s->address), s->length);
}

enum call_result memory_read(struct call *call)
{
	const Ptd__V1__ReadMemoryRequest *q = (const void *)call->request;
	struct span s = {.address = q->address, .length = q->length, .access = PT_ACCESS_READ};
	Ptd__V1__ReadMemoryResponse *r;

	if (resolve(call, &s, q->machine, q->context) != CALL_MORE || check(call, &s) != CALL_MORE)
		return s.raced ? CALL_MORE : CALL_DONE;
	r = new_response(call, &ptd__v1__read_memory_response__descriptor);
	if (!r)
		return CALL_DONE;
	r->data.len = s.length;
	r->data.data = call_alloc(call, s.length);
	if (!r->data.data)
		return fail_arena(call);
	move(&s, r->data.data);
	call->response = &r->base;
	return CALL_DONE;
}

static enum call_result write_step(struct call *call)
{
	const Ptd__V1__WriteMemoryRequest *q = (const void *)call->request;
	struct span s = {.address = q->address, .length = q->data.len, .access = PT_ACCESS_WRITE};
	Ptd__V1__WriteMemoryResponse *r;

	if (resolve(call, &s, q->machine, q->context) != CALL_MORE || check(call, &s) != CALL_MORE)
		return s.raced ? CALL_MORE : CALL_DONE;
	r = new_response(call, &ptd__v1__write_memory_response__descriptor);
	if (!r)
		return CALL_DONE;
	r->length = (uint32_t)s.length;
	move(&s, q->data.data);
	call->response = &r->base;
	return CALL_DONE;
}

enum call_result memory_write(struct call *call)
{
	const Ptd__V1__WriteMemoryRequest *q = (const void *)call->request;

	return call_once(call, &q->request_id, write_step);
}
