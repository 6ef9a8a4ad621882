# SPDX-License-Identifier: BSD-2-Clause
# Fuzzing: each tests/fuzz/fuzz_*.c is one libFuzzer target; its corpus is the folder tests/fuzz/corpus/NAME.
# `make fuzz` replays the corpus, then runs FUZZ_RUNS inputs from a fixed seed, so that a verdict repeats.
FUZZ_RUNS ?= 100000
FUZZ_SEED ?= 1
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BIN := $(FUZZ_SRC:tests/fuzz/%.c=$(B)/tests/fuzz/%)

$(B)/tests/fuzz/%: tests/fuzz/%.c $(SCENARIO_OBJ) $(B)/libcore.a $(B)/libproto.a $(B)/libpt.a
	$(call say,CCLD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(HOST_DEFS) $(DAEMON_INC) -Iclient -fsanitize=fuzzer -o $@ $< \
		$(SCENARIO_OBJ) $(B)/libcore.a $(B)/libproto.a $(B)/libpt.a $(LDFLAGS_ALL) $(CORE_LIBS)

fuzz: #: replays the corpora and runs each fuzz target from a fixed seed
	+$(Q)$(MAKE) --no-print-directory B=$(B)-fuzz CC=clang SAN=fuzzer-no-link,address,undefined fuzz-run

fuzz-targets: $(FUZZ_BIN)
fuzz-run: $(FUZZ_BIN)
	$(Q)set -e; for target in $(FUZZ_BIN); do tests/fuzz/run $$target $(FUZZ_SEED) $(FUZZ_RUNS); done
.PHONY: fuzz fuzz-targets fuzz-run
-include $(FUZZ_BIN:=.d)
