# SPDX-License-Identifier: BSD-2-Clause
# Compiler flags of every flavour. SAN=address,undefined or SAN=thread picks a sanitizer flavour.
VERSION := 0.1.0
WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla \
	-Wformat-security -Wpointer-arith -Wcast-align -Wwrite-strings
OPT ?= -O2 -g
SANITIZE = $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer -O1)
CFLAGS_ALL = -std=c11 $(WARN) $(OPT) $(SANITIZE) -MMD -MP $(MUTANT_CFLAGS) $(CFLAGS)
# For programs of tests, which are built more often than they run: what they spend their time in is lib. A fuzz target is
# none of them, and needs its instrumentation in other objects than these.
TEST_OPT = $(if $(SAN),-O0,$(if $(filter -O0,$(OPT)),,-Og)) $(LINES) $(UNFUZZED)
# What nobody installs knows lines and functions, as backtraces tell them: variables take a fifth of the compiler's time.
LINES := -g1
UNFUZZED = $(if $(findstring fuzzer,$(SAN)),-fno-sanitize=fuzzer-no-link $(UNCOUNTED))
UNCOUNTED = $(if $(findstring fuzzer,$(SAN)),-fno-profile-instr-generate -fno-coverage-mapping)
LDFLAGS_ALL = $(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)
LIB_INC := -Ilib/include -Ilib/port/host/include
# What the daemon, client and tests also need: POSIX and GNU names of libc.
HOST_DEFS := -D_GNU_SOURCE

ifeq ($(V),)
Q := @
say = @printf '  %-8s %s\n' $(1) $(2)
else
Q :=
say = @:
endif
