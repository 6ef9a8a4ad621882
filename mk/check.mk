# SPDX-License-Identifier: BSD-2-Clause
# The runtime checker: the core's unit tests once more, over a lib whose seam feeds lib/check.
CHECKED_UNIT := $(addprefix test_,claim fault model pool txn_range txn_fail txn_tlb txn_threads vcpu walk digest \
	steps upkeep_age upkeep_split upkeep_fold rights annotate policy seam)
CHECKED_UNIT_BIN := $(foreach t,$(CHECKED_UNIT),$(if $(wildcard tests/unit/$(t).c),$(B)/checked/tests/unit/$(t)))

$(B)/checked/libpt.a: $(CHECKED_LIB_OBJ) $(HOST_SRC:%.c=$(B)/checked/%.o)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcD $@ $^

$(B)/checked/tests/unit/%: tests/unit/%.c $(B)/checked/libpt.a
	$(call say,CCLD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(HOST_DEFS) -DPT_CHECKED $(LIB_INC) -Itests -o $@ $< \
		$(B)/checked/libpt.a $(LDFLAGS_ALL) -lcmocka $(LIBPT_LIBS)

checked: $(CHECKED_UNIT_BIN) #: builds the core's unit tests with the runtime checker
tests: checked
.PHONY: checked
-include $(CHECKED_UNIT_BIN:=.d)
