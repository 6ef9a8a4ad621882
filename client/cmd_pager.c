/* SPDX-License-Identifier: BSD-2-Clause */
/* ptctl pager: serves the pages of a range, and lists what ranges lack pages. */
#include "commands.h"

#include "ptd/v1/pager.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <pt/outcome.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define METHOD	   "/ptd.v1.PagerService/ServePages"
#define PUSH_BYTES (256u << 10) /* a message of --push */

struct serving {
	struct ptctl *ctl;
	struct ptd_call *call;
	int file; /* -1: there is none */
	Ptd__V1__PageContent content;
	uint64_t ipa, size, page_bytes;
	uint64_t pushed;   /* bytes of the range; `size`: there is nothing to push */
	uint64_t by_pages; /* up to here in pages: some of them are refused */
	uint64_t left;	   /* pages to answer; UINT64_MAX: no end */
	bool over;
	int result;
};

static int fail(struct serving *s, const char *what)
{
	fprintf(stderr, "error: %s\n", what);
	s->result = EXIT_REFUSED;
	return s->result;
}

/* What the file ends before is zero. */
static bool read_file(const struct serving *s, uint64_t ipa, uint8_t *to, size_t size)
{
	size_t at = 0;
	ssize_t n = 1;

	while (at < size && n > 0) {
		n = pread(s->file, to + at, size - at, (off_t)(ipa - s->ipa + at));
		if (n < 0 && errno != EINTR)
			return false;
		at += n > 0 ? (size_t)n : 0;
		n = n < 0 ? 1 : n;
	}
	memset(to + at, 0, size - at);
	return true;
}

static bool send_message(struct serving *s, const Ptd__V1__ServePagesRequest *q)
{
	size_t length = protobuf_c_message_get_packed_size(&q->base);
	uint8_t *bytes = ptctl_alloc(length);
	bool sent;

	protobuf_c_message_pack(&q->base, bytes);
	sent = ptd_send(s->ctl->client, s->call, bytes, length);
	free(bytes);
	return sent;
}

static bool open_range(struct serving *s)
{
	Ptd__V1__ServePagesRequest q = PTD__V1__SERVE_PAGES_REQUEST__INIT;
	Ptd__V1__PagerOpen open = PTD__V1__PAGER_OPEN__INIT;
	int result = ptctl_fill(s->ctl, &open.base);

	s->result = result;
	q.what_case = PTD__V1__SERVE_PAGES_REQUEST__WHAT_OPEN;
	q.open = &open;
	return !result && send_message(s, &q);
}

static bool supply(struct serving *s, uint64_t ipa, uint64_t size)
{
	Ptd__V1__ServePagesRequest q = PTD__V1__SERVE_PAGES_REQUEST__INIT;
	Ptd__V1__PageSupply supply = PTD__V1__PAGE_SUPPLY__INIT;
	uint8_t *data = s->file < 0 ? NULL : ptctl_alloc(size);
	bool sent;

	supply.ipa = ipa;
	supply.size = size;
	supply.content = s->content;
	if (data && read_file(s, ipa, data, size)) {
		supply.data = (ProtobufCBinaryData){size, data};
	} else if (data) {
		s->result = EXIT_REFUSED;
		fprintf(stderr, "error: --file: 0x%llx: %s; its pages fail\n",
			(unsigned long long)ipa, strerror(errno));
		supply.content = PTD__V1__PAGE_CONTENT__PAGE_CONTENT_FAILED;
	}
	q.what_case = PTD__V1__SERVE_PAGES_REQUEST__WHAT_SUPPLY;
	q.supply = &supply;
	sent = send_message(s, &q);
	free(data);
	return sent;
}

/* Unasked, in order, one message after the answer to the last; none once the stream is to end. */
static bool push(struct serving *s)
{
	uint64_t at = s->pushed, left = s->size - at;
	uint64_t step = at < s->by_pages ? s->page_bytes : PUSH_BYTES;

	if (!left || !s->left)
		return true;
	s->pushed += left < step ? left : step;
	return supply(s, s->ipa + at, s->pushed - at);
}

static bool answer(struct serving *s, const Ptd__V1__PageWanted *wanted)
{
	output_event(&s->ctl->out, &wanted->base, &s->ctl->command->view);
	if (!supply(s, wanted->ipa, s->page_bytes))
		return false;
	s->left -= s->left != UINT64_MAX;
	if (!s->left)
		ptd_half_close(s->ctl->client, s->call);
	return true;
}

/* What several pages were refused for is true of some of them: they are pushed one by one. */
static void push_by_pages(struct serving *s, const Ptd__V1__PageSupplied *refused)
{
	uint64_t first = refused->ipa - s->ipa, end = first + refused->size;

	if (s->pushed > first)
		s->pushed = first;
	if (s->by_pages < end)
		s->by_pages = end;
}

/* A page that owners refuse may be supplied later, and the others go on; of all else the end. */
static bool refused(struct serving *s, const Ptd__V1__PageSupplied *answer)
{
	bool owners = answer->outcome == PT_WRONG_OWNER || answer->outcome == PT_WRONG_STATE;

	if (!owners)
		return fail(s, answer->text) == EXIT_DONE;
	if (answer->size > s->page_bytes) {
		push_by_pages(s, answer);
	} else {
		fprintf(stderr, "error: 0x%llx: %s; it is not supplied\n",
			(unsigned long long)answer->ipa, answer->text);
		s->result = EXIT_REFUSED;
	}
	return push(s);
}

static bool take(struct serving *s, const Ptd__V1__ServePagesResponse *r)
{
	switch (r->what_case) {
	case PTD__V1__SERVE_PAGES_RESPONSE__WHAT_OPENED:
		s->page_bytes = r->opened->page_bytes;
		return push(s);
	case PTD__V1__SERVE_PAGES_RESPONSE__WHAT_WANTED: return !s->left || answer(s, r->wanted);
	case PTD__V1__SERVE_PAGES_RESPONSE__WHAT_SUPPLIED:
		return r->supplied->outcome ? refused(s, r->supplied) : push(s);
	default: return true;
	}
}

static bool on_message(void *arg, const uint8_t *data, size_t length)
{
	Ptd__V1__ServePagesResponse *r = ptd__v1__serve_pages_response__unpack(NULL, length, data);
	bool go_on = r && take(arg, r);

	ptd__v1__serve_pages_response__free_unpacked(r, NULL);
	return go_on;
}

static void on_end(void *arg, const struct ptd_reply *reply)
{
	struct serving *s = arg;

	s->over = true;
	if (!s->result && reply->status->state != PTD_STATE_OK)
		s->result = ptctl_failed(s->ctl, reply->status);
}

static int open_file(struct serving *s)
{
	const char *path = ptctl_text(s->ctl, "file");

	if (path && ptctl_given(s->ctl, "as-is"))
		return ptctl_usage(s->ctl, "--as-is: with --file the pages hold what is in it");
	if (ptctl_given(s->ctl, "as-is"))
		s->content = PTD__V1__PAGE_CONTENT__PAGE_CONTENT_AS_IS;
	if (!path)
		return EXIT_DONE;
	s->content = PTD__V1__PAGE_CONTENT__PAGE_CONTENT_DATA;
	s->file = open(path, O_RDONLY | O_CLOEXEC);
	if (s->file < 0)
		return ptctl_usage(s->ctl, "--file: %s: %s", path, strerror(errno));
	return EXIT_DONE;
}

static int serve(struct serving *s)
{
	int result = ptctl_connect(s->ctl);

	if (result || !s->left)
		return result;
	s->call = ptd_start_bidi(s->ctl->client, METHOD, 0, on_message, on_end, s);
	if (!s->call)
		return ptctl_failed(s->ctl, ptd_connection(s->ctl->client));
	if (!open_range(s))
		return s->result ? s->result : fail(s, "the request could not be sent");
	while (!s->over && ptd_pump(s->ctl->client, -1) >= 0)
		;
	return s->result;
}

int cmd_pager_serve(struct ptctl *ctl)
{
	struct serving s = {.ctl = ctl,
			    .file = -1,
			    .content = PTD__V1__PAGE_CONTENT__PAGE_CONTENT_ZERO,
			    .ipa = ptctl_number(ctl, "ipa"),
			    .size = ptctl_number(ctl, "size"),
			    .left = ptctl_given(ctl, "count") ? ptctl_number(ctl, "count")
							      : UINT64_MAX};
	int result = open_file(&s);

	s.pushed = ptctl_given(ctl, "push") ? 0 : s.size;
	if (!result)
		result = serve(&s);
	if (s.file >= 0)
		close(s.file);
	return result;
}

int cmd_pager_list(struct ptctl *ctl)
{
	Ptd__V1__ListPagersRequest request = PTD__V1__LIST_PAGERS_REQUEST__INIT;

	return ptctl_ask(ctl, "/ptd.v1.PagerService/ListPagers", &request.base,
			 &ptd__v1__list_pagers_response__descriptor);
}
