/* SPDX-License-Identifier: BSD-2-Clause */
/* The cases of three operations at once: a program of their own, to run beside those of two. */
#define IV_AGENTS 3
#include "test_interleave.c"
