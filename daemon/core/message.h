/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the request's bytes and its handler. */
#ifndef PTD_MESSAGE_H
#define PTD_MESSAGE_H

#include "stream.h"

/* Unpacks the message of a unary or server-streaming call once. False: the call has failed. */
bool stream_unpack(struct stream *stream);
/* Gives waiting messages of a client-streaming call to its handler, as far as answers find room. */
enum call_result stream_run_messages(struct stream *stream);
/* Does a message wait that is not all there? Then it is the client's turn. */
bool stream_mid_message(const struct stream *stream);
/* Frees what the client sent. */
void stream_drop_input(struct stream *stream);
/* Submits the decided answer. */
void stream_send_answer(struct stream *stream);

/* Of message.c for client_stream.c. False, each: the stream has its answer. */
bool message_prefix_ok(struct stream *stream, uint8_t flag, uint32_t length);
bool message_over_budget(struct stream *stream);
bool message_unpack(struct stream *stream, const uint8_t *body, size_t length);
/* Of client_stream.c for message.c: DATA, END_STREAM, and the end of the input's memory. */
void client_stream_data(struct stream *stream, const uint8_t *data, size_t length);
void client_stream_end(struct stream *stream);
void client_stream_drop(struct stream *stream);

#endif
