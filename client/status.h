/* SPDX-License-Identifier: BSD-2-Clause */
/* How a call ended: from trailers, stream errors and local causes to struct ptd_status. */
#ifndef PTD_STATUS_H
#define PTD_STATUS_H

#include <ptd.h>

extern const struct ptd_status status_ok;

void status_clear(struct ptd_status *status);
/* A status of our own making. `text` is printf-style. */
void status_local(struct ptd_status *status, enum ptd_state state, enum ptd_where where, int grpc,
		  const char *text, ...) __attribute__((format(printf, 5, 6)));

/* grpc-message: percent-decoded into status->message. */
void status_message(struct ptd_status *status, const uint8_t *value, size_t length);
/* grpc-status-details-bin: base64 of google.rpc.Status with ErrorInfo and ptd.v1.ErrorDetail. What
 * cannot be read is left out. */
void status_details(struct ptd_status *status, const uint8_t *value, size_t length);
/* Digits of a status code; 2 (UNKNOWN) for anything else. */
int status_number(const uint8_t *value, size_t length);
/* grpc-retry-pushback-ms: milliseconds, or PTD_RETRY_NEVER for anything that is not such a number.
 */
int64_t status_pushback(const uint8_t *value, size_t length);

/* Padded or not; -1: not base64, or larger than `room`. */
long base64_decode(const uint8_t *text, size_t length, uint8_t *bytes, size_t room);

#endif
