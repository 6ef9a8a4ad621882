/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fibres: a stack each, made once by makecontext() and switched by _setjmp() and _longjmp(), which
 * cost no system call. A restart goes back to the frame at the bottom of the stack.
 */
#include "iv.h"

#include <setjmp.h>
#include <stdlib.h>
#include <ucontext.h>

#define STACK_BYTES (64 * 1024)
#define FRAME	    1024

static struct {
	jmp_buf bottom, at;
	unsigned char *low; /* of its stack, from here on is in use */
	bool fresh;
	ucontext_t first;
} fibre[IV_FIBRES + 1] IV_RUN;
static _Alignas(16) unsigned char stack[IV_FIBRES][STACK_BYTES];
static ucontext_t maker;
static void (*fibre_body)(unsigned id);

static void bottom(unsigned id)
{
	if (!_setjmp(fibre[id].bottom))
		setcontext(&maker);
	fibre_body(id);
	abort();
}

void iv_fibres_make(void (*body)(unsigned id))
{
	fibre_body = body;
	for (volatile unsigned i = 0; i < IV_FIBRES; i++) {
		ucontext_t *c = &fibre[i].first;

		getcontext(c);
		c->uc_stack.ss_sp = stack[i];
		c->uc_stack.ss_size = STACK_BYTES;
		makecontext(c, (void (*)(void))(void *)bottom, 1, i);
		swapcontext(&maker, c);
		fibre[i].fresh = true;
	}
}

void iv_fibre_restart(unsigned id)
{
	fibre[id].fresh = true;
}

/* What a function that is called from here may overwrite is below. */
static void note_stack(unsigned id, void *frame)
{
	fibre[id].low = (unsigned char *)frame - FRAME;
}

void *iv_fibre_stack(unsigned id)
{
	return fibre[id].fresh ? stack[id] + STACK_BYTES : fibre[id].low;
}

size_t iv_fibre_stack_used(unsigned id)
{
	return (size_t)(stack[id] + STACK_BYTES - (unsigned char *)iv_fibre_stack(id));
}

void iv_fibre_switch(unsigned from, unsigned to)
{
	note_stack(from, __builtin_frame_address(0));
	if (_setjmp(fibre[from].at))
		return;
	if (!fibre[to].fresh)
		_longjmp(fibre[to].at, 1);
	fibre[to].fresh = false;
	_longjmp(fibre[to].bottom, 1);
}
