/* SPDX-License-Identifier: BSD-2-Clause */
/* Every limit of the domain in one place; GetInfo and docs/limits.md state them. */
#ifndef PTD_DOMAIN_LIMITS_H
#define PTD_DOMAIN_LIMITS_H

#define LIMIT_NAME_BYTES		 63u
#define LIMIT_VCPUS			 256u
#define LIMIT_SLOTS			 1024u
#define LIMIT_MACHINES			 4096u
#define LIMIT_CONTEXTS			 262144u
#define LIMIT_GUESTS			 256u
#define LIMIT_SHADOWS			 4096u
#define DEFAULT_SHADOWS			 64u
#define LIMIT_TRANSFER_ITEMS		 32u
#define LIMIT_LENDINGS			 16u
#define LIMIT_LEND_BORROWERS		 4u
#define LIMIT_LEND_PIECES		 8u
#define LIMIT_LEND_TIMEOUT_MS		 3600000u
#define DEFAULT_LEND_TIMEOUT_MS		 60000u
#define LIMIT_OWNER_REQUESTS		 4096u
#define LIMIT_OWNER_EVENTS		 1024u
#define LIMIT_OWNER_WATCHERS		 1024u
#define LIMIT_PAGERS			 256u /* of the daemon */
#define LIMIT_PRINCIPAL_PAGERS		 64u
#define LIMIT_MACHINE_PAGERS		 16u
#define LIMIT_PAGER_WINDOW		 256u
#define LIMIT_PAGER_BYTES		 (UINT64_C(64) << 30) /* two bits a granule */
#define LIMIT_MACHINE_BYTES		 (UINT64_C(1) << 44)
#define LIMIT_ACCESS_BYTES		 (1u << 20)
#define LIMIT_PAGE_SIZE			 1000u
#define DEFAULT_PAGE_SIZE		 100u
#define LIMIT_PAGE_BYTES		 (1u << 20) /* a page of a list ends early beyond it */
#define LIMIT_DUMP_ROWS			 65536u
#define DEFAULT_DUMP_ROWS		 4096u
#define LIMIT_BATCH_ITEMS		 65536u
#define LIMIT_ERRORS			 16u
#define LIMIT_BACKING_SHIFT		 39u /* 512 GiB */
#define LIMIT_WATCH_EVENTS		 256u
#define LIMIT_FAILPOINTS		 64u
#define LIMIT_REQUEST_IDS		 65536u
#define LIMIT_REQUEST_ID_BYTES		 (16u << 20)
#define LIMIT_PRINCIPAL_REQUEST_IDS	 16384u
#define LIMIT_PRINCIPAL_REQUEST_ID_BYTES (4u << 20)
#define REQUEST_ID_TTL_NS		 (UINT64_C(600) * 1000000000)
#define LIMIT_SESSIONS			 1024u
#define LIMIT_SESSIONS_PRINCIPAL	 64u
#define LIMIT_SESSION_WINDOW		 64u
#define LIMIT_SESSION_BYTES		 (256u << 10) /* of answers; the last one is always kept */
#define SESSION_TTL_NS			 (UINT64_C(60) * 1000000000)
#define LIMIT_BITMAP_BYTES		 (1u << 20) /* of a reply: larger ones come in parts */
#define LIMIT_DIRTY_LOGS		 1024u
#define LIMIT_PRINCIPAL_DIRTY_LOGS	 256u
#define LIMIT_DIRTY_LOG_BYTES		 (UINT64_C(64) << 20) /* two bits a granule */
#define LIMIT_PRINCIPAL_DIRTY_LOG_BYTES	 (UINT64_C(256) << 20)
#define FAILPOINT_TTL_MS		 60000u
#define LIMIT_FAILPOINT_TTL_MS		 3600000u
#define LIMIT_FAILPOINT_DELAY_MS	 60000u
#define LIMIT_FAILPOINT_HOLD_MS		 1000u /* of those that hold up a loop */

/* Of the wire; stated here because GetInfo is answered by the domain. */
#define LIMIT_RECEIVE_BYTES	 (4u << 20)
#define LIMIT_SEND_BYTES	 ((4u << 20) - (64u << 10)) /* clients refuse 4 MiB and more */
#define LIMIT_CONCURRENT_STREAMS 512u
#define LIMIT_HEADER_LIST_BYTES	 (16u << 10)
#define DEFAULT_MAX_CONNECTIONS	 1024u
#define DEFAULT_TABLE_BYTES	 (UINT64_C(8) << 30)

/* Work of one step: descriptor visits of a range operation, items of a batch of points. A step goes
 * on to the end of the table that it is in, 8192 entries at 64K, and stays below 20 000. */
#define STEP_VISITS 11000u
#define STEP_ITEMS  512u

/* Empty tables go when nothing has been unmapped near them for so long: who maps again at once
 * finds them. */
#define SWEEP_REST_NS UINT64_C(1000000000)

/* Table memory that has been free for so long goes back to the system, but for so many pieces of
 * 1 MiB: who maps again soon does not wait for new memory. */
#define TRIM_REST_NS UINT64_C(1000000000)
#define TRIM_KEEP    16u

#endif
