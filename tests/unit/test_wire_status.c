/* SPDX-License-Identifier: BSD-2-Clause */
/* A call's status as fields of the trailers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "status.h"

#include <stdio.h>
#include <string.h>

/* The value of a field, NULL: it is not there. */
static const char *value_of(const struct status_wire *wire, const char *name)
{
	static char value[256];

	for (size_t i = 0; i < wire->fields; i++) {
		const nghttp2_nv *field = &wire->field[i];

		if (field->namelen != strlen(name) || memcmp(field->name, name, field->namelen))
			continue;
		snprintf(value, sizeof(value), "%.*s", (int)field->valuelen,
			 (const char *)field->value);
		return value;
	}
	return NULL;
}

static void success_is_one_field(void **unused)
{
	struct call_status status = {.code = PT_OK, .level = PT_TTL_UNKNOWN};
	struct status_wire wire;

	(void)unused;
	status_encode(&wire, &status);
	assert_int_equal(wire.fields, 1);
	assert_string_equal(value_of(&wire, "grpc-status"), "0");
}

static void a_refusal_says_when_to_come_back(void **unused)
{
	struct call_status status = {
		.code = PT_OVERLOADED, .level = PT_TTL_UNKNOWN, .pushback_ms = 125};
	struct status_wire wire;

	(void)unused;
	status_encode(&wire, &status);
	assert_int_equal(wire.fields, STATUS_FIELDS);
	assert_string_equal(value_of(&wire, "grpc-status"), "8");
	assert_string_equal(value_of(&wire, "grpc-retry-pushback-ms"), "125");
	assert_string_equal(value_of(&wire, "grpc-message"),
			    "more work arrives than the daemon can do");
	assert_non_null(value_of(&wire, "grpc-status-details-bin"));
	status.pushback_ms = UINT32_MAX;
	status_encode(&wire, &status);
	assert_string_equal(value_of(&wire, "grpc-retry-pushback-ms"), "4294967295");
}

static void other_failures_say_nothing_of_time(void **unused)
{
	struct call_status status = {.code = PT_QUOTA, .level = PT_TTL_UNKNOWN};
	struct status_wire wire;

	(void)unused;
	status_encode(&wire, &status);
	assert_null(value_of(&wire, "grpc-retry-pushback-ms"));
	assert_string_equal(value_of(&wire, "grpc-status"), "8");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(success_is_one_field),
		cmocka_unit_test(a_refusal_says_when_to_come_back),
		cmocka_unit_test(other_failures_say_nothing_of_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
