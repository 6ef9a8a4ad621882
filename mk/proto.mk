# SPDX-License-Identifier: BSD-2-Clause
# Generated code: protobuf-c for daemon and client, the descriptor set for reflection, Python stubs.
PROTO_SRC := $(sort $(wildcard proto/ptd/v1/*.proto))
PROTO_VENDOR := $(sort $(wildcard proto/grpc/health/v1/*.proto proto/grpc/reflection/v1/*.proto proto/grpc/reflection/v1alpha/*.proto))
PROTO_ALL := $(PROTO_SRC) $(PROTO_VENDOR)
PROTO_C := $(PROTO_ALL:proto/%.proto=$(B)/gen/%.pb-c.c)
PROTO_H := $(PROTO_C:.c=.h)
PROTO_OBJ := $(PROTO_C:.c=.o)

# One protoc-c run makes all; the stamp keeps make from running it once a file.
$(B)/gen/.stamp: $(PROTO_ALL)
	$(call say,PROTOC,$(B)/gen)
	$(Q)mkdir -p $(B)/gen && protoc-c -Iproto --c_out=$(B)/gen $(PROTO_ALL) && touch $@
$(PROTO_C) $(PROTO_H): $(B)/gen/.stamp ;

$(B)/gen/%.o: $(B)/gen/%.c
	$(call say,CC,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -I$(B)/gen -c -o $@ $<

$(B)/gen/ptd.fds: $(PROTO_ALL)
	$(call say,PROTOC,$@)
	$(Q)mkdir -p $(@D) && protoc -Iproto --include_imports --descriptor_set_out=$@ $(PROTO_ALL)

$(B)/libproto.a: $(PROTO_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcD $@ $^

# Python stubs need only python3-grpcio at run time.
$(B)/python/.stamp: $(PROTO_ALL)
	$(call say,PROTOC,$(B)/python)
	$(Q)mkdir -p $(B)/python && protoc -Iproto --python_out=$(B)/python --grpc_python_out=$(B)/python \
		--plugin=protoc-gen-grpc_python=$$(command -v grpc_python_plugin) $(PROTO_ALL) && touch $@
python: $(B)/python/.stamp #: generated Python stubs in python/ of the build folder
.PHONY: python
-include $(PROTO_OBJ:.o=.d)
