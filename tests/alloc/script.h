/* SPDX-License-Identifier: BSD-2-Clause */
/* The calls of the sweep: each object made, used and deleted, each kind of stream once. */
#ifndef TESTS_ALLOC_SCRIPT_H
#define TESTS_ALLOC_SCRIPT_H

#include "wire.h"

/* Ends at path NULL. */
extern const struct scripted script[];
/* What has to be the same where nothing has changed. Ends at path NULL. */
extern const struct scripted script_state[];
/* Puts the state right after a session of which a message was refused. */
extern const struct scripted script_repair;

#endif
