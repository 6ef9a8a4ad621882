/* SPDX-License-Identifier: BSD-2-Clause */
/* Pictures of who owns a machine's memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/own_view.h"

#define KIB UINT64_C(1024)
#define MIB (UINT64_C(1) << 20)

#define KIND(name)  PTD__V1__OWNER_KIND__OWNER_KIND_##name
#define STATE(name) PTD__V1__PAGE_STATE__PAGE_STATE_##name

static struct own_view view;

static char *name_of(void *arg, uint64_t context)
{
	char name[24];

	(void)arg;
	if (context == 99)
		return NULL;
	snprintf(name, sizeof(name), "g<%d>", (int)context);
	return strdup(name);
}

static int begin(void **state)
{
	(void)state;
	view = (struct own_view){.machine = "m&0"};
	return 0;
}

static int end(void **state)
{
	(void)state;
	own_view_free(&view);
	return 0;
}

static void add(uint64_t size, Ptd__V1__OwnerKind kind, uint64_t context, Ptd__V1__PageState state)
{
	Ptd__V1__OwnedRange r = PTD__V1__OWNED_RANGE__INIT;
	Ptd__V1__Party p = PTD__V1__PARTY__INIT;

	p.kind = kind;
	p.context = context;
	r.pa = view.bytes;
	r.size = size;
	r.owner = &p;
	r.state = state;
	own_view_add(&view, &r, name_of, NULL);
}

static char *drawn(void (*draw)(const struct own_view *, FILE *))
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	draw(&view, to);
	fclose(to);
	return text;
}

static void a_strip_has_a_letter_a_cell(void **state)
{
	char *text;

	(void)state;
	add(64 * KIB, KIND(HOST), 1, STATE(OWNED));
	add(16 * KIB, KIND(HOST), 1, STATE(SHARED_OWNED));
	add(16 * KIB, KIND(HOST), 1, STATE(LENT));
	add(8 * KIB, KIND(HYP), 0, STATE(OWNED));
	add(8 * KIB, KIND(GUEST), 7, STATE(OWNED));
	add(8 * KIB, KIND(GUEST), 7, STATE(SHARED_OWNED));
	add(4 * KIB, KIND(GUEST), 8, STATE(OWNED));
	add(4 * KIB, KIND(GUEST), 99, STATE(LENT));
	add(192 * KIB, KIND(HOST), 1, STATE(OWNED));
	text = drawn(own_strip);
	assert_string_equal(
		text, "m&0: 320K, a letter is 4K\n"
		      "0x00000  ................::::----##AAaaB~................................\n"
		      "0x40000  ................\n"
		      "  .  host, owned: 256K\n"
		      "  :  host, shared: 16K\n"
		      "  -  host, lent: 16K\n"
		      "  #  hyp, owned: 8K\n"
		      "  A  g<7>, owned: 8K\n"
		      "  a  g<7>, shared: 8K\n"
		      "  B  g<8>, owned: 4K\n"
		      "  ~  guest 0x63, lent: 4K\n");
	free(text);
}

static void a_cell_is_what_most_of_it_is(void **state)
{
	struct own_grid g;
	char *text;

	(void)state;
	add(12 * KIB, KIND(HYP), 0, STATE(OWNED));
	add(8 * KIB, KIND(HOST), 1, STATE(OWNED));
	add(4 * KIB, KIND(HYP), 0, STATE(OWNED));
	add(8 * KIB, KIND(HOST), 1, STATE(OWNED));
	add(8 * MIB - 32 * KIB, KIND(HOST), 1, STATE(OWNED));
	g = own_grid_make(&view, 64, 8);
	assert_int_equal(g.cell_size, 16 * KIB);
	assert_int_equal(g.count, 512);
	assert_int_equal(view.class[g.cell[0].class].letter, '#');
	assert_true(g.cell[0].mixed);
	assert_int_equal(view.class[g.cell[1].class].letter, '.');
	assert_true(g.cell[1].mixed);
	assert_false(g.cell[2].mixed);
	assert_false(g.cell[511].mixed);
	free(g.cell);
	text = drawn(own_strip);
	assert_non_null(strstr(text, "some letters stand for the most of several"));
	free(text);
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	while ((text = strstr(text, what))) {
		text += strlen(what);
		n++;
	}
	return n;
}

/* The pattern of a class, without its number and colour. */
static void hatching(const char *svg, unsigned class, char to[256])
{
	const char *at, *fill;
	char id[16];

	snprintf(id, sizeof(id), "id=\"c%u\"", class);
	at = strstr(svg, id);
	assert_non_null(at);
	fill = strstr(at, " fill=");
	assert_non_null(fill);
	snprintf(to, 256, "%.*s%.*s", (int)(fill - at - (long)strlen(id)), at + strlen(id),
		 (int)(strchr(fill, '\n') - fill - 16), fill + 16);
}

static void each_class_has_a_hatching_of_its_own(void **state)
{
	char *svg, one[256], other[256];

	(void)state;
	add(MIB, KIND(HOST), 1, STATE(OWNED));
	add(MIB, KIND(HOST), 1, STATE(SHARED_OWNED));
	add(MIB, KIND(HYP), 0, STATE(OWNED));
	for (uint64_t guest = 2; guest < 6; guest++) {
		add(MIB, KIND(GUEST), guest, STATE(OWNED));
		add(MIB, KIND(GUEST), guest, STATE(SHARED_OWNED));
	}
	svg = drawn(own_svg);
	assert_int_equal(count(svg, "<pattern "), 11);
	for (unsigned i = 0; i < 11; i++)
		for (unsigned j = 0; j < i; j++) {
			hatching(svg, i, one);
			hatching(svg, j, other);
			assert_string_not_equal(one, other);
		}
	free(svg);
}

static void names_cannot_break_the_file(void **state)
{
	char *svg;

	(void)state;
	add(MIB, KIND(GUEST), 2, STATE(OWNED));
	svg = drawn(own_svg);
	assert_non_null(strstr(svg, "m&#38;0"));
	assert_non_null(strstr(svg, "g&#60;2&#62;, owned: 1M"));
	assert_null(strstr(svg, "href"));
	assert_int_equal(count(svg, "</svg>\n"), 1);
	free(svg);
}

static void nothing_at_all_is_drawn_as_such(void **state)
{
	char *text;

	(void)state;
	text = drawn(own_strip);
	assert_string_equal(text, "m&0: 0, a letter is 4K\n");
	free(text);
	text = drawn(own_svg);
	assert_int_equal(count(text, "<pattern "), 0);
	free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_strip_has_a_letter_a_cell),	    TEST(a_cell_is_what_most_of_it_is),
		TEST(each_class_has_a_hatching_of_its_own), TEST(names_cannot_break_the_file),
		TEST(nothing_at_all_is_drawn_as_such),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
