# SPDX-License-Identifier: BSD-2-Clause
# The oracle: random operations of several sessions against a model of what they do.
MODEL_SRC := $(filter-out tests/model/ptd-model.c,$(sort $(wildcard tests/model/*.c)))
MODEL_OBJ := $(MODEL_SRC:%.c=$(B)/%.o)
MODEL_BIN := $(B)/tests/model/ptd-model

$(B)/tests/model/%.o: tests/model/%.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(HOST_DEFS) $(LIB_INC) -c -o $@ $<

$(MODEL_BIN): $(B)/tests/model/ptd-model.o $(MODEL_OBJ) $(B)/libpt.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -o $@ $^ $(LDFLAGS_ALL) $(LIBPT_LIBS)

$(B)/tests/unit/test_model: tests/unit/test_model.c $(MODEL_OBJ) $(B)/libpt.a
	$(call say,CCLD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(HOST_DEFS) $(LIB_INC) -o $@ $(filter %.c %.o %.a,$^) \
		$(LDFLAGS_ALL) -lcmocka $(LIBPT_LIBS)

model: $(MODEL_BIN) #: builds the oracle
tests: model
.PHONY: model
-include $(MODEL_OBJ:.o=.d) $(B)/tests/model/ptd-model.d
