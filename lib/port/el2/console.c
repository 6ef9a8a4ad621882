/* SPDX-License-Identifier: BSD-2-Clause */
/* A PL011 as QEMU's virt machine has it, and semihosting (Arm's "Semihosting for AArch32 and
 * AArch64"). */
#include <pt/el2/console.h>

#include <pt/platform.h>

#define UART	  UINT64_C(0x09000000)
#define UART_DR	  0x00
#define UART_FR	  0x18
#define UART_FULL 0x20

#define SYS_OPEN	 0x01
#define SYS_WRITE	 0x05
#define SYS_GET_CMDLINE	 0x15
#define SYS_EXIT	 0x18
#define APPLICATION_EXIT 0x20026
#define OPEN_WB		 5 /* as fopen() with "wb" */

static uintptr_t base = UART;

static volatile uint32_t *uart(unsigned offset)
{
	return (volatile uint32_t *)(base + offset);
}

void pt_el2_console_at(uintptr_t va)
{
	base = va;
}

void pt_el2_print(const char *text)
{
	for (; *text; text++) {
		while (*uart(UART_FR) & UART_FULL)
			continue;
		*uart(UART_DR) = (unsigned char)*text;
	}
}

void pt_el2_print_hex(uint64_t value)
{
	char text[] = "0x0000000000000000";

	for (unsigned i = 17; i > 1; i--, value >>= 4)
		text[i] = "0123456789abcdef"[value & 0xf];
	pt_el2_print(text);
}

static uint64_t semihosting(uint64_t operation, void *block)
{
	register uint64_t x0 __asm__("x0") = operation;
	register void *x1 __asm__("x1") = block;

	__asm__ volatile("hlt #0xf000" : "+r"(x0) : "r"(x1) : "memory");
	return x0;
}

void pt_el2_cmdline(char *to, size_t size)
{
	struct {
		char *to;
		size_t size;
	} block = {to, size - 1};

	to[0] = 0;
	if (semihosting(SYS_GET_CMDLINE, &block))
		to[0] = 0;
	to[size - 1] = 0;
}

int64_t pt_el2_file_create(const char *path, size_t length)
{
	uint64_t block[3] = {(uintptr_t)path, OPEN_WB, length};

	return (int64_t)semihosting(SYS_OPEN, block);
}

/* SYS_WRITE returns how many bytes are left. */
bool pt_el2_file_write(int64_t file, const void *from, size_t bytes)
{
	uint64_t block[3] = {(uint64_t)file, (uintptr_t)from, bytes};

	return !semihosting(SYS_WRITE, block);
}

void pt_el2_exit(unsigned status)
{
	uint64_t block[2] = {APPLICATION_EXIT, status};

	for (;;)
		semihosting(SYS_EXIT, block);
}
