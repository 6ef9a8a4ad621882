# SPDX-License-Identifier: BSD-2-Clause
"""libptd as its users have it: header, symbols, and a program linked with the shared and the static library."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ptdtest  # noqa: E402
from ptdtest import BUILD, TREE, Skip, equal, test, true  # noqa: E402

HEADER = os.path.join(TREE, "client", "include", "ptd.h")
SOURCE = os.path.join(TREE, "tests", "e2e", "libptd_client.c")
CC = os.environ.get("CC", "gcc").split()
STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{os.path.dirname(HEADER)}"]
LIBRARIES = {"shared": ["-lptd"], "static": [os.path.join(BUILD, "libptd.a"), "-lnghttp2", "-lprotobuf-c"]}


def run(*words, **more):
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, **more)
    equal(done.returncode, 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}")
    return done.stdout


def declared():
    with open(HEADER, encoding="utf-8") as header:
        return set(re.findall(r"\b(ptd_\w+)\(", re.sub(r"/\*.*?\*/", "", header.read(), flags=re.S)))


@test("the header stands alone in C11 and in C++17")
def _():
    run(*CC, "-std=c11", *STRICT, "-x", "c", "-fsyntax-only", HEADER)
    cxx = shutil.which("g++") or shutil.which("clang++")
    if not cxx:
        raise Skip("no C++ compiler")
    run(cxx, "-std=c++17", *STRICT, "-x", "c++", "-fsyntax-only", HEADER)


@test("the shared library shows what the header declares and nothing else")
def _():
    names = {line.split()[2].split("@")[0] for line in
             run("nm", "-D", "--defined-only", os.path.join(BUILD, "libptd.so")).splitlines() if " T " in line}
    equal(names - {n for n in names if n.startswith("__")}, declared() - {"ptd_reply_fn", "ptd_message_fn"})
    true("libptd.so.0]" in run("readelf", "-d", os.path.join(BUILD, "libptd.so")))


@test("the static library adds no name but these to a program")
def _():
    names = {line.split()[2] for line in
             run("nm", "--defined-only", os.path.join(BUILD, "libptd.a")).splitlines() if re.search(r" [TDBR] ", line)}
    equal({n for n in names if not n.startswith("__")}, declared() - {"ptd_reply_fn", "ptd_message_fn"})


def program(kind):
    folder = tempfile.mkdtemp(prefix="ptd-test-")
    try:
        binary = os.path.join(folder, "client")
        run(*CC, "-std=c11", "-g", *STRICT, "-o", binary, SOURCE, f"-L{BUILD}", *LIBRARIES[kind], f"-Wl,-rpath,{BUILD}")
        with ptdtest.Daemon(loops=1) as ptd:
            ptdtest.Guest(ptd)
            equal(run(binary, ptd.endpoint), "done\n")
    finally:
        shutil.rmtree(folder)


@test("a program with the shared library calls, pipelines, polls, streams and cancels")
def _():
    program("shared")


@test("a program with the static library does the same")
def _():
    program("static")


ptdtest.main()
