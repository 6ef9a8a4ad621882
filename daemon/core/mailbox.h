/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many shards put, one takes. A put is one exchange loop of compare-and-swap on the head; the owner
 * takes the whole list at once and turns it round, so that mail is read in the order it came.
 *
 * What the reader may assume: everything written before mailbox_put() is visible after
 * mailbox_take() (release of the put pairs with acquire of the take). There is no ABA: nodes leave
 * only all together.
 */
#ifndef PTD_MAILBOX_H
#define PTD_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct mail {
	struct mail *next;
};

struct mailbox {
	_Atomic(struct mail *) head;
};

/* Any thread. True: the box was empty, so its owner must be notified. */
static inline bool mailbox_put(struct mailbox *box, struct mail *mail)
{
	struct mail *head = atomic_load_explicit(&box->head, memory_order_relaxed);

	do
		mail->next = head;
	while (!atomic_compare_exchange_weak_explicit(&box->head, &head, mail, memory_order_release,
						      memory_order_relaxed));
	return head == NULL;
}

/* The owner only. All mail, oldest first, or NULL. */
static inline struct mail *mailbox_take(struct mailbox *box)
{
	struct mail *list, *turned = NULL;

	if (!atomic_load_explicit(&box->head, memory_order_relaxed))
		return NULL;
	list = atomic_exchange_explicit(&box->head, NULL, memory_order_acquire);
	while (list) {
		struct mail *next = list->next;

		list->next = turned;
		turned = list;
		list = next;
	}
	return turned;
}

#endif
