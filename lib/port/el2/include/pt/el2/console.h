/* SPDX-License-Identifier: BSD-2-Clause */
/* The image's way out: a PL011 for text, semihosting for arguments and the exit code. */
#ifndef PT_EL2_CONSOLE_H
#define PT_EL2_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where EL2 maps the console from now on; its PA until then, as the loader's table does. No CPU
 * prints meanwhile. */
void pt_el2_console_at(uintptr_t va);

/* One text after the other, whichever CPU they come from; waits for room in the FIFO. */
void pt_el2_print(const char *text);
/* 0x and sixteen digits. */
void pt_el2_print_hex(uint64_t value);

/* What QEMU was given as semihosting arguments, joined by blanks; "" if there is nothing or it does
 * not fit. Semihosting has to be on. */
void pt_el2_cmdline(char *to, size_t size);

/*
 * A file where QEMU runs, emptied, to be written by semihosting; negative: it cannot be opened.
 * Whoever ends QEMU closes it. Writing: false when not all of it went there.
 */
int64_t pt_el2_file_create(const char *path, size_t length); /* of the path, without its NUL */
bool pt_el2_file_write(int64_t file, const void *from, size_t bytes);

/* Ends QEMU with this exit status. */
_Noreturn void pt_el2_exit(unsigned status);

/* What an image defines: entered on the first CPU at EL2 with MMU and caches on; returns the exit
 * status. */
int pt_el2_main(void);

#endif
