# SPDX-License-Identifier: BSD-2-Clause
# Interleavings: lib compiled again with each access to shared memory as a point where another agent may go on.
IV_TEST := $(sort $(wildcard tests/interleave/test_*.c))
IV_SRC := $(filter-out $(IV_TEST),$(sort $(wildcard tests/interleave/*.c)))
# lib/check is below the seam, and has no atomics.
IV_OBJ := $(IV_SRC:%.c=$(B)/iv/%.o) $(patsubst %.c,$(B)/iv/%.o,$(filter-out lib/check/%,$(LIB_SRC))) $(BELOW_SEAM_OBJ)
IV_BIN := $(IV_TEST:%.c=$(B)/%)
IV_INC := -Itests/interleave/port -Ilib/include -Ilib/port/host/include
IV_SHIM := -include tests/interleave/atomics.h -Itests/interleave
# As are functions of its headers, where the operations call them.
$(LIB_SRC:%.c=$(B)/iv/%.o) $(B)/iv/tests/interleave/ops.o $(B)/iv/tests/interleave/shadow.o: IV_FLAGS := $(IV_SHIM)

$(B)/iv/%.o: %.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(HOST_DEFS) -DPT_CHECKED $(IV_FLAGS) $(IV_INC) -Ilib -c -o $@ $<

$(IV_BIN): $(B)/%: $(B)/iv/%.o $(IV_OBJ) $(B)/lib/port/host/failpoint.o $(B)/lib/port/host/trace.o
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) -o $@ $^ $(LDFLAGS_ALL) -lcmocka

interleave: $(IV_BIN) #: builds the interleaving explorer
# Its stacks are not those that a sanitizer expects.
ifeq ($(SAN),)
tests: interleave
endif
.PHONY: interleave
-include $(IV_OBJ:.o=.d) $(IV_TEST:%.c=$(B)/iv/%.d)
