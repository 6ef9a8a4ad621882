#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Stands in for clang in a build that nobody runs: clang judges every source with the flags of its rule, and what
# make asks for is an object with nothing in it.
set -eu
sources='' output='' before=''
for word; do
	case $word in *.c) sources=$word ;; esac
	[ "$before" != -o ] || output=$word
	before=$word
done
[ -z "$sources" ] || clang "$@" -fsyntax-only -Wno-unused-command-line-argument
as -o "$output" /dev/null
