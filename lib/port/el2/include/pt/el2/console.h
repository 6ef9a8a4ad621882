/* SPDX-License-Identifier: BSD-2-Clause */
/* The image's way out: a PL011 for text, semihosting for arguments and the exit code. */
#ifndef PT_EL2_CONSOLE_H
#define PT_EL2_CONSOLE_H

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

/* Ends QEMU with this exit status. */
_Noreturn void pt_el2_exit(unsigned status);

/* What an image defines: entered on the first CPU at EL2 with MMU and caches on; returns the exit
 * status. */
int pt_el2_main(void);

#endif
