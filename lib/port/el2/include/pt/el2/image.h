/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the parts of the image stand: symbols of image.lds. All bounds are multiples of 64 KiB. */
#ifndef PT_EL2_IMAGE_H
#define PT_EL2_IMAGE_H

/* The physical address of QEMU's virt machine's memory; its first MiB hold a device tree. */
#define PT_EL2_RAM 0x40000000

#ifndef __ASSEMBLER__
extern unsigned char pt_el2_text[], pt_el2_text_end[];	   /* execute */
extern unsigned char pt_el2_rodata[], pt_el2_rodata_end[]; /* read only */
extern unsigned char pt_el2_guest[], pt_el2_guest_end[];   /* code for EL1 */
extern unsigned char pt_el2_data[], pt_el2_data_end[];	   /* with BSS and stacks */
extern unsigned char pt_el2_end[];			   /* free memory begins */
/* The loader's table: each CPU runs on it from its first instruction with the MMU on. */
extern unsigned char pt_el2_loader_table[], pt_el2_loader_end[];
#endif

#endif
