# SPDX-License-Identifier: BSD-2-Clause
# Unit tests: each tests/unit/test_*.c is one cmocka program linked with libpt. Fragments of daemon and client
# give their own tests more to link with, by a rule of their own.
# test_seam* read the events of checked builds, or need what only these have (mk/check.mk).
UNIT_SRC := $(filter-out $(if $(findstring PT_CHECKED,$(CFLAGS)),,tests/unit/test_seam%.c),$(sort $(wildcard tests/unit/test_*.c)))
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(B)/tests/unit/%)

$(B)/tests/unit/%: tests/unit/%.c $(B)/libpt.a
	$(call say,CCLD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(TEST_OPT) $(HOST_DEFS) $(LIB_INC) -Itests -o $@ $< $(B)/libpt.a \
		$(LDFLAGS_ALL) -lcmocka $(LIBPT_LIBS)

tests: $(UNIT_BIN) #: builds the test programs
.PHONY: tests
-include $(UNIT_BIN:=.d)
