/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line of the load generator. */
#ifndef LOAD_OPTIONS_H
#define LOAD_OPTIONS_H

#include "load.h"

/* False: *error says why. */
bool options_parse(struct load *load, int argc, char **argv, const char **error);

#endif
