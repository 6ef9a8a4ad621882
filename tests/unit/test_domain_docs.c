/* SPDX-License-Identifier: BSD-2-Clause */
/* docs/errors.md against the outcome table, docs/limits.md against what GetInfo states. Runs in the
 * repository's root. */
#include "domain_fixture.h"

static char *slurp(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 65536);

	if (!f)
		fail_msg("cannot read %s", path);
	assert_non_null(text);
	assert_in_range(fread(text, 1, 65535, f), 1, 65534);
	fclose(f);
	return text;
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

static void every_error_has_its_row(void **state)
{
	char *text = slurp("docs/errors.md"), row[512];
	unsigned rows = 0;

	(void)state;
	for (unsigned code = 0; code < 256; code++) {
		const struct pt_outcome_info *i = pt_outcome_info(code);

		if (!i || i->class == PT_CLASS_CONTROL)
			continue;
		snprintf(row, sizeof(row), "| PTD-E%04u | %s | ", code, i->name);
		if (count(text, row) != 1)
			fail_msg("docs/errors.md lacks \"%s\"", row);
		snprintf(row, sizeof(row), " | %s | %s%s|\n", i->text, i->hint,
			 i->hint[0] ? " " : "");
		if (!count(text, row))
			fail_msg("docs/errors.md lacks \"%s\"", row);
		rows++;
	}
	assert_int_equal(count(text, "| PTD-E"), rows);
	free(text);
}

static uint64_t value_of(const Ptd__V1__Limits *limits, const ProtobufCFieldDescriptor *field)
{
	const void *at = (const uint8_t *)limits + field->offset;

	return field->type == PROTOBUF_C_TYPE_UINT64 ? *(const uint64_t *)at
						     : *(const uint32_t *)at;
}

static void every_limit_has_its_row(void **state)
{
	const ProtobufCMessageDescriptor *d = &ptd__v1__limits__descriptor;
	Ptd__V1__GetInfoRequest q = PTD__V1__GET_INFO_REQUEST__INIT;
	struct domain_config config = {.epoch = 1, .loops = 1, .wire = WIRE_CONFIG_DEFAULT};
	char *text = slurp("docs/limits.md"), row[128];
	struct fixture fx = {.domain = domain_create(&config)};
	const Ptd__V1__Limits *limits;

	(void)state;
	fx.loop[0] = domain_loop_enter(fx.domain, 0);
	limits = ((Ptd__V1__GetInfoResponse *)OK(&fx, "GetInfo", &q))->limits;
	for (unsigned i = 0; i < d->n_fields; i++) {
		snprintf(row, sizeof(row), "| %s | %llu | ", d->fields[i].name,
			 (unsigned long long)value_of(limits, &d->fields[i]));
		if (count(text, row) != 1)
			fail_msg("docs/limits.md lacks \"%s\"", row);
	}
	free(text);
	fake_end(fx.last[0]);
	domain_loop_leave(fx.loop[0]);
	domain_destroy(fx.domain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_error_has_its_row),
		cmocka_unit_test(every_limit_has_its_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
