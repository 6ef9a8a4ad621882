# SPDX-License-Identifier: BSD-2-Clause
all: lib
.PHONY: all
