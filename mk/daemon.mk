# SPDX-License-Identifier: BSD-2-Clause
# build/ptd, and build/ptd-checked: the same sources of lib and daemon with -DPT_CHECKED in a folder of their own.
CORE_SRC := $(sort $(wildcard daemon/core/*.c))
DRIVER_SRC := $(sort $(wildcard daemon/driver/*.c))
CORE_OBJ := $(CORE_SRC:%.c=$(B)/%.o)
DRIVER_OBJ := $(DRIVER_SRC:%.c=$(B)/%.o)
FDS_OBJ := $(B)/gen/ptd_fds.o
# Whoever calls nothing of the seam is compiled to the same in a checked build, and once is enough (tests/layers/test_shared.py).
# lib/check is below the seam.
SEAM_CALLS := PT_CHECKED|pt_port_[a-z_]+\(|pt_pte_(load|store|init|private|cas|hw_cas)[a-z_]*\(|pt_machine_use
SEAM_SRC := $(shell grep -lE '$(SEAM_CALLS)' $(CORE_SRC) $(DRIVER_SRC))
checked_objects = $(patsubst %.c,$(B)/checked/%.o,$(filter $(SEAM_SRC),$(1))) $(patsubst %.c,$(B)/%.o,$(filter-out $(SEAM_SRC),$(1)))
BELOW_SEAM_OBJ := $(patsubst %.c,$(B)/%.o,$(filter lib/check/%,$(LIB_SRC)))
CHECKED_LIB_OBJ := $(patsubst %.c,$(B)/checked/%.o,$(filter-out lib/check/%,$(LIB_SRC)))
CHECKED_CORE_OBJ := $(call checked_objects,$(CORE_SRC))
CHECKED_OBJ := $(CHECKED_LIB_OBJ) $(BELOW_SEAM_OBJ) $(HOST_SRC:%.c=$(B)/checked/%.o) $(CHECKED_CORE_OBJ) $(call checked_objects,$(DRIVER_SRC))
DAEMON_INC := $(LIB_INC) -Idaemon/core -I$(B)/gen
CORE_LIBS := -lnghttp2 -lprotobuf-c $(LIBPT_LIBS)
DAEMON_LIBS := -luv -linih -lsystemd -lssl -lcrypto $(CORE_LIBS)

# The descriptor set that reflection serves, as an array.
embed = { echo '\#include "descset.h"'; echo 'const unsigned char ptd__v1__descriptor_set[] = {'; \
		od -An -v -tx1 $(1) | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g'; \
		echo '};'; echo 'const size_t ptd__v1__descriptor_set_length = sizeof(ptd__v1__descriptor_set);'; }
$(B)/gen/ptd_fds.c: $(B)/gen/ptd.fds mk/daemon.mk
	$(call say,EMBED,$@)
	$(Q)$(call embed,$<) > $@.tmp && mv $@.tmp $@
$(FDS_OBJ): $(B)/gen/ptd_fds.c
	$(call say,CC,$@)
	$(Q)$(CC) $(CFLAGS_ALL) $(DAEMON_INC) -c -o $@ $<

$(B)/daemon/%.o: daemon/%.c $(B)/gen/.stamp
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(HOST_DEFS) -DPTD_VERSION='"$(VERSION)"' $(DAEMON_INC) -c -o $@ $<

$(CHECKED_LIB_OBJ): CFLAGS_ALL += -ffreestanding -Ilib
$(B)/checked/%.o: %.c $(B)/gen/.stamp
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(if $(filter lib/port/%,$<)$(filter daemon/%,$<),$(HOST_DEFS)) \
		-DPT_CHECKED -DPTD_VERSION='"$(VERSION)"' $(DAEMON_INC) -c -o $@ $<

# The core without a driver: what the simulation and the unit tests link.
$(B)/libcore.a: $(CORE_OBJ) $(FDS_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcD $@ $^

$(B)/ptd: $(DRIVER_OBJ) $(B)/libcore.a $(B)/libproto.a $(B)/libpt.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -o $@ $^ $(LDFLAGS_ALL) $(DAEMON_LIBS)

$(B)/ptd-checked: $(CHECKED_OBJ) $(FDS_OBJ) $(B)/libproto.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -o $@ $^ $(LDFLAGS_ALL) $(DAEMON_LIBS)

all: daemon python
daemon: $(B)/ptd $(B)/ptd-checked
.PHONY: daemon
-include $(CORE_OBJ:.o=.d) $(DRIVER_OBJ:.o=.d) $(CHECKED_OBJ:.o=.d)

# Tests of the domain's handlers: called directly, with doubles of the call's functions in place of the wire.
$(B)/tests/unit/test_domain_%: tests/unit/test_domain_%.c $(B)/libcore.a $(B)/libproto.a $(B)/libpt.a
	$(call say,CCLD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(TEST_OPT) $(HOST_DEFS) $(DAEMON_INC) -Itests -o $@ $(filter %.c,$^) $(filter %.a,$^) \
		$(LDFLAGS_ALL) -lcmocka $(CORE_LIBS)

# Tests of what the driver decides without libuv.
$(B)/tests/unit/test_driver_%: tests/unit/test_driver_%.c $(B)/daemon/driver/%.o
	$(call say,CCLD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(TEST_OPT) $(HOST_DEFS) $(DAEMON_INC) -Idaemon/driver -o $@ $(filter %.c %.o,$^) \
		$(LDFLAGS_ALL) -lcmocka -lcrypto

# Tests of the wire: units of the core.
$(B)/tests/unit/test_wire_%: tests/unit/test_wire_%.c $(B)/libcore.a $(B)/libproto.a $(B)/libpt.a
	$(call say,CCLD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(TEST_OPT) $(HOST_DEFS) $(DAEMON_INC) -Itests -o $@ $(filter %.c,$^) $(filter %.a,$^) \
		$(LDFLAGS_ALL) -lcmocka $(CORE_LIBS)
