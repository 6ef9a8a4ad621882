# SPDX-License-Identifier: BSD-2-Clause
# Scenarios, dumps and decoding: their unit tests; the demo.
SCENARIO_SRC := $(filter-out client/scenario_rpc% client/scenario_cmd.c,$(sort $(wildcard client/scenario_*.c)))
SCENARIO_SRC += client/dump_kernel.c client/dump_tree.c client/dump_strip.c client/decode_format.c
SCENARIO_SRC += client/guest_tables.c client/instructions.c client/number.c client/text.c
SCENARIO_OBJ := $(SCENARIO_SRC:%.c=$(B)/%.o)
SCENARIO_TEST := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/test_scenario*.c tests/unit/test_dump*.c tests/unit/test_decodecmd*.c))

$(SCENARIO_TEST): $(B)/tests/unit/%: tests/unit/%.c $(SCENARIO_OBJ) $(B)/libpt.a
	$(call say,CCLD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(HOST_DEFS) -Iclient -Ilib/include -Itests -o $@ $< \
		$(SCENARIO_OBJ) $(B)/libpt.a $(LDFLAGS_ALL) -lcmocka

# Called by `make demo`, which installs what is missing first.
demo-tour: $(B)/ptd $(B)/ptctl
	$(Q)client/demo.sh '$(B)'
.PHONY: demo-tour
