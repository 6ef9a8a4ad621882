/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tables of a running daemon, walked by a CPU: a file that tests/el2/replay made stands in
 * memory at REPLAY. Its tables are copied to memory of this image, pointers between them
 * rewritten, nothing else; then AT says of each sample what the daemon said, or the test fails.
 *
 * All is words of 64 bits, little endian. The file: magic, version, words, contexts. A context:
 * VTCR_EL2, HCR_EL2 bits, PA of its start table, tables, samples. A table: PA, level, words,
 * descriptors. A sample: IPA, 1 for a write, PAR_EL1 in the bits that are compared.
 */
#include "stage2.h"

#define MAGIC	     UINT64_C(0x59414c5052445450) /* "PTDRPLAY" */
#define VERSION	     1
#define WORDS_MAX    (UINT64_C(32) << 17) /* 32 MiB */
#define TABLES_MAX   256
#define TABLES_BYTES (UINT64_C(16) << 20)
#define TABLE_ALIGN  UINT64_C(0x10000)
#define VTCR_DS	     (UINT64_C(1) << 32)

#define PAR_F	    UINT64_C(1)
#define PAR_LEAF    UINT64_C(0xff0ffffffffff181) /* ATTR, PA[51:12], SH, F */
#define PAR_FAULT   UINT64_C(0x27f)		 /* S, FST, F */
#define VTTBR_VMID1 (UINT64_C(1) << 48)

struct table {
	uint64_t pa, level, words;
	uint64_t *copy;
};

static const uint64_t *file;
static uint64_t file_words, file_at;
static struct table tables[TABLES_MAX];
static uint64_t table_count, compared;
/* Not zeroed at boot: of a table all words are copied. A start table is as aligned as it is long.
 */
__attribute__((section(".region.tables"),
	       aligned(1 << 21))) static unsigned char memory[TABLES_BYTES];
static uint64_t used;

static _Noreturn void bail(const char *why, uint64_t value)
{
	printf("Bail out! %s: 0x%lx\n", why, (unsigned long)value);
	abort();
}

static const uint64_t *take(uint64_t words)
{
	const uint64_t *from = file + file_at;

	if (words > file_words - file_at)
		bail("the file ends early", file_at);
	file_at += words;
	return from;
}

static void read_table(struct table *t)
{
	const uint64_t *head = take(3);
	uint64_t bytes, align;

	t->pa = head[0];
	t->level = head[1];
	t->words = head[2];
	if (!t->words || t->words > TABLES_BYTES / 8 || (t->words & (t->words - 1)))
		bail("a table's size", t->words);
	bytes = 8 * t->words;
	align = bytes > TABLE_ALIGN ? bytes : TABLE_ALIGN;
	used = (used + align - 1) & ~(align - 1);
	if (used > TABLES_BYTES - bytes)
		bail("no room for a table", t->pa);
	t->copy = (uint64_t *)(void *)(memory + used);
	used += bytes;
	memcpy(t->copy, take(t->words), bytes);
}

static uint64_t copy_of(uint64_t pa)
{
	for (uint64_t i = 0; i < table_count; i++)
		if (tables[i].pa == pa)
			return (uintptr_t)tables[i].copy;
	bail("a pointer to no table of the dump", pa);
}

/* How a table descriptor says where the table stands: bits of the address in place, and higher ones
 * elsewhere (Arm ARM D8.3). */
struct format {
	uint64_t in_place, high;
	unsigned high_at, is_bit;
};

static const struct format *format_of(uint64_t vtcr)
{
	static const struct format formats[3] = {
		{UINT64_C(0x0000fffffffff000), 0, 0, 0},
		{UINT64_C(0x0003fffffffff000), 3, 8, 50},   /* DS */
		{UINT64_C(0x0000ffffffff0000), 15, 12, 48}, /* 64K with 52 bits of PA */
	};
	bool large = (vtcr >> 14 & 3) == 1 && (vtcr >> 16 & 7) == 6;

	return &formats[vtcr & VTCR_DS ? 1 : large ? 2 : 0];
}

/* The copies stand low. */
static uint64_t rewritten(const struct format *f, uint64_t d)
{
	uint64_t pa = (d & f->in_place) | (d >> f->high_at & f->high) << f->is_bit;

	return (d & ~f->in_place & ~(f->high << f->high_at)) | copy_of(pa);
}

/* Bits 1:0 are 3 in a table descriptor of any level but the last. */
static void rewrite_pointers(const struct table *t, const struct format *f)
{
	for (uint64_t i = 0; i < t->words && t->level != PT_LEVEL_LAST; i++)
		if ((t->copy[i] & 3) == 3)
			t->copy[i] = rewritten(f, t->copy[i]);
}

static void load(uint64_t vtcr, uint64_t hcr, uint64_t root)
{
	pt_el2_write_hcr_el2(PT_HCR_RW | PT_HCR_DC | PT_HCR_VM | hcr);
	pt_el2_write_vtcr_el2(vtcr);
	pt_el2_write_vttbr_el2(root | VTTBR_VMID1);
	__asm__ volatile("dsb ish\n\tisb\n\ttlbi vmalls12e1\n\tdsb ish\n\tisb" ::: "memory");
}

/* False, and a line, when the CPU says something else. */
static bool compare(const uint64_t sample[3])
{
	uint64_t ipa = sample[0], wanted = sample[2], par;

	if (sample[1])
		__asm__ volatile("at s12e1w, %0\n\tisb" ::"r"(ipa) : "memory");
	else
		__asm__ volatile("at s12e1r, %0\n\tisb" ::"r"(ipa) : "memory");
	par = pt_el2_read_par_el1();
	compared++;
	if ((par & (par & PAR_F ? PAR_FAULT : PAR_LEAF)) == wanted)
		return true;
	printf("# AT S12E1%c of 0x%lx: PAR_EL1 0x%lx, the daemon said 0x%lx\n",
	       sample[1] ? 'W' : 'R', (unsigned long)ipa, (unsigned long)par,
	       (unsigned long)wanted);
	return false;
}

static bool replay(uint64_t number)
{
	const uint64_t *head = take(5);
	uint64_t samples = head[4], wrong = 0;

	used = 0;
	table_count = head[3];
	if (!table_count || table_count > TABLES_MAX || !samples)
		bail("tables of a context", table_count);
	for (uint64_t i = 0; i < table_count; i++)
		read_table(&tables[i]);
	for (uint64_t i = 0; i < table_count; i++)
		rewrite_pointers(&tables[i], format_of(head[0]));
	load(head[0], head[1], copy_of(head[2]));
	for (uint64_t i = 0; i < samples; i++)
		wrong += !compare(take(3));
	printf("%sok %lu - VTCR_EL2 0x%lx: %lu tables, %lu samples\n", wrong ? "not " : "",
	       (unsigned long)number, (unsigned long)head[0], (unsigned long)table_count,
	       (unsigned long)samples);
	return !wrong;
}

int main(void)
{
	const char *at = getenv("REPLAY");
	uint64_t contexts;
	bool right = true;

	file = (const uint64_t *)(uintptr_t)(at ? strtoull(at, NULL, 0) : 0);
	if (!file)
		bail("no REPLAY=address", 0);
	if (file[0] != MAGIC || file[1] != VERSION)
		bail("not a dump of this version", file[0]);
	file_words = file[2];
	if (file_words < 4 || file_words > WORDS_MAX)
		bail("the file's size", file_words);
	contexts = file[3];
	file_at = 4;
	printf("1..%lu\n", (unsigned long)contexts);
	for (uint64_t i = 1; i <= contexts; i++)
		right &= replay(i);
	if (!contexts || file_at != file_words)
		bail("the file has more than its contexts", file_at);
	printf("# compared with the CPU: %lu\n", (unsigned long)compared);
	return right ? 0 : 1;
}
