/* SPDX-License-Identifier: BSD-2-Clause */
/* EL2 on a map, a pool and a frame table of its own, as images boot onto it. */
#ifndef TESTS_EL2_OWN_MAP_H
#define TESTS_EL2_OWN_MAP_H

#include <pt/el2/console.h>
#include <pt/el2/feature.h>
#include <pt/el2/image.h>
#include <pt/el2/switch.h>
#include <pt/hyp_boot.h>

#define OWN_RAM_BYTES  (UINT64_C(512) << 20)
#define OWN_POOL       UINT64_C(0x48000000)
#define OWN_POOL_BYTES (UINT64_C(16) << 20)
#define OWN_UART       UINT64_C(0x09000000)
#define OWN_CPUS       4

struct own_map {
	struct pt_port port;
	struct pt_hyp_region ram;
	struct pt_hyp_piece image[4]; /* text, read-only data, data; EL1's code if there is any */
	struct pt_hyp_device uart;
	struct pt_hyp_cpu cpu[OWN_CPUS];
	struct pt_hyp_space space;
	struct pt_world world;
	struct pt_agent agent[OWN_CPUS]; /* the first has joined */
	struct pt_hyp_region returned;
};
extern struct own_map own;

/* pt_hyp_boot() on the first CPU. Others that are to run later are on before. */
enum pt_outcome own_boot(void);

#endif
