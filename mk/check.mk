# SPDX-License-Identifier: BSD-2-Clause
# The runtime checker: the core's unit tests once more, over a lib whose seam feeds lib/check.
CHECKED_UNIT := $(sort $(wildcard $(patsubst %,tests/unit/test_%*.c,claim contiguous dirty fault item seam steps annotate rights model point policy pool section slot txn \
	upkeep vcpu vmid walk digest)))
CHECKED_UNIT_BIN := $(CHECKED_UNIT:%.c=$(B)/checked/%)

$(B)/checked/libpt.a: $(CHECKED_LIB_OBJ) $(HOST_SRC:%.c=$(B)/checked/%.o)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcD $@ $^

$(B)/checked/tests/unit/%: tests/unit/%.c $(B)/checked/libpt.a
	$(call say,CCLD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(HOST_DEFS) -DPT_CHECKED $(LIB_INC) -Itests -o $@ $< \
		$(B)/checked/libpt.a $(LDFLAGS_ALL) -lcmocka $(LIBPT_LIBS)

# tests/checker: programs of events against lib/check alone; the core with each finding a failure.
$(B)/tests/checker/test_programs: $(addprefix tests/checker/,test_programs.c world.c value.c) $(B)/libpt.a
	$(call say,CCLD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(HOST_DEFS) $(LIB_INC) -Itests/checker -o $@ $(filter %.c,$^) $(B)/libpt.a \
		$(LDFLAGS_ALL) -lcmocka

$(B)/tests/checker/test_core: $(addprefix tests/checker/,test_core.c beside.c) $(B)/checked/libpt.a
	$(call say,CCLD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(HOST_DEFS) -DPT_CHECKED $(LIB_INC) -Itests -o $@ $(filter %.c,$^) \
		$(B)/checked/libpt.a $(LDFLAGS_ALL) -lcmocka $(LIBPT_LIBS)
CHECKER_BIN := $(B)/tests/checker/test_programs $(B)/tests/checker/test_core

checked: $(CHECKED_UNIT_BIN) $(CHECKER_BIN) #: builds the core's unit tests with the runtime checker
tests: checked
.PHONY: checked
-include $(CHECKED_UNIT_BIN:=.d) $(CHECKER_BIN:=.d)
