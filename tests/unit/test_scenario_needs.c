/* SPDX-License-Identifier: BSD-2-Clause */
/* What each operation of a scenario needs: without it the line is refused, and says what is
 * missing; without any of the rest it compiles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scenario_parse.h"

#include <stdlib.h>
#include <string.h>

#define HEAD                                                                                       \
	"machine m memory=1G owners\ncontext h kind=host ipa=40\ncontext v protected ipa=40\n"     \
	"context w ipa=40\ncontext g ipa=40 nested\ntables t base=1G maps=0:4K:2G:rw\n"

/* A word with a '*' is needed; one with a '!' too, and without it something else is missing. */
static const char *const lines[] = {
	"machine n *memory=1G vcpus=1 pa=40 vmid=8 owners",
	"context c *ipa=40 machine=m granule=4K pa=40 start=1 fwb quota=1",
	"context c *vtcr=0x800d3558 machine=m",
	"slot *ipa=0 *size=1G *pa=0 id=1 backing=2M read-only",
	"delete *slot=1",
	"delete *machine=m",
	"quota *pages=1",
	"map *ipa=0 *size=4K *pa=0 *prot=rw type=nc replace software=1 count=2 stride=8K",
	"unmap *ipa=0 *size=4K validate",
	"protect *ipa=0 *size=4K *prot=r",
	"wrprotect *ipa=0 *size=4K",
	"relax *ipa=0 *size=4K *prot=r",
	"annotate *ipa=0 *size=4K *type=2 payload=1",
	"young *ipa=0 *size=4K",
	"flush *ipa=0 *size=4K",
	"age *ipa=0 *size=4K clear",
	"split *ipa=0 *size=4K level=3 pages=1",
	"collapse *ipa=0 *size=4K",
	"log-start *ipa=0 *size=4K id=1 eager",
	"log-get id=1 ipa=0 size=4K clear",
	"log-stop id=1",
	"own share *pa=0 *ipa=0 *to=w size=8K *prot=rw",
	"own share *from=v *ipa=0 size=8K",
	"own share *pa=0 *to=hyp",
	"own unshare *ipa=0 *to=v",
	"own unshare *pa=0 *to=hyp",
	"own unshare *from=v *ipa=0",
	"own donate *pa=0 *ipa=0 *to=v zero validate machine=m",
	"own donate *pa=0 *from=hyp",
	"own donate *from=v *ipa=0",
	"own lend *pa=0 *to=v also=w total=8K id=1",
	"own lend !from=v *ipa=0 *to=w",
	"own piece *pa=0 id=1",
	"own piece !from=v *ipa=0",
	"own retrieve *ipa=0 *to=v id=1",
	"own relinquish *from=v id=1",
	"own take-back id=1 to=v",
	"own reclaim *pa=0 size=8K",
	"own pin *pa=0",
	"own unpin *pa=0",
	"own show *pa=0 machine=m",
	"tables u *base=1G *maps=0:4K:2G:rw granule=4K ipa=40 vmid=1 vcpu=0",
	"enter s tables=t hcr=1 vcpu=0",
	"enter s *vttbr=1G *vtcr=0x800d3558",
	"exit vcpu=0",
	"tlbi ipas2e1is *ipa=0 tables=t nxs vcpu=0",
	"tlbi ipas2le1 *operand=0",
	"tlbi ripas2e1is *operand=0",
	"tlbi vmalls12e1is tables=t",
	"tlbi alle1is *vttbr=1G *vtcr=0x800d3558",
	"guest-at s12e1r *address=0 hcr=1 tables=t",
	"batch *mode=atomic validate",
	"read *ipa=0 length=8 vcpu=0 el0 s1ptw",
	"read *ipa=0 *size=8K *step=4K",
	"write *ipa=0 data=1",
	"exec *ipa=0",
	"at *ipa=0",
	"access *ipa=0 *kind=read",
	"touch *ipa=0 *size=8K *step=4K *vcpus=1 even=read length=4",
	"fault *ipa=0 *access=read vcpu=0 el0",
	"fault *esr=0x9200_0047 *far=0 *hpfar=0",
	"translate *ipa=0 access=read",
	"digest *d",
	"stage *s",
	"failpoint pool.reserve *nth=1 times=1 action=error",
	"failpoint pool.reserve *ppm=1 seed=1",
	"failpoint rpc.reply *nth=1 action=delay *delay=1",
	"disarm",
	"par *1",
	"expect !outcome=OK",
	"let *x=1",
	"use *v",
};

static char *errors;
static size_t errors_size;

static bool is_needed(const char *word)
{
	return *word == '*' || *word == '!';
}

/* `line` behind the head, without word number `without`; 0: all of them. */
static bool compiles(char *const word[], unsigned words, unsigned without)
{
	struct scenario scenario = {0};
	char text[1024] = HEAD;
	FILE *to;
	bool ok;

	if (!strcmp(word[0], "expect"))
		strcat(text, "unmap context=w ipa=0 size=4K\n");
	for (unsigned i = 0; i < words; i++) {
		if (i && i == without)
			continue;
		strcat(text, word[i] + is_needed(word[i]));
		strcat(text, " ");
	}
	strcat(text, "\n");
	if (!strcmp(word[0], "batch"))
		strcat(text, "unmap ipa=0 size=4K\nendbatch\n");
	if (!strcmp(word[0], "par"))
		strcat(text, "read ipa=0\nend\n");
	free(errors);
	errors = NULL;
	to = open_memstream(&errors, &errors_size);
	ok = scenario_compile(&scenario, "t.ptd", text, strlen(text), NULL, 0, to);
	fclose(to);
	scenario_free(&scenario);
	return ok;
}

static unsigned cut(char *line, char *word[])
{
	unsigned n = 0;

	for (char *one; (one = strsep(&line, " ")) != NULL;)
		word[n++] = one;
	return n;
}

/* Does the error name the key, or say what the word is? */
static bool names(const char *word)
{
	char key[32] = {0};

	if (*word == '!')
		return strstr(errors, " needs ");
	memcpy(key, word + 1, strcspn(word + 1, "="));
	return strstr(errors, key) || strstr(errors, "needs a") || strstr(errors, "takes");
}

static void what_is_needed_is_missed_and_the_rest_is_not(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char *line = strdup(lines[i]), *word[SCN_WORDS_MAX];
		unsigned words = cut(line, word);

		if (!compiles(word, words, 0))
			fail_msg("%s: %s", lines[i], errors);
		for (unsigned k = 1; k < words; k++) {
			bool needed = is_needed(word[k]), ok;

			if (k == 1 && !needed && !strchr(word[1], '=') && words > 1 &&
			    scn_verb(&(struct scn_span){word[0], strlen(word[0])})->first)
				continue; /* a name; those that matter have a '*' */
			ok = compiles(word, words, k);
			if (ok == needed)
				fail_msg("%s, without %s: %s", lines[i], word[k],
					 ok ? "it compiles" : errors);
			if (needed && !names(word[k]))
				fail_msg("%s, without %s, says: %s", lines[i], word[k], errors);
		}
		free(line);
	}
}

/* Of own each action, too. */
static bool is_listed(const char *verb, const char *action)
{
	char start[64];

	snprintf(start, sizeof(start), "%s%s%s", verb, *action ? " " : "", action);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (!strncmp(lines[i], start, strlen(start)) &&
		    strchr(" ", lines[i][strlen(start)]))
			return true;
	return false;
}

static void no_operation_is_left_out(void **unused)
{
	static const char *const plain[] = {"let", "use", "expect", "touch"};

	(void)unused;
	for (const struct scn_verb *v = scn_verb_table; v->name; v++)
		if (!is_listed(v->name, ""))
			fail_msg("%s", v->name);
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		assert_true(is_listed(plain[i], ""));
	for (unsigned kind = 1; kind <= 10; kind++)
		if (!is_listed("own", scn_own_name(kind, 0)))
			fail_msg("own %s", scn_own_name(kind, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_needed_is_missed_and_the_rest_is_not),
		cmocka_unit_test(no_operation_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
