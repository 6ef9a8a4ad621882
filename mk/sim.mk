# SPDX-License-Identifier: BSD-2-Clause
# The simulation: the core compiled again with limits that a seed varies, and effects seen by the linker's --wrap.
SIM_SRC := $(filter-out tests/sim/ptd-sim.c tests/sim/test_%.c,$(sort $(wildcard tests/sim/*.c)))
SIM_BIN := $(B)/tests/sim/ptd-sim $(B)/tests/sim/test_plants $(B)/tests/unit/test_wire_sim
# Only those that name a limit are other than in the daemon (tests/layers/test_shared.py).
SIM_KNOBS := $(shell sed -n 's/^.undef //p' tests/sim/knobs.h | paste -sd '|')
SIM_OWN_SRC := $(shell grep -lwE '$(SIM_KNOBS)' $(CORE_SRC)) $(SIM_SRC)
SIM_OBJ := $(SIM_OWN_SRC:%.c=$(B)/sim/%.o) $(patsubst %.c,$(B)/%.o,$(filter-out $(SIM_OWN_SRC),$(CORE_SRC)))
SIM_WRAP := pt_point pt_points pt_txn_step context_retire machine_retire pt_rcu_call pt_rcu_barrier domain_reply_fate session_done
SIM_WRAP += page_await pager_open pager_serve pager_leave pager_end pagers_end pager_supply
SIM_LDFLAGS := $(SIM_WRAP:%=-Wl,--wrap=%)
SIM_CFLAGS = $(CFLAGS_ALL) $(HOST_DEFS) $(DAEMON_INC) -Itests/sim -include tests/sim/knobs.h

$(B)/sim/%.o: %.c $(B)/gen/.stamp
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(SIM_CFLAGS) -c -o $@ $<

$(SIM_BIN): $(B)/%: $(B)/sim/%.o $(SIM_OBJ) $(FDS_OBJ) $(B)/libproto.a $(B)/libpt.a
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) -o $@ $(filter %.o %.a,$^) $(SIM_LDFLAGS) $(LDFLAGS_ALL) -lcmocka $(CORE_LIBS)

sim: $(SIM_BIN) #: builds the simulation
tests: sim
.PHONY: sim
-include $(SIM_OBJ:.o=.d) $(SIM_BIN:$(B)/%=$(B)/sim/%.d)
