# SPDX-License-Identifier: BSD-2-Clause
# The oracle: random operations of several sessions against a model of what they do. Over lib as it is, and
# over the lib whose seam feeds the runtime checker.
MODEL_SRC := $(filter-out tests/model/ptd-%.c,$(sort $(wildcard tests/model/*.c)))
# Nothing of it calls the seam: the same objects play both libs (tests/layers/test_shared.py).
MODEL_OBJ := $(MODEL_SRC:%.c=$(B)/%.o)
MODEL_BIN := $(B)/tests/model/ptd-model $(B)/checked/tests/model/ptd-model
MODEL_UNIT := $(B)/tests/unit/test_model $(B)/checked/tests/unit/test_model
OWNER_MODEL := tests/model/owner.c tests/model/owner_state.c
# The model of ownership by itself, and against its page in docs.
OWNER_UNIT := $(B)/tests/unit/test_owner_model $(B)/checked/tests/unit/test_owner_model
# The transitions of lib beside it, and what maps and faults may do meanwhile.
TRANSFER_UNIT := $(foreach t,$(patsubst tests/unit/%.c,%,$(wildcard $(patsubst %,tests/unit/test_%*.c,transfer lending nested_owner owner_map owner_fault hv_owner))),$(B)/tests/unit/$t $(B)/checked/tests/unit/$t)
# Random transitions beside it, which are hunted as other plays are.
OWN_SRC := tests/model/ptd-own.c $(sort $(wildcard tests/model/own/*.c)) $(OWNER_MODEL)
OWN_HUNT := $(addprefix $(B)/tests/model/own/,hunt.o list.o tap.o)
OWN_BIN := $(B)/tests/model/ptd-own $(B)/checked/tests/model/ptd-own
# Shadows beside the composition of both maps.
NESTED_BIN := $(B)/tests/model/ptd-nested $(B)/checked/tests/model/ptd-nested
NESTED_UNIT := $(B)/tests/unit/test_nested_model $(B)/checked/tests/unit/test_nested_model
NESTED_OBJ := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard tests/model/nested/*.c)) $(OWNER_MODEL))
ORACLE_OBJ := $(MODEL_OBJ) $(OWN_SRC:%.c=$(B)/%.o) $(OWN_HUNT) $(NESTED_OBJ)
MODEL_CC = mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(HOST_DEFS) $(LIB_INC)

$(B)/tests/model/%.o: tests/model/%.c
	$(call say,CC,$@)
	$(Q)$(MODEL_CC) -c -o $@ $<

$(B)/tests/model/ptd-model $(B)/tests/unit/test_model: $(MODEL_OBJ) $(B)/libpt.a
$(B)/checked/tests/model/ptd-model $(B)/checked/tests/unit/test_model: $(MODEL_OBJ) $(B)/checked/libpt.a
$(MODEL_BIN): $(B)/tests/model/ptd-model.o
$(MODEL_UNIT): tests/unit/test_model.c
$(OWNER_UNIT): %/tests/unit/test_owner_model: tests/unit/test_owner_model.c $(OWNER_MODEL:%.c=$(B)/%.o) %/libpt.a
$(filter $(B)/tests/%,$(TRANSFER_UNIT)): $(B)/tests/unit/%: tests/unit/%.c $(OWNER_MODEL:%.c=$(B)/%.o) $(B)/libpt.a
$(filter $(B)/checked/%,$(TRANSFER_UNIT)): $(B)/checked/tests/unit/%: tests/unit/%.c $(OWNER_MODEL:%.c=$(B)/%.o) $(B)/checked/libpt.a

$(OWN_HUNT): $(B)/tests/model/own/%.o: tests/model/%.c
	$(call say,CC,$@)
	$(Q)$(MODEL_CC) -DHUNT_PLAY='"own/play.h"' -c -o $@ $<

$(OWN_BIN): $(B)/%tests/model/ptd-own: $(OWN_SRC:%.c=$(B)/%.o) $(OWN_HUNT) $(B)/%libpt.a

$(NESTED_BIN): $(B)/%tests/model/ptd-nested: $(B)/tests/model/ptd-nested.o $(NESTED_OBJ) $(B)/%libpt.a
$(NESTED_UNIT): $(B)/%tests/unit/test_nested_model: tests/unit/test_nested_model.c $(NESTED_OBJ) $(B)/%libpt.a

# Of these the objects are what computes.
$(MODEL_BIN) $(MODEL_UNIT) $(OWNER_UNIT) $(TRANSFER_UNIT) $(OWN_BIN) $(NESTED_BIN) $(NESTED_UNIT):
	$(call say,LD,$@)
	$(Q)$(MODEL_CC) $(TEST_OPT) $(if $(findstring /checked/,$@),-DPT_CHECKED) -o $@ $(filter tests/unit/%.c %.o %.a,$^) \
		$(LDFLAGS_ALL) -lcmocka $(LIBPT_LIBS)

model: $(MODEL_BIN) $(OWN_BIN) $(NESTED_BIN) #: builds the oracles
tests: model
.PHONY: model
-include $(wildcard $(B)/tests/model/*.d $(B)/tests/model/*/*.d)
