# SPDX-License-Identifier: BSD-2-Clause
# install and uninstall: GNU folder names, DESTDIR for packagers. Both use one list: FROM:TO pairs.
prefix ?= /usr/local
exec_prefix ?= $(prefix)
bindir ?= $(exec_prefix)/bin
sbindir ?= $(exec_prefix)/sbin
libdir ?= $(exec_prefix)/lib
includedir ?= $(prefix)/include
datarootdir ?= $(prefix)/share
docdir ?= $(datarootdir)/doc/ptd
mandir ?= $(datarootdir)/man
unitdir ?= $(libdir)/systemd/system
INSTALL ?= install

MAN1 := $(patsubst docs/man/%.scd,$(B)/%,$(sort $(wildcard docs/man/*.1.scd)))
$(B)/%.1: docs/man/%.1.scd
	$(Q)mkdir -p $(@D) && scdoc < $< > $@

INSTALL_PROGRAMS := ptd:$(sbindir) ptd-checked:$(sbindir) ptctl:$(bindir)
INSTALL_DATA := $(B)/libptd.a:$(libdir) $(B)/libptd.pc:$(libdir)/pkgconfig client/include/ptd.h:$(includedir) \
	$(MAN1:%=%:$(mandir)/man1) LICENSE:$(docdir) README.md:$(docdir) $(foreach f,$(wildcard docs/*.md),$(f):$(docdir)) \
	$(foreach f,$(PROTO_SRC),$(f):$(datarootdir)/ptd/proto/ptd/v1) \
	$(foreach f,$(MAN_PAGES),$(f):$(mandir)/man$(patsubst .%,%,$(suffix $(f)))) \
	$(foreach f,$(wildcard systemd/*.service systemd/*.socket),$(f):$(unitdir))
LIBPTD_FILES := libptd.so.$(VERSION) $(SONAME) libptd.so

# Written anew each time: it holds prefix and libdir as they are asked for now.
.PHONY: $(B)/libptd.pc
$(B)/libptd.pc:
	$(Q)mkdir -p $(@D) && printf '%s\n' 'prefix=$(prefix)' 'libdir=$(libdir)' 'includedir=$(includedir)' '' \
		'Name: libptd' 'Description: client of ptd, the page-table daemon' 'Version: $(VERSION)' \
		'Libs: -L$${libdir} -lptd' 'Libs.private: $(LIBPTD_LIBS)' 'Cflags: -I$${includedir}' > $@

install: all $(MAN1) $(B)/libptd.pc #: puts programs, library, header and documents under DESTDIR and prefix
	$(Q)set -e; for pair in $(INSTALL_PROGRAMS); do from=$(B)/$${pair%%:*}; \
		if [ -e "$$from" ]; then $(INSTALL) -D -t "$(DESTDIR)$${pair#*:}" "$$from"; fi; done
	$(Q)set -e; for pair in $(INSTALL_DATA); do $(INSTALL) -D -m 644 -t "$(DESTDIR)$${pair#*:}" "$${pair%%:*}"; done
	$(Q)$(INSTALL) -D -m 644 -t "$(DESTDIR)$(libdir)" $(B)/libptd.so.$(VERSION)
	$(Q)ln -sf libptd.so.$(VERSION) "$(DESTDIR)$(libdir)/$(SONAME)" && \
		ln -sf libptd.so.$(VERSION) "$(DESTDIR)$(libdir)/libptd.so"

uninstall: #: removes what install put there
	$(Q)for pair in $(INSTALL_PROGRAMS) $(INSTALL_DATA); do file=$${pair%%:*}; \
		rm -f "$(DESTDIR)$${pair#*:}/$${file##*/}"; done
	$(Q)for file in $(LIBPTD_FILES); do rm -f "$(DESTDIR)$(libdir)/$$file"; done
	$(Q)rmdir -p "$(DESTDIR)$(docdir)" "$(DESTDIR)$(datarootdir)/ptd/proto/ptd/v1" 2>/dev/null || true
.PHONY: install uninstall
