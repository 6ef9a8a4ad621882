/* SPDX-License-Identifier: BSD-2-Clause */
/* EL2's own map. */
#include "own_map.h"

struct own_map own = {
	.port = {.table_va = (unsigned char *)OWN_POOL,
		 .table_pa = OWN_POOL,
		 .table_bytes = OWN_POOL_BYTES},
	.ram = {PT_EL2_RAM, OWN_RAM_BYTES},
	.uart = {.pa = OWN_UART, .size = 0x1000},
};

static struct pt_hyp_piece piece(const unsigned char *from, const unsigned char *to, uint32_t prot)
{
	return (struct pt_hyp_piece){(uintptr_t)from, (uintptr_t)(to - from), prot};
}

/* Nothing is printed between the two. */
static void switch_first(void *arg, const struct pt_hyp *map)
{
	pt_el2_switch(arg, map);
	pt_el2_console_at(own.uart.va);
}

enum pt_outcome own_boot(void)
{
	uint8_t pa_bits = pt_el2_features.pa_bits < 48 ? pt_el2_features.pa_bits : 48;
	struct pt_hyp_plan plan = {
		.args = {.port = &own.port, .granule_shift = 12, .va_bits = 48, .pa_bits = pa_bits},
		.region = &own.ram,
		.regions = 1,
		.image = own.image,
		.pieces = pt_el2_guest_end - pt_el2_guest ? 4 : 3,
		.pool = {OWN_POOL, OWN_POOL_BYTES},
		.loader = {(uintptr_t)pt_el2_loader_table,
			   (uintptr_t)(pt_el2_loader_end - pt_el2_loader_table)},
		.idmap = (uintptr_t)pt_el2_switch_code & ~UINT64_C(0xfff),
		.private_va = UINT64_C(1) << 40,
		.private_size = PT_SZ_1G,
		.frames_va = UINT64_C(1) << 41,
		.cpu = own.cpu,
		.cpus = OWN_CPUS,
		.data_bytes = 0x1000,
		.stack_bytes = 0x4000,
		.device = &own.uart,
		.devices = 1,
		.switch_map = switch_first,
	};

	own.image[0] = piece(pt_el2_text, pt_el2_text_end, PT_PROT_R | PT_PROT_X);
	own.image[3] = piece(pt_el2_guest, pt_el2_guest_end, PT_PROT_R);
	own.image[1] = piece(pt_el2_rodata, pt_el2_rodata_end, PT_PROT_R);
	own.image[2] = piece(pt_el2_data, pt_el2_data_end, PT_PROT_RW);
	own.port.memory_pa = (uintptr_t)pt_el2_text;
	own.port.memory_bytes = (uintptr_t)(pt_el2_end - pt_el2_text);
	return pt_hyp_boot(&own.space, &own.world, &own.agent[0], &plan, &own.returned);
}
