/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the request's bytes and its handler. */
#ifndef PTD_MESSAGE_H
#define PTD_MESSAGE_H

#include "stream.h"

/* Unpacks the message of a unary or server-streaming call once. False: the call has failed. */
bool stream_unpack(struct stream *stream);
/* Gives waiting messages of a client-streaming call to its handler, as far as answers find room. */
enum call_result stream_run_messages(struct stream *stream);
/* Frees what the client sent. */
void stream_drop_input(struct stream *stream);
/* Submits the decided answer. */
void stream_send_answer(struct stream *stream);

#endif
