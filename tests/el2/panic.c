/* SPDX-License-Identifier: BSD-2-Clause */
/* An image that takes an exception at EL2: a store to an address that the loader's table does not
 * map. */
#include <stdint.h>

int main(void);

int main(void)
{
	register uint64_t at __asm__("x1") = UINT64_C(8) << 40 | 8;

	__asm__ volatile("mov x19, #0x1919\n\tmov x30, #0x3030\n\tstr xzr, [%0]" ::"r"(at)
			 : "x19", "x30", "memory");
	return 0;
}
