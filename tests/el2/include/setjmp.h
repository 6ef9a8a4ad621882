/* SPDX-License-Identifier: BSD-2-Clause */
/* setjmp of the image: x19 to x30 and SP. */
#ifndef EL2_SETJMP_H
#define EL2_SETJMP_H

typedef unsigned long jmp_buf[14];

int setjmp(jmp_buf env) __attribute__((returns_twice));
_Noreturn void longjmp(jmp_buf env, int value);

#endif
