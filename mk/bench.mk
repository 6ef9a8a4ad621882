# SPDX-License-Identifier: BSD-2-Clause
# Speed and memory: `make bench` times core and daemon beside their peers and prints one table.
# PEERS is the folder of the peers; without it the table has no ratios. PASSES: how often each side runs.
BENCH_SRC := $(sort $(wildcard tests/bench/*.c))
BENCH_OBJ := $(BENCH_SRC:%.c=$(B)/%.o)
$(BENCH_OBJ): $(B)/tests/bench/%.o: tests/bench/%.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(HOST_DEFS) $(LIB_INC) -c -o $@ $<
$(B)/tests/bench/core: $(BENCH_OBJ) $(B)/libpt.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -o $@ $(BENCH_OBJ) $(B)/libpt.a $(LDFLAGS_ALL) $(LIBPT_LIBS)

bench-core: $(B)/tests/bench/core #: builds what times the core
.PHONY: bench-core

bench: $(B)/tests/bench/core $(B)/ptd $(B)/ptctl $(B)/tests/load/load $(B)/python/.stamp #: times core and daemon beside their peers (PEERS=DIR)
	$(Q)PYTHON="$(PYTHON)" tests/bench/run.sh "$(B)" "$(PEERS)"
.PHONY: bench
-include $(BENCH_OBJ:.o=.d)

# The load generator, also of the bad clients.
LOAD_SRC := $(sort $(wildcard tests/load/*.c))
LOAD_OBJ := $(LOAD_SRC:%.c=$(B)/%.o)
$(LOAD_OBJ): $(B)/tests/load/%.o: tests/load/%.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(HOST_DEFS) -c -o $@ $<
$(B)/tests/load/load: $(LOAD_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -o $@ $^ $(LDFLAGS_ALL) -lnghttp2 -lssl -lcrypto -lm
tests: load
load: $(B)/tests/load/load #: builds the load generator
soak: all load #: good and bad clients of all kinds for two minutes (SOAK_SECONDS)
	$(Q)PTD_BUILD="$(B)" $(PYTHON) tests/load/soak.py
.PHONY: load soak
-include $(LOAD_OBJ:.o=.d)
