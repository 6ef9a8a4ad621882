# SPDX-License-Identifier: BSD-2-Clause
"""Who includes whom: the layers of lib, and what daemon and client may see of it."""
import glob
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rules  # noqa: E402
from tap import TREE, equal, main, test, true  # noqa: E402

os.chdir(TREE)
PUBLIC = {"pt/" + os.path.basename(p) for p in glob.glob("lib/include/pt/*.h")} | \
    {"pt/host/" + os.path.basename(p) for p in glob.glob("lib/port/host/include/pt/host/*.h")} | {"pt/port.h"}


def sources(*patterns):
    return sorted(p for pattern in patterns for p in glob.glob(pattern, recursive=True))


def complaints(check, paths):
    found = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            for kind, name in rules.includes(file.read()):
                found += check(path, kind, name)
    return found


def none(found):
    true(not found, "\n".join(found))


LIB = [p for p in sources("lib/*/*.c", "lib/*/*.h") if not p.startswith(("lib/port/", "lib/include/"))]


@test("each module of lib includes only what stands below it")
def _():
    true(len(LIB) > 10, "no sources of lib were found")
    none(complaints(rules.check_lib_include, LIB))


@test("public headers of lib include only headers of their layer or below")
def _():
    none(complaints(rules.check_public_header, sources("lib/include/pt/*.h")))


@test("lib/port/el2 includes no libc, and of lib its public headers only")
def _():
    paths = sources("lib/port/el2/**/*.[chS]")
    true(len(paths) > 10, "no sources of the EL2 port were found")
    none(complaints(rules.check_port_el2_include, paths))


@test("daemon and client see public headers of lib only")
def _():
    paths = sources("daemon/**/*.[ch]", "client/**/*.[ch]")
    true(paths, "no sources of daemon and client were found")
    none(complaints(lambda p, k, n: rules.check_outside_include(p, k, n, PUBLIC), paths))


@test("daemon/core includes nothing that touches the world")
def _():
    none(complaints(rules.check_core_include, sources("daemon/core/*.[ch]")))


@test("the architectural walker shares no header with lib")
def _():
    paths = sources("lib/port/host/hw*.c", "lib/port/host/include/pt/host/hwwalk.h")
    true(paths, "the walker was not found")
    none(complaints(rules.check_hardware_walker, paths))


@test("only lib/port/host includes liburcu, and in one file")
def _():
    users = [p for p in sources("lib/**/*.[ch]", "daemon/**/*.[ch]", "client/**/*.[ch]")
             if "<urcu" in open(p, encoding="utf-8").read()]
    equal(users, ["lib/port/host/rcu.c"])


def compiles(command, text):
    return subprocess.run([*command, "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-"], input=text, text=True,
                          capture_output=True)


LIB_FLAGS = ["-Ilib/include", "-Ilib/port/host/include"]
HEADERS = sorted(PUBLIC)


@test("every public header of lib compiles alone as C11")
def _():
    for header in HEADERS:
        done = compiles(["gcc", "-std=c11", "-x", "c", *LIB_FLAGS], f"#include <{header}>\n")
        true(done.returncode == 0, f"<{header}>:\n{done.stderr}")


@test("the client's public headers compile alone as C11 and as C++17")
def _():
    headers = sources("client/include/*.h")
    true(headers, "no public header of the client")
    for header in headers:
        for command in (["gcc", "-std=c11", "-pedantic", "-x", "c"], ["g++", "-std=c++17", "-pedantic", "-x", "c++"]):
            done = compiles([*command, "-Iclient/include"], f"#include <{os.path.basename(header)}>\n")
            true(done.returncode == 0, f"{header} with {command[0]}:\n{done.stderr}")


@test("private headers of lib, daemon and client compile alone")
def _():
    build = os.environ.get("PTD_BUILD", "build")
    paths = sources("lib/*/*.h", "daemon/*/*.h", "client/*.h")
    for header in paths:
        done = compiles(["gcc", "-std=c11", "-x", "c", "-D_GNU_SOURCE", *LIB_FLAGS, "-Ilib", "-Idaemon", "-Idaemon/core",
                         "-Iclient", "-Iclient/include", f"-I{build}/gen", f"-I{build}", "-Wno-unused-function"],
                        f'#include "{header}"\n')
        true(done.returncode == 0, f"{header}:\n{done.stderr}")


@test("the checks see bad examples")
def _():
    bad = [
        rules.check_lib_include("lib/arch/x.c", "<", "pt/txn.h"),
        rules.check_lib_include("lib/walk/x.c", '"', "../txn/internal.h"),
        rules.check_lib_include("lib/txn/x.c", '"', "../s2/private.h"),
        rules.check_lib_include("lib/txn/x.c", "<", "pt/fault.h"),
        rules.check_lib_include("lib/pool/x.c", "<", "string.h"),
        rules.check_lib_include("lib/check/x.c", "<", "pt/walk.h"),
        rules.check_lib_include("lib/check/x.c", '"', "../walk/inline.h"),
        rules.check_lib_include("lib/news/x.c", "<", "stdint.h"),
        rules.check_public_header("lib/include/pt/pool.h", "<", "pt/txn.h"),
        rules.check_public_header("lib/include/pt/pool.h", "<", "stdio.h"),
        rules.check_public_header("lib/include/pt/check.h", "<", "pt/pool.h"),
        rules.check_outside_include("daemon/core/x.c", '"', "../../lib/txn/internal.h", PUBLIC),
        rules.check_outside_include("client/x.c", '"', "base/bits.h", PUBLIC),
        rules.check_outside_include("client/x.c", "<", "pt/secret.h", PUBLIC),
        rules.check_port_el2_include("lib/port/el2/x.c", "<", "stdlib.h"),
        rules.check_port_el2_include("lib/port/el2/x.c", "<", "pt/host/rcu.h"),
        rules.check_port_el2_include("lib/port/el2/x.c", '"', "../../txn/internal.h"),
        rules.check_core_include("daemon/core/x.c", "<", "uv.h"),
        rules.check_core_include("daemon/core/x.c", "<", "sys/socket.h"),
        rules.check_core_include("daemon/core/x.c", "<", "pthread.h"),
        rules.check_hardware_walker("lib/port/host/hwwalk.c", "<", "pt/desc.h"),
    ]
    for number, found in enumerate(bad):
        true(found, f"bad example {number} was not seen")
    equal(rules.check_lib_include("lib/txn/x.c", "<", "pt/walk.h"), [])
    true(compiles(["gcc", "-std=c11", "-x", "c"], "static int f(int x) { return y; }").returncode != 0)


main()
