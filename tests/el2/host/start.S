/* SPDX-License-Identifier: BSD-2-Clause */
/* The host at EL1: its first instructions, its stage 1, its vectors; and what its guests execute. */
#include "port/el2/vector.inc"
#include "../guest.inc"
#include "shape.h"

#define MAIR_VALUE  0x04ff     /* 0: Normal write-back, 1: Device-nGnRE */
#define TCR_VALUE   0x00803519 /* 39 bits, 4K, write-back, inner shareable; no TTBR1; 4 GiB of PA */
#define SCTLR_VALUE 0x30d0180d /* RES1; I, SA, C, M */
#define MAGIC       0x70726f62

	.section .text.host_start, "ax"
	.global host_start
host_start: /* x0: 0, or the struct host_cpu of a CPU that CPU_ON starts */
	adrp	x1, host_stage1
	msr	ttbr0_el1, x1
	ldr	x1, =MAIR_VALUE
	msr	mair_el1, x1
	ldr	x1, =TCR_VALUE
	msr	tcr_el1, x1
	adr	x1, vectors
	msr	vbar_el1, x1
	isb
	tlbi	vmalle1
	dsb	nsh
	ldr	x1, =SCTLR_VALUE
	msr	sctlr_el1, x1
	isb
	address	x1, host_cpus
	cmp	x0, #0
	csel	x0, x1, x0, eq
	msr	tpidr_el1, x0
	add	x1, x0, #HOST_CPU_BYTES
	mov	sp, x1
	mov	x29, xzr
	mov	x30, xzr
	b	host_go

	.macro from offset, interrupts /* synchronous, IRQ, FIQ, SError */
	.balign 0x80
	mov	x16, #\offset
	b	aborted
	.balign 0x80
	.if	\interrupts
	save_volatile
	mov	w0, #0
	b	interrupted
	.balign 0x80
	save_volatile
	mov	w0, #1
	b	interrupted
	.else
	b	die
	.balign 0x80
	b	die
	.endif
	.balign 0x80
	b	die
	.endm

	.balign 2048
vectors:
	from	0x000, 0
	from	0x200, 1
	from	0x400, 0
	from	0x600, 0
	.balign 0x80

interrupted:
	bl	host_interrupt
	restore_volatile
	eret

aborted: /* an exception of a probe, which goes on where it was called from, at EL1h. The state it
	  * begins in: above the vector, as in SPSR */
	mrs	x15, nzcv
	orr	x16, x16, x15, lsl #32
	mrs	x15, daif
	orr	x16, x16, x15, lsl #32
	mrs	x15, id_aa64mmfr1_el1
	ubfx	x15, x15, #20, #4
	cbz	x15, 1f
	mrs	x15, S3_0_C4_C2_3 /* PAN */
	orr	x16, x16, x15, lsl #32
1:	ldr	x15, =MAGIC
	cmp	x15, x17
	b.ne	die
	mrs	x17, tpidr_el1
	mrs	x15, esr_el1
	str	x15, [x17, #HOST_CPU_ESR]
	mrs	x15, far_el1
	str	x15, [x17, #HOST_CPU_FAR]
	mrs	x15, elr_el1
	stp	x16, x15, [x17, #HOST_CPU_WHERE]
	mrs	x15, spsr_el1
	str	x15, [x17, #HOST_CPU_WHERE + 16]
	msr	elr_el1, x30
	mov	x15, #0x3c5
	msr	spsr_el1, x15
	mov	x17, xzr
	eret

die:
	mrs	x0, esr_el1
	mrs	x1, elr_el1
	mrs	x2, far_el1
	b	host_die

	.text
function host_probe_load /* each returns after its access, or at once where that aborts */
	ldr	x17, =MAGIC
	ldr	x0, [x0]
	ret
function host_probe_store
	ldr	x17, =MAGIC
	str	x1, [x0]
	ret
function host_probe_exec
	ldr	x17, =MAGIC
	br	x0
function host_probe_undefined
	ldr	x17, =MAGIC
	mrs	x0, vttbr_el2
	ret
function host_probe_at
	ldr	x17, =MAGIC
	msr	spsr_el1, x2
	msr	elr_el1, x3
	eret
function code_load
	ldr	x0, [x0]
	svc	#0
function code_store
	str	x1, [x0]
	svc	#0
function code_hvc
	hvc	#0
	svc	#0
function code_smc
	smc	#0
	svc	#0
function code_load_a32
	.inst	0xe5900000 /* ldr r0, [r0] */
	.inst	0xef000000 /* svc #0 */
function code_store_a32
	.inst	0xe5801000 /* str r1, [r0] */
	.inst	0xef000000
function code_hvc_a32
	.inst	0xe1400070 /* hvc #0 */
	.inst	0xef000000
function code_load_t32
	.inst	0xdf006800 /* ldr r0, [r0]; svc #0 */
function code_store_t32
	.inst	0xdf006001 /* str r1, [r0]; svc #0 */

	.section .data.stage1, "aw"
	.balign 4096
	.global host_stage1
host_stage1: /* a GiB an entry: devices, memory. Devices may be executed as far as this stage goes,
	 * and not written by EL0: what that may write EL1 does not execute */
	.quad	0x405
	.quad	0x40000000 + 0x701
	.quad	0x40000000 + 0x741 /* for EL0 */
	.fill	509, 8, 0

	/* The guests' code, position independent: a page. EXIT hands x1 to the host. */
	.section .data.guest_code, "aw"
	.macro leave
	mov	w0, #0x000f
	movk	w0, #0xc600, lsl #16
	hvc	#0
	.endm
	.balign 4096
	.global guest_code
guest_code:
function guest_sum
	sum_pages
	mov	x1, x9
	leave
	b	guest_sum
function guest_load /* (address), again and again as the host says in x1 */
	ldr	x1, [x0]
	mov	x5, x0
	leave
	mov	x0, x5
	b	guest_load
function guest_spin /* (address, times, another): says so at the other, then loads or stores */
	mov	x3, #1
	str	x3, [x2]
	cbnz	x4, 2f
1:	ldr	x3, [x0]
	subs	x1, x1, #1
	b.ne	1b
	leave
2:	str	x3, [x0]
	subs	x1, x1, #1
	b.ne	2b
	leave
function guest_store
	str	x1, [x0]
	leave
function guest_float
	fmov	d0, x0
	leave
function guest_wait
	wfi
	leave
function guest_call /* any function: its answer, x0 and x1 */
	hvc	#0
	mov	x2, x1
	mov	x1, x0
	leave
function guest_secure
	smc	#0
	leave
	.macro trapped name, insn:vararg
	function guest_\name
	\insn
	leave
	.endm
	trapped	counter, mrs x1, cntpct_el0
	trapped	timer, mrs x1, cntp_ctl_el0
	trapped	pmu, mrs x1, pmcr_el0
	trapped	cycles, mrs x1, pmccntr_el0
	trapped	debug, mrs x1, mdscr_el1
	trapped	breakpoint, mrs x1, dbgbvr0_el1
	trapped	os_lock, msr oslar_el1, x1
	trapped	auxiliary, mrs x1, actlr_el1
	trapped	set_way, dc isw, x1
	trapped	gic_common, mrs x1, S3_0_C4_C6_0 /* ICC_PMR_EL1 */
	trapped	gic_group0, mrs x1, S3_0_C12_C12_6 /* ICC_IGRPEN0_EL1 */
	trapped	gic_group1, mrs x1, S3_0_C12_C12_7 /* ICC_IGRPEN1_EL1 */
	trapped	gic_sgi, msr S3_0_C12_C11_5, x1 /* ICC_SGI1R_EL1 */
	trapped	errors, mrs x1, S3_0_C5_C3_0 /* ERRIDR_EL1 */
#define TO(reg, n, mask)   msr reg, x##n;
#define FROM(reg, n, mask) mrs x##n, reg;
function guest_write_registers
	GUEST_REGISTERS(TO)
	isb
	leave
function guest_read_registers
	GUEST_REGISTERS(FROM)
	leave
function guest_mode
	mrs	x1, CurrentEL
	leave
function guest_held /* (address, times): until something stands there; how many times were left */
	ldr	x3, [x0]
	cbnz	x3, 1f
	subs	x1, x1, #1
	b.ne	guest_held
1:	leave
function guest_load_user /* (address), at EL0: then to its own EL1 */
	ldr	x0, [x0]
	svc	#0
function guest_load_a32
	.inst	0xe5900000
	.inst	0xef000000
function guest_hvc_user
	hvc	#0

	.balign 2048 /* its vectors */
	.set	vector_at, 0
	.rept	16
	.balign 0x80
	mov	x1, #vector_at
	leave
	.set	vector_at, vector_at + 0x80
	.endr
	.balign 4096
