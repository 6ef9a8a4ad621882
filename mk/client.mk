# SPDX-License-Identifier: BSD-2-Clause
# libptd (shared and static) and ptctl.
LIBPTD_SRC := $(addprefix client/,core.c core_call.c core_answer.c core_api.c tls.c status.c endpoint.c socket.c client.c \
	typed.c)
PTCTL_SRC := $(filter-out $(LIBPTD_SRC),$(sort $(wildcard client/*.c)))
LIBPTD_OBJ := $(LIBPTD_SRC:%.c=$(B)/pic/%.o) $(PROTO_SRC:proto/%.proto=$(B)/pic/gen/%.pb-c.o)
PTCTL_OBJ := $(PTCTL_SRC:%.c=$(B)/%.o)
CLIENT_FLAGS = $(CFLAGS_ALL) $(HOST_DEFS) -DPTD_VERSION='"$(VERSION)"' -Iclient -Iclient/include \
	-I$(B)/gen -Ilib/include
LIBPTD_LIBS := -lnghttp2 -lprotobuf-c -lssl -lcrypto
PTCTL_LIBS := $(LIBPTD_LIBS) -ljansson -lsmartcols
SONAME := libptd.so.0

$(LIBPTD_OBJ) $(PTCTL_OBJ): | $(B)/gen/.stamp

$(B)/client/%.o: client/%.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CLIENT_FLAGS) -c -o $@ $<

# Only what ptd.h marks is visible outside the library.
$(B)/pic/client/%.o: client/%.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CLIENT_FLAGS) -fPIC -fvisibility=hidden -c -o $@ $<
$(B)/pic/gen/%.o: $(B)/gen/%.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) -DNDEBUG -I$(B)/gen -fPIC -fvisibility=hidden -c -o $@ $<

$(B)/libptd.so.$(VERSION): $(LIBPTD_OBJ) client/libptd.map
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -shared -Wl,-soname,$(SONAME) -Wl,--version-script=client/libptd.map \
		-Wl,-z,relro,-z,now $(if $(SAN),,-Wl,-z,defs) -o $@ $(LIBPTD_OBJ) $(LDFLAGS_ALL) $(LIBPTD_LIBS)
	$(Q)ln -sf $(@F) $(B)/$(SONAME) && ln -sf $(@F) $(B)/libptd.so
$(B)/$(SONAME) $(B)/libptd.so: $(B)/libptd.so.$(VERSION) ;

# One object whose hidden symbols are local: the archive cannot clash with its user's names.
$(B)/libptd.a: $(LIBPTD_OBJ)
	$(call say,AR,$@)
	$(Q)$(LD) -r -o $(B)/pic/libptd.o $^ && objcopy --localize-hidden $(B)/pic/libptd.o \
		&& rm -f $@ && $(AR) rcD $@ $(B)/pic/libptd.o

$(B)/ptctl: $(PTCTL_OBJ) $(B)/libptd.a $(B)/libproto.a $(B)/libpt.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -o $@ $(PTCTL_OBJ) $(B)/libptd.a $(B)/libproto.a $(B)/libpt.a \
		$(LDFLAGS_ALL) $(PTCTL_LIBS)

# Unit tests of the client see its modules themselves, not through the library's border.
$(B)/tests/unit/test_client_%: tests/unit/test_client_%.c $(PTCTL_OBJ) $(LIBPTD_OBJ) $(B)/libproto.a $(B)/libpt.a
	$(call say,CCLD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CLIENT_FLAGS) -I. -Itests -o $@ $< \
		$(filter-out $(B)/client/ptctl.o,$(PTCTL_OBJ)) $(LIBPTD_SRC:%.c=$(B)/pic/%.o) \
		$(B)/libproto.a $(B)/libpt.a $(LDFLAGS_ALL) -lcmocka $(PTCTL_LIBS)

# Manual pages, where scdoc is there.
$(B)/man/%: docs/man/%.scd
	$(call say,SCDOC,$@)
	$(Q)mkdir -p $(@D) && scdoc < $< > $@.new && mv $@.new $@
MAN_PAGES := $(if $(shell command -v scdoc),$(patsubst docs/man/%.scd,$(B)/man/%,$(sort $(wildcard docs/man/*.scd))))
man: $(MAN_PAGES)
.PHONY: man

client: $(B)/ptctl $(B)/libptd.so $(B)/libptd.a man
all: client
.PHONY: client
-include $(PTCTL_OBJ:.o=.d) $(LIBPTD_OBJ:.o=.d)
