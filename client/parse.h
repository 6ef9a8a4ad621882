/* SPDX-License-Identifier: BSD-2-Clause */
/* From a command line to a command and its values, by the command table alone. */
#ifndef PTCTL_PARSE_H
#define PTCTL_PARSE_H

#include "commands.h"

#define PARSE_RUN (-1) /* go on: run ctl->command */

/* Fills *ctl. PARSE_RUN, or an exit code: help was printed, or the line is wrong and that is said.
 */
int parse_line(struct ptctl *ctl, int argc, char **argv);
void parse_free(struct ptctl *ctl);

/* One value of `param` from text. NULL, or why not: new memory. */
char *parse_value(struct value *value, const struct param *param, const char *text);

/* Options that every command takes. Ends at a NULL name. */
extern const struct param global_options[];

/* The command of these words; verb may be NULL. */
const struct command *command_find(const char *noun, const char *verb);
bool noun_exists(const char *noun);

#endif
