# SPDX-License-Identifier: BSD-2-Clause
# Allocation failure (tests/alloc): the core with its allocators wrapped by the linker.
ALLOC_SRC := tests/alloc/sweep.c tests/alloc/hook.c tests/alloc/script.c tests/alloc/script_owners.c tests/alloc/wire.c
ALLOC_OBJ := $(ALLOC_SRC:%.c=$(B)/%.o)
ALLOC_WRAP := malloc calloc realloc aligned_alloc free slab_alloc slab_resize arena_alloc arena_init session_memory mmap memfd_create
comma := ,

$(B)/tests/alloc/%.o: tests/alloc/%.c $(B)/gen/.stamp
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(HOST_DEFS) $(DAEMON_INC) -c -o $@ $<

$(B)/tests/alloc/sweep: $(ALLOC_OBJ) $(B)/tests/fuzz/rcu.o $(B)/libcore.a $(B)/libproto.a $(B)/libpt.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_ALL) $(ALLOC_WRAP:%=-Wl$(comma)--wrap=%) -o $@ $^ $(LDFLAGS_ALL) -lcmocka $(CORE_LIBS)

tests: $(B)/tests/alloc/sweep
-include $(ALLOC_OBJ:.o=.d)

# The daemon itself, whose whole process allocates through tests/alloc/process.c.
$(B)/ptd-alloc: $(B)/tests/alloc/process.o $(DRIVER_OBJ) $(B)/libcore.a $(B)/libproto.a $(B)/libpt.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -o $@ $^ $(LDFLAGS_ALL) $(DAEMON_LIBS)

ifeq ($(SAN),)
tests: $(B)/ptd-alloc
endif
