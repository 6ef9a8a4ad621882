# SPDX-License-Identifier: BSD-2-Clause
"""libptd as its users have it: header, symbols, and a program linked with the shared and the static library."""
import glob
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

INCLUDE = os.path.join(TREE, "client", "include")
SOURCE = os.path.join(TREE, "tests", "e2e", "libptd_client.c")
SYMBOLS = os.path.join(TREE, "client", "libptd.symbols")
CC = os.environ.get("CC", "gcc").split()
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{INCLUDE}"]
LIBRARIES = {"shared": ["-lptd"],
             "static": [os.path.join(BUILD, "libptd.a"), "-lnghttp2", "-lprotobuf-c", "-lssl", "-lcrypto"]}
# What a library must not do to the program that it is in; write() to a socket may raise SIGPIPE.
FORBIDDEN = re.compile(r"^(__)?(v?f?d?printf|v?printf_|puts|fputs|putchar|putc|fputc|fwrite|perror|std(out|err|in)|_?_?exit|_Exit|"
                       r"quick_exit|abort|raise|kill|p?thread_kill|signal|sigaction|sigprocmask|alarm|setitimer|__assert_fail|"
                       r"atexit|system|popen|fork|setlocale|setenv|putenv|environ|syslog|"
                       r"writev?|sendmsg)(_chk)?$")


def run(*words, **more):
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, **more)
    equal(done.returncode, 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}")
    return done.stdout


def headers():
    return sorted(glob.glob(os.path.join(INCLUDE, "*.h")))


def declared(*names):
    found = set()
    for name in names:
        with open(os.path.join(INCLUDE, name), encoding="utf-8") as header:
            found |= set(re.findall(r"\bPTD_API\b[^;]*?\b(ptd_\w+)\(", re.sub(r"/\*.*?\*/", "", header.read(), flags=re.S)))
    return found


def committed(library):
    """Names of the committed list: "libptd.so.0: ptd_open"."""
    with open(SYMBOLS, encoding="ascii") as file:
        lines = [line.split() for line in file if not line.startswith("#")]
    return {name for where, name in lines if where == library + ":"}


def exported(path):
    text = run("nm", "-D", "--defined-only", "-P", path)
    return {line.split()[0] for line in text.splitlines()}


def imported(path):
    return {line.split()[0].split("@")[0] for line in run("nm", "-D", "--undefined-only", "-P", path).splitlines()}


SHARED = {"libptd.so.0": ("ptd.h", "ptd_core.h", "ptd_session.h"), "libptd-uv.so.0": ("ptd_uv.h",)}


@test("each header stands alone in C11 and in C++17, under gcc and clang")
def _():
    for compiler, standard in (("gcc", "c11"), ("g++", "c++17"), ("clang", "c11"), ("clang++", "c++17")):
        if not shutil.which(compiler):
            raise Skip(f"no {compiler}")
        for header in headers():
            run(compiler, f"-std={standard}", *STRICT, "-x", "c" if standard == "c11" else "c++", "-fsyntax-only", header)


@test("a shared library shows what its headers declare and nothing else, and the committed list agrees")
def _():
    for library, names in SHARED.items():
        shown = {name for name in exported(os.path.join(BUILD, library)) if not name.startswith("LIBPTD_")}
        true(all("@@LIBPTD_0." in name for name in shown), sorted(shown))
        shown = {name.split("@")[0] for name in shown}
        equal(sorted(shown ^ declared(*names)), [], f"{library}: shown, or declared, but not both")
        equal(sorted(shown ^ committed(library)), [], f"{library}: shown, or in client/libptd.symbols, but not both")
        true(f"{library}]" in run("readelf", "-d", os.path.join(BUILD, library)))


@test("the libraries print nothing, end nothing and touch no signal")
def _():
    for library in SHARED:
        equal(sorted(name for name in imported(os.path.join(BUILD, library)) if FORBIDDEN.match(name)), [])
    true(all(FORBIDDEN.match(name) for name in ("printf", "__printf_chk", "stderr", "exit", "abort", "sigaction")))
    true(not FORBIDDEN.match("snprintf") and not FORBIDDEN.match("vsnprintf"))


@test("a static library adds no name but these to a program")
def _():
    for library, headers_of in SHARED.items():
        text = run("nm", "--defined-only", os.path.join(BUILD, library.replace(".so.0", ".a")))
        names = {line.split()[2] for line in text.splitlines() if re.search(r" [TDBR] ", line)}
        equal(sorted(names ^ declared(*headers_of)), [], library)


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
