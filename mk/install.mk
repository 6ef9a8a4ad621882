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
# systemd looks for these under /usr, /usr/local or /etc only.
unitdir ?= $(exec_prefix)/lib/systemd/system
sysusersdir ?= $(exec_prefix)/lib/sysusers.d
tmpfilesdir ?= $(exec_prefix)/lib/tmpfiles.d
INSTALL ?= install

INSTALL_PROGRAMS := ptd:$(sbindir) ptd-checked:$(sbindir) ptctl:$(bindir)
INSTALL_DATA := $(foreach l,libptd libptd-uv,$(B)/$(l).a:$(libdir) $(B)/$(l).pc:$(libdir)/pkgconfig) $(foreach f,$(wildcard client/include/*.h),$(f):$(includedir)) \
	LICENSE:$(docdir) README.md:$(docdir) $(foreach f,$(wildcard docs/*.md),$(f):$(docdir)) \
	$(foreach f,$(PROTO_SRC),$(f):$(datarootdir)/ptd/proto/ptd/v1) \
	$(foreach f,$(MAN_PAGES),$(f):$(mandir)/man$(patsubst .%,%,$(suffix $(f)))) \
	$(B)/systemd/ptd.service:$(unitdir) $(foreach f,$(wildcard systemd/*.socket),$(f):$(unitdir)) \
	$(B)/systemd/sysusers.d/ptd.conf:$(sysusersdir) $(B)/systemd/tmpfiles.d/ptd.conf:$(tmpfilesdir) \
	$(foreach f,$(wildcard systemd/examples/*),$(f):$(docdir)/examples)
LIBPTD_FILES := $(foreach l,libptd libptd-uv,$(l).so.$(VERSION) $(l).so.0 $(l).so)

# Written anew each time: it holds prefix and libdir as they are asked for now.
.PHONY: $(B)/libptd.pc $(B)/libptd-uv.pc
$(B)/libptd.pc:
	$(Q)mkdir -p $(@D) && printf '%s\n' 'prefix=$(prefix)' 'libdir=$(libdir)' 'includedir=$(includedir)' '' \
		'Name: libptd' 'Description: client of ptd, the page-table daemon' 'Version: $(VERSION)' \
		'Requires.private: libnghttp2 libprotobuf-c libssl libcrypto' 'Libs: -L$${libdir} -lptd' \
		'Cflags: -I$${includedir}' > $@
$(B)/libptd-uv.pc:
	$(Q)mkdir -p $(@D) && printf '%s\n' 'prefix=$(prefix)' 'libdir=$(libdir)' 'includedir=$(includedir)' '' \
		'Name: libptd-uv' 'Description: libptd on a libuv loop' 'Version: $(VERSION)' \
		'Requires: libptd = $(VERSION) libuv' 'Libs: -L$${libdir} -lptd-uv' \
		'Cflags: -I$${includedir}' > $@

# The unit names the program where it will be; the two .d folders want names in .conf.
.PHONY: $(B)/systemd/ptd.service
$(B)/systemd/ptd.service: systemd/ptd.service
	$(Q)mkdir -p $(@D) && sed 's|^ExecStart=/usr/sbin/|ExecStart=$(sbindir)/|' $< > $@
$(B)/systemd/%.d/ptd.conf: systemd/ptd.%
	$(Q)mkdir -p $(@D) && cp $< $@
SYSTEMD_FILES := $(B)/systemd/ptd.service $(B)/systemd/sysusers.d/ptd.conf $(B)/systemd/tmpfiles.d/ptd.conf

install: all $(B)/libptd.pc $(B)/libptd-uv.pc $(SYSTEMD_FILES) #: puts programs, library, header and documents under DESTDIR and prefix
	$(Q)set -e; for pair in $(INSTALL_PROGRAMS); do from=$(B)/$${pair%%:*}; \
		if [ -e "$$from" ]; then $(INSTALL) -D -t "$(DESTDIR)$${pair#*:}" "$$from"; fi; done
	$(Q)set -e; for pair in $(INSTALL_DATA); do $(INSTALL) -D -m 644 -t "$(DESTDIR)$${pair#*:}" "$${pair%%:*}"; done
	$(Q)set -e; for lib in libptd.so libptd-uv.so; do \
		$(INSTALL) -D -m 644 -t "$(DESTDIR)$(libdir)" $(B)/$$lib.$(VERSION); \
		ln -sf $$lib.$(VERSION) "$(DESTDIR)$(libdir)/$$lib.0"; \
		ln -sf $$lib.$(VERSION) "$(DESTDIR)$(libdir)/$$lib"; done

uninstall: #: removes what install put there
	$(Q)for pair in $(INSTALL_PROGRAMS) $(INSTALL_DATA); do file=$${pair%%:*}; \
		rm -f "$(DESTDIR)$${pair#*:}/$${file##*/}"; done
	$(Q)for file in $(LIBPTD_FILES); do rm -f "$(DESTDIR)$(libdir)/$$file"; done
	$(Q)rmdir "$(DESTDIR)$(docdir)/examples" 2>/dev/null || true
	$(Q)rmdir -p "$(DESTDIR)$(docdir)" "$(DESTDIR)$(datarootdir)/ptd/proto/ptd/v1" 2>/dev/null || true
.PHONY: install uninstall
