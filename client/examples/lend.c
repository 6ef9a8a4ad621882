/* SPDX-License-Identifier: BSD-2-Clause */
/* Lends pages of the host's to a guest, that has them for a while, and takes them back. */
#include <ptd.h>

#include <inttypes.h>
#include <stdio.h>

#define PAGE UINT64_C(4096)

static int fail(const struct ptd_status *status)
{
	fprintf(stderr, "%s: %s\n", status->reason[0] ? status->reason : "error", status->message);
	return status->state == PTD_STATE_UNKNOWN ? 4 : 1;
}

/* Two ranges in one step. */
static enum ptd_state lend(struct ptd_client *client, uint64_t machine,
			   const struct ptd_party *guest, struct ptd_lent *lent,
			   struct ptd_status *status)
{
	const struct ptd_transfer_item items[] = {
		{.kind = PTD_TRANSFER_LEND,
		 .from = {.kind = PTD_OWNER_HOST},
		 .pa = {2 << 20},
		 .size = PAGE,
		 .zero = true,
		 .borrowers = guest,
		 .borrower_count = 1},
		{.kind = PTD_TRANSFER_LEND, .pa = {4 << 20}, .size = 2 * PAGE},
	};

	return ptd_transfer(client, machine, items, 2, NULL, lent, status);
}

static enum ptd_state end(struct ptd_client *client, uint64_t machine, uint64_t handle,
			  const struct ptd_party *guest, struct ptd_status *status)
{
	const struct ptd_transfer_item back = {
		.kind = PTD_TRANSFER_RELINQUISH, .from = *guest, .lend_handle = handle};
	const struct ptd_transfer_item reclaim = {.kind = PTD_TRANSFER_RECLAIM,
						  .to = {.kind = PTD_OWNER_HOST},
						  .lend_handle = handle};

	if (ptd_transfer(client, machine, &back, 1, NULL, NULL, status))
		return (enum ptd_state)status->state;
	return ptd_transfer(client, machine, &reclaim, 1, NULL, NULL, status);
}

static enum ptd_state run(struct ptd_client *client, uint64_t machine, uint64_t context,
			  struct ptd_status *status)
{
	const struct ptd_party guest = {.kind = PTD_OWNER_GUEST, .context = context};
	struct ptd_transfer_item have = {
		.kind = PTD_TRANSFER_RETRIEVE, .to = guest, .ipa = {0x50000000}};
	struct ptd_lending lending;
	struct ptd_lent lent;
	size_t count;

	if (lend(client, machine, &guest, &lent, status))
		return (enum ptd_state)status->state;
	have.lend_handle = lent.handle;
	if (ptd_transfer(client, machine, &have, 1, NULL, NULL, status) ||
	    ptd_lendings(client, machine, &lending, 1, &count, status))
		return (enum ptd_state)status->state;
	printf("%zu lending: %" PRIu64 " bytes, at 0x%" PRIx64 " of the guest\n", count,
	       lending.size, lending.borrower[0].ipa.v);
	return end(client, machine, lent.handle, &guest, status);
}

int main(int argc, char **argv)
{
	const struct ptd_options options = {.size = sizeof(options), .timeout_ms = 10000};
	struct ptd_status status;
	struct ptd_client *client;
	uint64_t machine, guest;
	int code = 0;

	client = argc == 4 ? ptd_open(argv[1], &options, &status) : NULL;
	if (!client)
		return argc == 4 ? fail(&status) : 2;
	if (ptd_find_machine(client, argv[2], &machine, &status) ||
	    ptd_find_context(client, argv[3], &guest, &status) ||
	    run(client, machine, guest, &status))
		code = fail(&status);
	ptd_close(client);
	return code;
}
