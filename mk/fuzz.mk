# SPDX-License-Identifier: BSD-2-Clause
# Fuzzing: each tests/fuzz/fuzz_*.c is one libFuzzer target; its corpus is the folder tests/fuzz/corpus/NAME.
# `make fuzz` replays the corpora, then runs each target from a fixed seed, so that a verdict repeats; the same build
# counts lines, for tests/fuzz/coverage.
FUZZ_SEED ?= 1
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BIN := $(FUZZ_SRC:tests/fuzz/%.c=$(B)/tests/fuzz/%)
FUZZ_HELP := $(B)/tests/fuzz/generate.o $(B)/tests/fuzz/transcript.o $(B)/tests/fuzz/rcu.o
FUZZ_COVER := -fprofile-instr-generate -fcoverage-mapping
FUZZ_FLAVOUR = CC=clang SAN=fuzzer-no-link,address,undefined CFLAGS="$(FUZZ_COVER)"

# Lines are counted of the wire (tests/fuzz/measure.py), which none of these is.
$(LIB_OBJ) $(HOST_OBJ) $(PTCTL_OBJ) $(LIBPTD_OBJ) $(LIBPTD_UV_OBJ) $(PROTO_OBJ) $(filter-out %/tls_identity.o,$(DRIVER_OBJ)): CFLAGS_ALL += $(UNCOUNTED)

# With sanitizers the compiler takes three times as long over what it optimises. What computes little, and is in no
# target, gains nothing by it: ptctl, the driver, the layer for libuv, and the tables of protoc-c.
$(filter-out $(SCENARIO_OBJ),$(PTCTL_OBJ)) $(filter-out %/tls_identity.o,$(DRIVER_OBJ)) $(LIBPTD_UV_OBJ) $(PROTO_OBJ): CFLAGS_ALL += $(if $(SAN),-O0)
# With addresses tests of lib run over the checker, where it is optimised. Who is left asks little of what is dear to compile, but for
# single pages.
LIB_DEAR := $(filter-out %point.c,$(filter $(addprefix lib/,txn/% s2/% owner/% nested/% hv/% hyp/% dirty/%),$(LIB_SRC)))
$(LIB_DEAR:%.c=$(B)/%.o): CFLAGS_ALL += $(if $(findstring address,$(SAN)),-O0)
# A few seeds are played there.
$(filter $(B)/sim/%,$(SIM_OBJ)): CFLAGS_ALL += $(if $(SAN),-O0)

$(B)/tests/fuzz/%.o: tests/fuzz/%.c $(B)/gen/.stamp
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(HOST_DEFS) $(DAEMON_INC) -Idaemon/driver -Iclient \
		-Iclient/include -c -o $@ $<

$(B)/tests/fuzz/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(FUZZ_HELP) $(B)/libcore.a $(B)/libproto.a $(B)/libpt.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -fsanitize=fuzzer -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LDFLAGS_ALL) $(CORE_LIBS) \
		-lssl -lcrypto
$(B)/tests/fuzz/fuzz_scenario: $(SCENARIO_OBJ)
$(B)/tests/fuzz/fuzz_tls: $(B)/daemon/driver/tls_identity.o
$(B)/tests/fuzz/fuzz_client: $(filter-out $(B)/pic/gen/%,$(LIBPTD_OBJ))

fuzz: #: replays the corpora and runs each fuzz target from a fixed seed
	+$(Q)$(MAKE) --no-print-directory B=$(B)-asan $(FUZZ_FLAVOUR) fuzz-run

fuzz-targets: $(FUZZ_BIN)
fuzz-run: $(FUZZ_BIN)
	$(Q)tests/fuzz/run $(B) $(FUZZ_SEED)
.PHONY: fuzz fuzz-targets fuzz-run
.SECONDARY: $(FUZZ_SRC:%.c=$(B)/%.o) $(FUZZ_HELP)
-include $(FUZZ_SRC:%.c=$(B)/%.d) $(FUZZ_HELP:.o=.d)
