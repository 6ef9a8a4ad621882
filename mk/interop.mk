# SPDX-License-Identifier: BSD-2-Clause
# ptd-interop: ptd that also serves grpc.testing.TestService, for gRPC's official interoperability clients. For tests
# only: neither `make` nor `make install` knows it. The protos are those of the package grpc-proto.
GRPC_PROTO ?= /usr/share/grpc-proto
INTEROP_PROTO := $(patsubst %,$(GRPC_PROTO)/grpc/testing/%.proto,empty messages test)
INTEROP := $(B)/interop
INTEROP_SRC := $(sort $(wildcard tests/interop/*.c))
INTEROP_PB_OBJ := $(INTEROP)/gen/grpc/testing/empty.pb-c.o $(INTEROP)/gen/grpc/testing/messages.pb-c.o
INTEROP_OBJ := $(INTEROP_SRC:%.c=$(INTEROP)/%.o) $(INTEROP_PB_OBJ) $(INTEROP)/gen/fds.o

$(INTEROP)/gen/.stamp: $(PROTO_ALL) mk/interop.mk
	$(call say,PROTOC,$(INTEROP)/gen)
	$(Q)mkdir -p $(INTEROP)/gen $(INTEROP)/python && protoc-c -I$(GRPC_PROTO) --c_out=$(INTEROP)/gen $(INTEROP_PROTO) && \
		protoc -I$(GRPC_PROTO) --python_out=$(INTEROP)/python --grpc_python_out=$(INTEROP)/python \
			--plugin=protoc-gen-grpc_python=$$(command -v grpc_python_plugin) $(INTEROP_PROTO) && \
		protoc -Iproto -I$(GRPC_PROTO) --include_imports --descriptor_set_out=$(INTEROP)/gen/fds $(PROTO_ALL) $(INTEROP_PROTO) && \
		touch $@
$(INTEROP_PB_OBJ:.o=.c): $(INTEROP)/gen/.stamp ;

# In place of the descriptor set that ptd has in it.
$(INTEROP)/gen/fds.c: $(INTEROP)/gen/.stamp
	$(Q)$(call embed,$(INTEROP)/gen/fds) > $@

$(INTEROP)/gen/%.o: $(INTEROP)/gen/%.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(DAEMON_INC) -I$(INTEROP)/gen -c -o $@ $<
$(INTEROP)/tests/interop/%.o: tests/interop/%.c $(INTEROP)/gen/.stamp $(B)/gen/.stamp
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(HOST_DEFS) $(DAEMON_INC) -Idaemon/driver -I$(INTEROP)/gen -c -o $@ $<

# The daemon's own objects, but for the two tables.
$(B)/ptd-interop: $(filter-out %/more_methods.o,$(DRIVER_OBJ)) $(INTEROP_OBJ) $(B)/libcore.a $(B)/libproto.a $(B)/libpt.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -o $@ $^ $(LDFLAGS_ALL) $(DAEMON_LIBS)

interop: $(B)/ptd-interop #: ptd with the service that gRPC's interoperability tests call
.PHONY: interop
-include $(INTEROP_OBJ:.o=.d)
