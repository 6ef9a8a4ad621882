/* SPDX-License-Identifier: BSD-2-Clause */
/* Table pages, quota, and descriptors. */
#include "words.h"

#include <string.h>

static uint64_t page_at(const struct world *w, unsigned page)
{
	return AT_MEMORY + ((uint64_t)page << w->page_shift);
}

/* KIND P [dirty] [size=N] */
static const char *page(const struct call *c, enum pt_event_kind kind)
{
	unsigned page, index;

	if (!value_slot(c->word[1], &page, &index))
		return words_bad;
	world_make(c->w, kind, !value_flag(c->word, c->words, "dirty"), page_at(c->w, page),
		   value_option(c->word, c->words, "size", UINT64_C(1) << c->w->page_shift), 0);
	if (kind != PT_EVENT_PAGE_PUT)
		memset(c->w->value[page], 0, sizeof(c->w->value[page]));
	return NULL;
}

static const char *do_get(const struct call *c)
{
	return page(c, PT_EVENT_PAGE_GET);
}

static const char *do_put(const struct call *c)
{
	return page(c, PT_EVENT_PAGE_PUT);
}

static const char *do_zero(const struct call *c)
{
	return page(c, PT_EVENT_ZERO);
}

static const char *do_charge(const struct call *c)
{
	uint64_t n = value_option(c->word, c->words, "pages", 1);

	world_make(c->w, PT_EVENT_CHARGE, 0, 0, n, value_option(c->word, c->words, "quota", 1000));
	return NULL;
}

static const char *do_refund(const struct call *c)
{
	world_make(c->w, PT_EVENT_REFUND, 0, 0, value_option(c->word, c->words, "pages", 1), 0);
	return NULL;
}

/* KIND SLOT DESCRIPTOR */
static const char *write_slot(const struct call *c, enum pt_event_kind kind)
{
	unsigned page, index;
	pt_pte entry, *value;

	if (c->words < 3 || !value_slot(c->word[1], &page, &index) ||
	    !value_descriptor(c->w, c->word[2], &entry))
		return words_bad;
	value = &c->w->value[page][index];
	world_make(c->w, kind, 0, page_at(c->w, page) + index * 8, *value, entry);
	*value = entry;
	return NULL;
}

static const char *do_init(const struct call *c)
{
	return write_slot(c, PT_EVENT_INIT);
}

static const char *do_store(const struct call *c)
{
	return write_slot(c, PT_EVENT_STORE);
}

static const char *do_rel(const struct call *c)
{
	return write_slot(c, PT_EVENT_STORE_RELEASE);
}

static const char *do_cas(const struct call *c)
{
	return write_slot(c, PT_EVENT_CAS);
}

static const char *do_hardware(const struct call *c)
{
	return write_slot(c, PT_EVENT_HW_CAS);
}

static const char *load(const struct call *c, enum pt_event_kind kind)
{
	unsigned page, index;

	if (!value_slot(c->word[1], &page, &index))
		return words_bad;
	world_make(c->w, kind, 0, page_at(c->w, page) + index * 8, 0, 0);
	return NULL;
}

static const char *do_load(const struct call *c)
{
	return load(c, PT_EVENT_LOAD);
}

static const char *do_private(const struct call *c)
{
	return load(c, PT_EVENT_PRIVATE);
}

const struct word words_of_tables[] = {
	{"get", do_get, 2},	  {"put", do_put, 2},
	{"zero", do_zero, 2},	  {"charge", do_charge, 1},
	{"refund", do_refund, 1}, {"init", do_init, 3},
	{"store", do_store, 3},	  {"rel", do_rel, 3},
	{"cas", do_cas, 3},	  {"hardware", do_hardware, 3},
	{"load", do_load, 2},	  {"private", do_private, 2},
	{NULL, NULL, 0},
};
