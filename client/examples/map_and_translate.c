/* SPDX-License-Identifier: BSD-2-Clause */
/* Maps 2 MiB in a context and looks where an address in it leads: one blocking call after another.
 */
#include <ptd.h>

#include <inttypes.h>
#include <stdio.h>

static int fail(const struct ptd_status *status)
{
	fprintf(stderr, "%s: %s\n", status->reason[0] ? status->reason : "error", status->message);
	if (status->hint[0])
		fprintf(stderr, "hint: %s\n", status->hint);
	return status->state == PTD_STATE_UNKNOWN ? 4 : 1;
}

int main(int argc, char **argv)
{
	const struct ptd_options options = {.size = sizeof(options), .timeout_ms = 10000};
	const struct ptd_ipa ipa = {0x40000000};
	const struct ptd_pa pa = {0x200000};
	struct ptd_translation where;
	struct ptd_effects effects;
	struct ptd_status status;
	struct ptd_client *client;
	uint64_t context;
	int code = 0;

	if (argc != 3) {
		fprintf(stderr, "usage: %s ENDPOINT CONTEXT\n", argv[0]);
		return 2;
	}
	client = ptd_open(argv[1], &options, &status);
	if (!client)
		return fail(&status);
	if (ptd_find_context(client, argv[2], &context, &status) ||
	    ptd_map(client, context, ipa, 2 << 20, pa, PTD_PROT_R | PTD_PROT_W, 0, &effects,
		    &status) ||
	    ptd_translate(client, context, (struct ptd_ipa){ipa.v + 0x1234}, PTD_ACCESS_READ,
			  &where, &status)) {
		code = fail(&status);
	} else {
		printf("%" PRIu64 " leaf written, generation %" PRIu64 "\n", effects.leaves_written,
		       effects.generation);
		printf("0x%" PRIx64 " -> 0x%" PRIx64 " at level %d\n", ipa.v + 0x1234, where.pa.v,
		       (int)where.level);
	}
	ptd_close(client);
	return code;
}
