/* SPDX-License-Identifier: BSD-2-Clause */
/* Donates pages to a guest, which shares one back, and says whose each of them is. */
#include <ptd.h>

#include <inttypes.h>
#include <stdio.h>

#define PAGE UINT64_C(4096)

static int fail(const struct ptd_status *status)
{
	fprintf(stderr, "%s: %s\n", status->reason[0] ? status->reason : "error", status->message);
	return status->state == PTD_STATE_UNKNOWN ? 4 : 1;
}

static enum ptd_state donate(struct ptd_client *client, uint64_t machine, uint64_t guest,
			     struct ptd_status *status)
{
	struct ptd_transfer_item item = {.kind = PTD_TRANSFER_DONATE,
					 .from = {.kind = PTD_OWNER_HOST},
					 .to = {.kind = PTD_OWNER_GUEST, .context = guest},
					 .pa = {2 << 20},
					 .ipa = {1 << 30},
					 .size = 4 * PAGE,
					 .zero = true};

	if (ptd_transfer(client, machine, &item, 1, NULL, NULL, status))
		return (enum ptd_state)status->state;
	/* A guest's memory is named by its own address. */
	item = (struct ptd_transfer_item){.kind = PTD_TRANSFER_SHARE,
					  .from = item.to,
					  .to = item.from,
					  .ipa = {item.ipa.v + PAGE},
					  .size = PAGE};
	return ptd_transfer(client, machine, &item, 1, NULL, NULL, status);
}

static enum ptd_state tell(struct ptd_client *client, uint64_t machine, struct ptd_status *status)
{
	static const char *const owner[] = {"?", "host", "hyp", "guest"};
	const struct ptd_pa end = {4 << 20};
	struct ptd_pa at = {0};
	struct ptd_owned owned[2];
	size_t count;

	while (at.v < end.v) {
		if (ptd_owners(client, machine, at, end.v - at.v, owned, 2, &count, &at, status))
			return (enum ptd_state)status->state;
		for (size_t i = 0; i < count; i++)
			printf("0x%06" PRIx64 " %7" PRIu64 " %s%s\n", owned[i].pa.v, owned[i].size,
			       owner[owned[i].owner.kind % 4],
			       owned[i].state == PTD_PAGE_SHARED ? ", shared" : "");
	}
	return PTD_STATE_OK;
}

int main(int argc, char **argv)
{
	const struct ptd_options options = {
		.size = sizeof(options), .timeout_ms = 10000, .reconnects = 2};
	struct ptd_status status;
	struct ptd_client *client;
	uint64_t machine, guest;
	int code = 0;

	if (argc != 4) {
		fprintf(stderr, "usage: %s ENDPOINT MACHINE GUEST\n", argv[0]);
		return 2;
	}
	client = ptd_open(argv[1], &options, &status);
	if (!client)
		return fail(&status);
	if (ptd_find_machine(client, argv[2], &machine, &status) ||
	    ptd_find_context(client, argv[3], &guest, &status) ||
	    donate(client, machine, guest, &status) || tell(client, machine, &status))
		code = fail(&status);
	ptd_close(client);
	return code;
}
