/* SPDX-License-Identifier: BSD-2-Clause */
/* Cache maintenance by address, and zeroing. Arm ARM B2.8, C5.3; KVM: kvm_flush_dcache_to_poc(),
 * invalidate_icache_guest_page(). */
#include <pt/platform.h>

#include <pt/el2/feature.h>
#include <pt/el2/sysreg.h>

#include "internal.h"

/* The part of [pa, pa + size) that EL2 maps, as its own addresses. What it does not map it has no
 * lines of, but for speculation, which stays inside the map, too. */
static bool reachable(const struct pt_port *port, uint64_t pa, uint64_t size, uintptr_t *from,
		      uintptr_t *to)
{
	uint64_t last = pa + size - 1, memory_last = port->memory_pa + port->memory_bytes - 1;

	if (!size || !port->memory_bytes || last < port->memory_pa || pa > memory_last)
		return false;
	*from = (pa > port->memory_pa ? pa : port->memory_pa) + port->memory_offset;
	*to = (last < memory_last ? last : memory_last) + port->memory_offset;
	return true;
}

void pt__el2_clean_inval(uintptr_t at, uintptr_t last)
{
	uintptr_t line = pt_el2_features.dline;

	for (at &= ~(line - 1); at <= last; at += line)
		__asm__ volatile("dc civac, %0" ::"r"(at) : "memory");
	__asm__ volatile("dsb sy" ::: "memory");
}

void pt_el2_dcache_clean_inval_poc(const struct pt_port *port, uint64_t pa, uint64_t size)
{
	uintptr_t at, to;

	if (reachable(port, pa, size, &at, &to))
		pt__el2_clean_inval(at, to);
}

static void clean_to_pou(uintptr_t at, uintptr_t to)
{
	uintptr_t line = pt_el2_features.dline;

	for (at &= ~(line - 1); at <= to; at += line)
		__asm__ volatile("dc cvau, %0" ::"r"(at) : "memory");
	pt_el2_dsb_ish();
}

/* One that is not physically indexed may hold the line under other addresses, which are the
 * guest's: then all of it. */
static void invalidate_instructions(uintptr_t at, uintptr_t to)
{
	uintptr_t line = pt_el2_features.iline;

	if (!pt_el2_features.ipipt)
		__asm__ volatile("ic ialluis" ::: "memory");
	else
		for (at &= ~(line - 1); at <= to; at += line)
			__asm__ volatile("ic ivau, %0" ::"r"(at) : "memory");
	pt_el2_dsb_ish();
}

void pt_el2_icache_inval_pou(const struct pt_port *port, uint64_t pa, uint64_t size)
{
	uintptr_t from, to;

	if (!reachable(port, pa, size, &from, &to))
		return;
	if (!pt_el2_features.idc)
		clean_to_pou(from, to);
	if (!pt_el2_features.dic)
		invalidate_instructions(from, to);
	pt_el2_isb();
}

/* DC ZVA needs Normal memory, which is all that EL2 maps but for devices. */
void pt_port_zero(void *at, size_t bytes)
{
	size_t block = pt_el2_features.zva;
	unsigned char *byte = at, *end = byte + bytes;

	pt_port_note(PT_EVENT_ZERO, 0, at, NULL, bytes, 0);
	if (block && !((uintptr_t)at % block) && !(bytes % block)) {
		for (; byte < end; byte += block)
			__asm__ volatile("dc zva, %0" ::"r"(byte) : "memory");
		return;
	}
	__builtin_memset(at, 0, bytes);
}
