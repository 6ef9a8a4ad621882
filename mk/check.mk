# SPDX-License-Identifier: BSD-2-Clause
# The runtime checker: the tests of the core and of the domain once more, over a lib whose seam feeds lib/check.
# make check runs them so with sanitizers, and without only those whose threads race.
CHECKED_UNIT := $(sort $(wildcard $(patsubst %,tests/unit/test_%*.c,claim conflict contiguous dirty domain fault guest_tlbi hv hyp item lending owner nested seam steps annotate rights model point \
	policy pool section slot transfer txn upkeep vcpu vmid walk digest)))
CHECKED_UNIT_BIN := $(CHECKED_UNIT:%.c=$(B)/checked/%)
RACING_BIN := $(addprefix $(B)/checked/tests/unit/,test_txn_threads test_dirty_threads test_teardown_threads)

# What watches keeps its memory in one mapping, where AddressSanitizer sees nothing and costs half the time of a
# run; UBSan stays.
WATCHES := $(filter lib/check/%,$(LIB_SRC)) $(addprefix lib/port/host/,checked.c trace.c)
$(WATCHES:%.c=$(B)/%.o) $(filter $(WATCHES:%.c=$(B)/checked/%.o),$(CHECKED_OBJ)): CFLAGS_ALL += $(if $(findstring address,$(SAN)),-fno-sanitize=address -O2)
# No fuzz target is linked with these, and nobody installs them.
$(filter $(B)/iv/%,$(IV_OBJ)) $(filter $(B)/checked/%,$(CHECKED_OBJ)) $(filter $(B)/sim/%,$(SIM_OBJ)) $(BELOW_SEAM_OBJ) $(ORACLE_OBJ): CFLAGS_ALL += $(LINES) $(UNFUZZED)

$(B)/checked/libpt.a: $(CHECKED_LIB_OBJ) $(BELOW_SEAM_OBJ) $(HOST_SRC:%.c=$(B)/checked/%.o)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcD $@ $^

$(B)/checked/tests/unit/%: tests/unit/%.c $(B)/checked/libpt.a
	$(call say,CCLD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(TEST_OPT) $(HOST_DEFS) -DPT_CHECKED $(LIB_INC) -Itests -o $@ $< \
		$(B)/checked/libpt.a $(LDFLAGS_ALL) -lcmocka $(LIBPT_LIBS)

$(B)/checked/libcore.a: $(CHECKED_CORE_OBJ) $(FDS_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcD $@ $^

$(B)/checked/tests/unit/test_domain_%: tests/unit/test_domain_%.c $(B)/checked/libcore.a $(B)/libproto.a $(B)/checked/libpt.a
	$(call say,CCLD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(TEST_OPT) $(HOST_DEFS) -DPT_CHECKED $(DAEMON_INC) -Itests -o $@ $(filter %.c,$^) $(filter %.a,$^) \
		$(LDFLAGS_ALL) -lcmocka $(CORE_LIBS)

# tests/checker: programs of events against lib/check alone; the core with each finding a failure.
$(B)/tests/checker/test_programs: $(addprefix tests/checker/,test_programs.c world.c words_agent.c words_table.c words_tlb.c words_owner.c words_nested.c value.c) $(B)/libpt.a
	$(call say,CCLD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(HOST_DEFS) $(LIB_INC) -Itests/checker -o $@ $(filter %.c,$^) $(B)/libpt.a \
		$(LDFLAGS_ALL) -lcmocka

$(B)/tests/checker/test_core: $(addprefix tests/checker/,test_core.c beside.c owners.c shadows.c) $(B)/checked/libpt.a
	$(call say,CCLD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(UNFUZZED) $(HOST_DEFS) -DPT_CHECKED $(LIB_INC) -Itests -o $@ $(filter %.c,$^) \
		$(B)/checked/libpt.a $(LDFLAGS_ALL) -lcmocka $(LIBPT_LIBS)

# A program that breaks a rule, and one that plays the trace of such a one again.
$(B)/tests/checker/breaks: tests/checker/breaks.c $(B)/checked/libpt.a
	$(call say,CCLD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(UNFUZZED) $(HOST_DEFS) -DPT_CHECKED $(LIB_INC) -Itests -o $@ $< \
		$(B)/checked/libpt.a $(LDFLAGS_ALL) -lcmocka $(LIBPT_LIBS)

$(B)/tests/checker/replay: tests/checker/replay.c $(B)/libpt.a
	$(call say,CCLD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(LIB_INC) -Ilib/port/host -o $@ $< $(B)/libpt.a $(LDFLAGS_ALL) $(LIBPT_LIBS)

CHECKER_BIN := $(addprefix $(B)/tests/checker/,test_programs test_core breaks replay)

checked: $(RACING_BIN) $(CHECKER_BIN) #: builds the checker's tests, and tests whose threads race over it
checked-core: $(CHECKED_UNIT_BIN) #: builds the tests of core and domain over the checker
tests: checked
.PHONY: checked checked-core
-include $(CHECKED_UNIT_BIN:=.d) $(CHECKER_BIN:=.d)
