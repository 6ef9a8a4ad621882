/* SPDX-License-Identifier: BSD-2-Clause */
/* Fuzz target: who a certificate names, from any bytes that claim to be one, and the two rules for
 * names alone. What is accepted is a printable principal and never an admin. */
#include "fuzz.h"

#include "tls_identity.h"

static void check(const char *why, const struct principal *who)
{
	size_t n = strnlen(who->name, PRINCIPAL_MAX);

	if (why)
		return;
	CHECK(n && n < PRINCIPAL_MAX && !who->admin);
	CHECK(!strncmp(who->name, "spiffe://", 9) || !strncmp(who->name, "cn:", 3));
	for (size_t i = 0; i < n; i++)
		CHECK(who->name[i] >= 0x20 && who->name[i] < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	struct source in = source_of(data, length);
	struct principal who = {.name = ""};
	uint8_t how = take(&in), text[1100] = "spiffe://";
	struct tls_name name = {in.at, (size_t)(in.end - in.at)};

	switch (how & 3) {
	case 0: check(tls_identity_uri(name, &who), &who); break;
	case 1: check(tls_identity_cn(name, &who), &who); break;
	case 2: check(tls_identity_der(name.data, name.length, &who), &who); break;
	default:
		if (name.length > 1000)
			name.length = 1000;
		memcpy(text + 9, name.data, name.length);
		name = (struct tls_name){text, name.length + 9};
		check(tls_identity_uri(name, &who), &who);
		break;
	}
	return 0;
}
