# SPDX-License-Identifier: BSD-2-Clause
# libptd and libptd-uv (shared and static) and ptctl.
LIBPTD_SRC := $(addprefix client/,core.c core_call.c core_request.c core_answer.c core_api.c tls.c status.c endpoint.c socket.c \
	client.c client_call.c client_connection.c typed.c typed_owner.c typed_upkeep.c session.c session_message.c \
	guest_tables.c)
LIBPTD_UV_SRC := client/uv.c client/uv_link.c
PTCTL_SRC := $(filter-out $(LIBPTD_SRC) $(LIBPTD_UV_SRC),$(sort $(wildcard client/*.c)))
LIBPTD_OBJ := $(LIBPTD_SRC:%.c=$(B)/pic/%.o) $(PROTO_SRC:proto/%.proto=$(B)/pic/gen/%.pb-c.o)
# What the libuv layer has of its own; everything else it asks libptd for, by public names.
LIBPTD_UV_OBJ := $(LIBPTD_UV_SRC:%.c=$(B)/pic/%.o) $(addprefix $(B)/pic/client/,endpoint.o socket.o status.o)
PTCTL_OBJ := $(PTCTL_SRC:%.c=$(B)/%.o)
CLIENT_FLAGS = $(CFLAGS_ALL) $(HOST_DEFS) -DPTD_VERSION='"$(VERSION)"' -Iclient -Iclient/include \
	-I$(B)/gen -Ilib/include
LIBPTD_LIBS := -lnghttp2 -lprotobuf-c -lssl -lcrypto
PTCTL_LIBS := $(LIBPTD_LIBS) -ljansson -lsmartcols
SONAME := libptd.so.0
LIBPTD_UV_SONAME := libptd-uv.so.0

$(LIBPTD_OBJ) $(LIBPTD_UV_OBJ) $(PTCTL_OBJ): | $(B)/gen/.stamp

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

$(B)/libptd-uv.so.$(VERSION): $(LIBPTD_UV_OBJ) $(B)/libptd.so.$(VERSION) client/libptd.map
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -shared -Wl,-soname,$(LIBPTD_UV_SONAME) -Wl,--version-script=client/libptd.map \
		-Wl,-z,relro,-z,now $(if $(SAN),,-Wl,-z,defs) -o $@ $(LIBPTD_UV_OBJ) $(LDFLAGS_ALL) -L$(B) -lptd -luv
	$(Q)ln -sf $(@F) $(B)/$(LIBPTD_UV_SONAME) && ln -sf $(@F) $(B)/libptd-uv.so
$(B)/$(LIBPTD_UV_SONAME) $(B)/libptd-uv.so: $(B)/libptd-uv.so.$(VERSION) ;

# One object whose hidden symbols are local: the archive cannot clash with its user's names.
$(B)/libptd.a: $(LIBPTD_OBJ)
$(B)/libptd-uv.a: $(LIBPTD_UV_OBJ)
$(B)/libptd.a $(B)/libptd-uv.a:
	$(call say,AR,$@)
	$(Q)$(LD) -r -o $(B)/pic/$(@F).o $^ && objcopy --localize-hidden $(B)/pic/$(@F).o \
		&& rm -f $@ && $(AR) rcD $@ $(B)/pic/$(@F).o

$(B)/ptctl: $(PTCTL_OBJ) $(B)/libptd.a $(B)/libproto.a $(B)/libpt.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -o $@ $(PTCTL_OBJ) $(B)/libptd.a $(B)/libproto.a $(B)/libpt.a \
		$(LDFLAGS_ALL) $(PTCTL_LIBS)

# Unit tests of the client see its modules themselves, not through the library's border.
$(B)/tests/unit/test_client_%: tests/unit/test_client_%.c $(PTCTL_OBJ) $(LIBPTD_OBJ) $(B)/libproto.a $(B)/libpt.a
	$(call say,CCLD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CLIENT_FLAGS) $(TEST_OPT) -I. -Itests -Ilib/port/host/include -o $@ $< \
		$(filter-out $(B)/client/ptctl.o,$(PTCTL_OBJ)) $(LIBPTD_SRC:%.c=$(B)/pic/%.o) \
		$(B)/libproto.a $(B)/libpt.a $(LDFLAGS_ALL) -lcmocka $(PTCTL_LIBS)

# Examples, and the programs of the tests: as users build them, but with the flavour's flags.
EXAMPLES := $(patsubst client/examples/%.c,$(B)/examples/%,$(sort $(wildcard client/examples/*.c)))
$(B)/examples/%: client/examples/%.c $(B)/libptd.so $(B)/libptd-uv.so
	$(call say,CCLD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(if $(findstring uv,$*),$(HOST_DEFS)) -Iclient/include -o $@ $< -L$(B) \
		-Wl,--disable-new-dtags,-rpath,'$$ORIGIN/..' $(if $(findstring uv,$*),-lptd-uv -luv) -lptd $(LDFLAGS_ALL)
$(B)/examples/%: tests/e2e/%.c $(B)/libptd.so $(B)/libptd-uv.so
	$(call say,CCLD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(if $(findstring uv,$*),$(HOST_DEFS)) -Iclient/include -o $@ $< -L$(B) \
		-Wl,--disable-new-dtags,-rpath,'$$ORIGIN/..' $(if $(findstring uv,$*),-lptd-uv -luv) -lptd $(LDFLAGS_ALL)
examples: $(EXAMPLES) $(patsubst tests/e2e/%.c,$(B)/examples/%,$(wildcard tests/e2e/libptd_*.c))
.PHONY: examples

# Manual pages, where scdoc is there.
$(B)/man/%: docs/man/%.scd
	$(call say,SCDOC,$@)
	$(Q)mkdir -p $(@D) && scdoc < $< > $@.new && mv $@.new $@
MAN_PAGES := $(if $(shell command -v scdoc),$(patsubst docs/man/%.scd,$(B)/man/%,$(sort $(wildcard docs/man/*.scd))))
man: $(MAN_PAGES)
.PHONY: man

client: examples $(B)/ptctl $(B)/libptd.so $(B)/libptd.a $(B)/libptd-uv.so $(B)/libptd-uv.a man
all: client
.PHONY: client
-include $(EXAMPLES:=.d) $(PTCTL_OBJ:.o=.d) $(LIBPTD_OBJ:.o=.d) $(LIBPTD_UV_OBJ:.o=.d)
