# SPDX-License-Identifier: BSD-2-Clause
# libpt: the freestanding core, and its host port.
LIB_SRC := $(sort $(wildcard lib/base/*.c lib/arch/*.c lib/pool/*.c lib/walk/*.c lib/txn/*.c lib/s2/*.c \
	lib/owner/*.c lib/dirty/*.c lib/nested/*.c lib/hyp/*.c lib/hv/*.c lib/check/*.c))
HOST_SRC := $(sort $(wildcard lib/port/host/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)
HOST_OBJ := $(HOST_SRC:%.c=$(B)/%.o)
# Only lib/port/host sees libc and liburcu; the rest is built as it would be for bare metal.
# Functions begin with a cache line, so that what stands before them does not move their loops over its edges: a page of
# a batch took 8 % more for that.
$(LIB_OBJ): CFLAGS_ALL += -ffreestanding -Ilib -falign-functions=64
$(HOST_OBJ): CFLAGS_ALL += $(HOST_DEFS)

$(B)/lib/%.o: lib/%.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(LIB_INC) -c -o $@ $<

$(B)/libpt.a: $(LIB_OBJ) $(HOST_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcD $@ $^
LIBPT_LIBS := -lurcu-qsbr -lurcu-cds -lurcu-common -lpthread

lib: $(B)/libpt.a
.PHONY: lib
-include $(LIB_OBJ:.o=.d) $(HOST_OBJ:.o=.d)
