# SPDX-License-Identifier: BSD-2-Clause
# What people type: the targets of `make help`.
all: lib

# Nothing is installed by plain make: what is missing is named, once for each build folder. make remakes an included
# file before anything else, so nothing is compiled without its packages.
NO_BUILD := clean demo check check-long test help setup lint uninstall
ifneq ($(filter-out $(NO_BUILD),$(or $(MAKECMDGOALS),all)),)
$(B)/packages.mk: mk/setup.sh
	$(Q)mk/setup.sh --check build
	$(Q)mkdir -p $(@D) && echo '# The packages that a build needs were there.' > $@
include $(B)/packages.mk
endif

setup: #: installs missing packages, if there are any
	$(Q)mk/setup.sh

demo: setup #: installs what is missing, builds, and takes a tour of ptd through ptctl
	+$(Q)$(MAKE) --no-print-directory B=$(B) demo-tour

test: #: 2 minutes: build, layers, unit, end to end
	$(Q)tests/run test --build $(B)

check: setup #: installs what is missing and runs all tests (12 minutes)
	$(Q)tests/run check --build $(B)

check-long: setup #: also all mutants and free seeds
	$(Q)tests/run check-long --build $(B)

unit layers counts e2e asan tsan mutants: #: one stage of check
	$(Q)tests/run $@ --build $(B)

lint: #: formatting, shell scripts, clang-tidy and spelling
	$(Q)tests/lint $(B)

help: #: this list
	$(Q)echo 'make          builds everything into $(B)/; installs nothing' && \
	sed -n 's/^\([a-z][a-z0-9 -]*\):[^=#][^#]*#: \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | sort -u | \
	while IFS="$$(printf '\t')" read -r names what; do for n in $$names; do printf 'make %-11s %s\n' $$n "$$what"; done; done

clean: #: removes the build folders
	$(Q)rm -rf $(B) $(wildcard $(B)-*)

.PHONY: all setup demo test check check-long unit layers e2e asan tsan mutants lint help clean
