#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Stands in for clang in a build that nobody runs: clang judges every source with the flags of its rule, and what
# make asks for is an object with nothing in it. What the sanitizers' build beside this one (build-asan beside
# build-clang) has compiled since the source changed was judged there, with the same flags; a test that is there over
# the checker alone, too, unless it asks for which of the two it is.
# shellcheck disable=SC3013 # dash and bash know -nt
set -eu
sources='' output='' before=''
for word; do
	case $word in *.c) sources=$word ;; esac
	[ "$before" != -o ] || output=$word
	before=$word
done

judged() {
	case $output in *-clang/*) ;; *) return 1 ;; esac
	beside=${output%%-clang/*}-asan
	name=${output#*-clang/}
	[ "$beside/$name" -nt "$sources" ] ||
		{ [ "$beside/checked/$name" -nt "$sources" ] && ! grep -q PT_CHECKED "$sources"; }
}

[ -z "$sources" ] || judged || clang "$@" -fsyntax-only -Wno-unused-command-line-argument
as -o "$output" /dev/null
