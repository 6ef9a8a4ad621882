/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target: descriptor sets, any bytes or the embedded one with damage in it, read and looked
 * up. What was read is sorted, every symbol of it is found and belongs to a file of the set.
 */
#include "fuzz.h"

#include "descset.h"

static void look_up(const struct descset *set, struct source *in)
{
	char text[64];
	size_t n;
	const uint8_t *bytes = take_bytes(in, sizeof(text) - 1, &n);
	const struct desc_symbol *s;
	int file;

	memcpy(text, bytes, n);
	text[n] = 0;
	s = descset_symbol(set, text);
	CHECK(!s || !strcmp(s->name, text));
	file = descset_file(set, text, n);
	CHECK(file < (int)set->files);
}

static void check(const struct descset *set)
{
	size_t sum = 0;

	for (uint32_t i = 0; i < set->symbols; i++) {
		const struct desc_symbol *s = &set->symbol[i],
					 *found = descset_symbol(set, s->name);

		CHECK(found && !strcmp(found->name, s->name) && s->file < set->files);
		CHECK(!i || strcmp(s[-1].name, s->name) <= 0);
		for (size_t k = 0; s->is_method && k < s->input.length; k++)
			sum += s->input.data[k];
	}
	for (uint32_t i = 0; i < set->files; i++) {
		const struct desc_file *f = &set->file[i];

		CHECK(f->deps <= DESC_MAX_DEPS);
		for (uint32_t d = 0; d < f->deps; d++)
			sum += (size_t)descset_file(set, (const char *)f->dep[d].data,
						    f->dep[d].length);
	}
	CHECK(sum != SIZE_MAX / 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	struct source in = source_of(data, length);
	uint8_t how = take(&in), *bytes;
	struct descset set;
	size_t n = ptd__v1__descriptor_set_length;

	if (how & 1)
		n = (size_t)(in.end - in.at);
	bytes = malloc(n + !n);
	CHECK(bytes);
	memcpy(bytes, how & 1 ? in.at : ptd__v1__descriptor_set, n);
	for (unsigned i = how & 1 ? 0 : how >> 2 & 15; i; i--) {
		size_t at = (size_t)take_number(&in, 3) % n;

		bytes[at] = take(&in);
	}
	if (how & 2)
		n = (size_t)take_number(&in, 3) % (n + 1);
	if (descset_read(&set, bytes, n)) {
		check(&set);
		look_up(&set, &in);
		descset_free(&set);
	}
	free(bytes);
	return 0;
}
