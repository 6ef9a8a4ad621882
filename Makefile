# SPDX-License-Identifier: BSD-2-Clause
# ptd: one non-recursive makefile. `make help` lists the targets; fragments live in mk/.
# B is the build folder: one for each flavour, so that flavours never mix.
B ?= build
ifeq ($(origin CC),default)
CC := gcc
endif
PEERS ?= ../shared/peers
PYTHON ?= /usr/bin/python3
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

include mk/flags.mk
include mk/lib.mk
include mk/proto.mk
include mk/daemon.mk
include mk/sim.mk
include mk/client.mk
include mk/model.mk
include mk/test.mk
include mk/check.mk
include mk/interop.mk
include mk/bench.mk
include mk/demo.mk
include mk/fuzz.mk
include mk/alloc.mk
include mk/interleave.mk
include mk/el2.mk
include mk/repo.mk
include mk/install.mk
