# SPDX-License-Identifier: BSD-2-Clause
# Unit tests: each tests/unit/test_*.c is one cmocka program linked with libpt.
UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(B)/tests/unit/%)

$(B)/tests/unit/%: tests/unit/%.c $(B)/libpt.a
	$(call say,CCLD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(HOST_DEFS) $(LIB_INC) -Itests -o $@ $< $(B)/libpt.a \
		$(LDFLAGS_ALL) -lcmocka $(LIBPT_LIBS)

unit: $(UNIT_BIN)
	$(Q)for t in $(UNIT_BIN); do CMOCKA_MESSAGE_OUTPUT=stdout $$t > $$t.log 2>&1 && echo "ok $$t" || { cat $$t.log; echo "FAILED $$t"; exit 1; }; done
.PHONY: unit
-include $(UNIT_BIN:=.d)
