/* SPDX-License-Identifier: BSD-2-Clause */
/* Help and completion, made from the command table. */
#ifndef PTCTL_HELP_H
#define PTCTL_HELP_H

#include "commands.h"

/* Each returns an exit code. */
int help_all(FILE *file);
int help_noun(FILE *file, const char *noun);
int help_command(FILE *file, const struct command *command);
int help_version(void);
int help_missing_noun(const struct ptctl *ctl);
int help_missing_verb(const struct ptctl *ctl, const char *noun);
/* `word` is no noun, or (noun given) no verb of it: says so with the nearest ones. */
int help_unknown(const struct ptctl *ctl, const char *noun, const char *word);

/* "map CONTEXT IPA SIZE PA PROT" */
void help_usage_line(FILE *file, const struct command *command);

void completion_bash(FILE *file);

#endif
