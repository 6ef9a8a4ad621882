# SPDX-License-Identifier: BSD-2-Clause
# The core at EL2: lib, its EL2 port and test programs as bare-metal images for QEMU's virt machine. One folder
# under $(B)/el2 for each way to compile: gcc (the reference), lse (gcc, with the atomic instructions of Armv8.1),
# clang (with lld) and checked (gcc, lib/check inside).
EL2_KINDS := gcc lse clang checked
EL2_CROSS := $(filter ccache,$(CC)) aarch64-linux-gnu-gcc
EL2_CLANG := $(filter ccache,$(CC)) clang --target=aarch64-none-elf -fuse-ld=lld -Wno-unused-command-line-argument
EL2_CFLAGS := -std=c11 $(WARN) -g1 -ffreestanding -nostdlib -mgeneral-regs-only -mstrict-align -fno-pic -static \
	-mno-outline-atomics -fno-stack-protector -fno-asynchronous-unwind-tables -MMD -MP $(MUTANT_CFLAGS)
EL2_LDFLAGS := -nostdlib -static -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,max-page-size=65536
EL2_CC_gcc := $(EL2_CROSS) -march=armv8-a
EL2_CC_lse := $(EL2_CROSS) -march=armv8.1-a
EL2_CC_clang := $(EL2_CLANG) -march=armv8-a
EL2_CC_checked := $(EL2_CROSS) -march=armv8-a -DPT_CHECKED
# What is counted and the other compiler are optimised as they would be used; the others show other instructions and
# other events, and compile in two thirds of the time; unit tests, which are all but lib, in less than that by -Og.
EL2_OPT_gcc := -O2
EL2_OPT_lse := -O1
EL2_OPT_clang := -O2
EL2_OPT_checked := -O1
EL2_OPT_UNIT := -Og
EL2_INC := -Ilib/port/el2/include -Ilib/include -Ilib
EL2_TEST_INC := -Itests/el2/include -Iclient/include -Itests $(EL2_INC) -Ilib/port/host/include

EL2_PORT := $(sort $(wildcard lib/port/el2/*.[cS]))
EL2_RUNTIME := tests/el2/libc.c tests/el2/heap.c tests/el2/cmocka.c tests/el2/setjmp.S
# Fixtures of the suites here, and the suites.
EL2_WALKER := lib/port/host/hwwalk.c lib/port/host/hwsyndrome.c
EL2_SHARED := tests/el2/stage2.c tests/el2/own_map.c tests/el2/guest_code.S $(EL2_WALKER)
EL2_SUITE := $(sort $(wildcard tests/el2/test_*.c)) tests/el2/panic.c
# Unit tests of lib: the same sources as on the host, with tests/el2's cmocka.h and libc, and core.c for what their
# fixture opens: memories, failures, and the vCPUs of the host port's model.
EL2_UNIT := $(patsubst %,tests/unit/test_%.c,annotate check claim claim_parties conflict contiguous contiguous_upkeep decode desc digest dirty \
	dirty_changes dirty_edges dirty_steps fault fault_batch geometry hwwalk hyp item outcome owner_audit owner_code owner_extent owner_frame plain point points policy pool read_edges rights \
	tlbi txn_edges txn_fail txn_late txn_owner_bits txn_parties txn_parties_fail txn_range txn_sweep txn_tlb upkeep_age upkeep_edges \
	upkeep_fold upkeep_point upkeep_run upkeep_split vmid walk)
EL2_MODEL := $(addprefix lib/port/host/,access.c adversary.c tlb.c)
EL2_CORE := tests/el2/core.c tests/el2/ram.c $(EL2_MODEL)
EL2_WRAPPED := $(addprefix -Wl$(comma)--wrap=,hw_walk pt_el2_tlbi pt_host_mmu_destroy pt_host_mmu_init pt_pool_get pt_pool_take)
# What tests/el2/replay and tests/el2/worlds boot; the runner of scenarios is the client's.
EL2_REPLAY := tests/el2/replay.c tests/el2/scenario.c
EL2_SCENARIO := $(addprefix tests/el2/scenario_,access.c dump.c memory.c nested.c object.c own.c range.c) \
	$(addprefix client/,guest_tables.c instructions.c scenario_facts.c scenario_load.c scenario_run.c scenario_tables.c)
# The program of a host at EL1, and the image that runs it.
EL2_HOST := $(addsuffix .o,$(addprefix tests/el2/host/,start host main memory guests cpus races recycle exits hostile owner nested nested_cpus nested_owner nested_granules nested_virtual nested_stage1 nested_types guest_hyp guest_virtual count) tests/model/owner tests/model/owner_state)
EL2_HOST_IMAGE := tests/el2/host/el2.o tests/el2/host/lib_calls.o tests/el2/host/program.o tests/el2/own_map.o
EL2_OBJ := $(addsuffix .o,$(basename $(LIB_SRC) $(EL2_PORT) $(EL2_RUNTIME)))
# What no image of these calls: unit tests do, of the reference, and lib/check is called where it is inside.
EL2_LEFT_gcc :=
EL2_LEFT_lse := lib/check/%
EL2_LEFT_clang := $(EL2_LEFT_lse)
EL2_LEFT_checked :=
EL2_ALL_OBJ := $(EL2_OBJ) $(EL2_HOST) $(EL2_HOST_IMAGE) $(addsuffix .o,$(basename $(EL2_SHARED) $(EL2_CORE) $(EL2_SUITE) $(EL2_UNIT) $(EL2_REPLAY) $(EL2_SCENARIO)))
EL2_BIN := $(EL2_SUITE:%.c=%.elf)
# These do the same whichever way the seam is compiled: the reference runs them.
EL2_REFERENCE_BIN := $(patsubst %.c,$(B)/el2/gcc/%.elf,$(EL2_UNIT) $(EL2_REPLAY))
# With PTD_EL2_KIND=checked tests/el2/worlds boots this one.
EL2_REFERENCE_BIN += $(B)/el2/checked/tests/el2/scenario.elf

define EL2_RULES
$(B)/el2/$(1)/%.o: EL2_OPT := $(EL2_OPT_$(1))
$(EL2_UNIT:%.c=$(B)/el2/$(1)/%.o): EL2_OPT := $(EL2_OPT_UNIT)
$(B)/el2/$(1)/lib/%.o: lib/%.c
	$$(call say,CC,$$@)
	$$(Q)mkdir -p $$(@D) && $$(EL2_CC_$(1)) $$(EL2_OPT) $$(EL2_CFLAGS) $$(EL2_INC) -c -o $$@ $$<
$(B)/el2/$(1)/%.o: %.c
	$$(call say,CC,$$@)
	$$(Q)mkdir -p $$(@D) && $$(EL2_CC_$(1)) $$(EL2_OPT) $$(EL2_CFLAGS) $$(EL2_TEST_INC) -c -o $$@ $$<
$(patsubst %.c,$(B)/el2/$(1)/%.o,$(EL2_WALKER) $(EL2_MODEL)): EL2_INC := $(EL2_TEST_INC)
$(B)/el2/$(1)/%.o: %.S
	$$(call say,AS,$$@)
	$$(Q)mkdir -p $$(@D) && $$(EL2_CC_$(1)) -MMD -MP $$(EL2_INC) -c -o $$@ $$<
# A page that is copied to where it runs: nothing of it, such as a table of jumps, may stand elsewhere.
$(B)/el2/$(1)/tests/el2/host/guest_hyp.o: EL2_CFLAGS += -fno-jump-tables $(if $(filter clang,$(1)),,-fno-tree-switch-conversion)
# A loop that fills memory is not to become a call of the function that it stands in.
$(B)/el2/$(1)/lib/port/el2/string.o: EL2_CFLAGS += -fno-builtin $(if $(filter clang,$(1)),,-fno-tree-loop-distribute-patterns)

$(B)/el2/$(1)/libpt.a: $(patsubst %,$(B)/el2/$(1)/%,$(filter-out $(EL2_LEFT_$(1)),$(EL2_OBJ)))
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && $$(AR) rcD $$@ $$^
$(B)/el2/$(1)/tests/%.elf: $(B)/el2/$(1)/tests/%.o $(addprefix $(B)/el2/$(1)/,$(addsuffix .o,$(basename $(EL2_SHARED)))) $(B)/el2/$(1)/libpt.a lib/port/el2/image.lds
	$$(call say,LD,$$@)
	$$(Q)$$(EL2_CC_$(1)) $$(EL2_LDFLAGS) -T lib/port/el2/image.lds -o $$@ $(B)/el2/$(1)/lib/port/el2/start.o \
		$$(filter %.o,$$^) $$(filter %.a,$$^)
$(B)/el2/$(1)/tests/el2/scenario.elf: $(EL2_SCENARIO:%.c=$(B)/el2/$(1)/%.o)
$(B)/el2/$(1)/tests/unit/%.elf: EL2_LDFLAGS += $(EL2_WRAPPED)
$(EL2_UNIT:%.c=$(B)/el2/$(1)/%.elf): $(patsubst %.c,$(B)/el2/$(1)/%.o,$(EL2_CORE))
# The hypervisor with its host: EL2's image holds the host's program, which is linked by itself.
$(B)/el2/$(1)/tests/el2/host/program.elf: $(EL2_HOST:%=$(B)/el2/$(1)/%) $(B)/el2/$(1)/libpt.a tests/el2/host/image.lds
	$$(call say,LD,$$@)
	$$(Q)$$(EL2_CC_$(1)) $$(EL2_LDFLAGS) -T tests/el2/host/image.lds -o $$@ $$(filter %.o %.a,$$^)
$(B)/el2/$(1)/tests/el2/host/program.bin: $(B)/el2/$(1)/tests/el2/host/program.elf
	$$(call say,BIN,$$@)
	$$(Q)aarch64-linux-gnu-objcopy -O binary $$< $$@
$(B)/el2/$(1)/tests/el2/host/program.o: $(B)/el2/$(1)/tests/el2/host/program.bin
$(B)/el2/$(1)/tests/el2/host/program.o: EL2_INC += -DPROGRAM='"$(B)/el2/$(1)/tests/el2/host/program.bin"'
$(B)/el2/$(1)/tests/el2/test_host.elf: $(EL2_HOST_IMAGE:%=$(B)/el2/$(1)/%) $(B)/el2/$(1)/libpt.a lib/port/el2/image.lds
	$$(call say,LD,$$@)
	$$(Q)$$(EL2_CC_$(1)) $$(EL2_LDFLAGS) -T lib/port/el2/image.lds -o $$@ $(B)/el2/$(1)/lib/port/el2/start.o $$(filter %.o %.a,$$^)
-include $(EL2_ALL_OBJ:%.o=$(B)/el2/$(1)/%.d)
endef
$(foreach kind,$(EL2_KINDS),$(eval $(call EL2_RULES,$(kind))))

el2: $(foreach kind,$(EL2_KINDS),$(EL2_BIN:%=$(B)/el2/$(kind)/%) $(B)/el2/$(kind)/tests/el2/test_host.elf) $(EL2_REFERENCE_BIN) #: builds the images for EL2
.PHONY: el2
.SECONDARY: $(foreach kind,$(EL2_KINDS),$(EL2_ALL_OBJ:%=$(B)/el2/$(kind)/%))

el2-check: el2 $(B)/ptd $(B)/ptctl python #: boots the images on all CPU models under QEMU
	$(Q)PTD_BUILD=$(B) tests/el2/run
.PHONY: el2-check
