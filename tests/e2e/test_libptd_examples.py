# SPDX-License-Identifier: BSD-2-Clause
"""The examples of libptd do what they say, over sockets, TLS and connections that are cut."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import clientproxy  # noqa: E402
import ptdtest  # noqa: E402
from ptdtest import BUILD, TREE, Skip, equal, test, true  # noqa: E402

CUTS = 24


def example(name, *words, check=True, env=None):
    done = subprocess.run([os.path.join(BUILD, "examples", name), *words], capture_output=True, text=True, timeout=100,
                          env={**ptdtest.sanitizer_env(), **(env or {})})
    if check:
        equal(done.returncode, 0, f"{name} {' '.join(words)}\n{done.stdout}{done.stderr}")
    return done


@test("map_and_translate maps, translates, and says why it cannot")
def _():
    with ptdtest.Daemon(loops=1) as ptd:
        ptdtest.Guest(ptd)
        equal(example("map_and_translate", ptd.endpoint, "m0/g0").stdout,
              "1 leaf written, generation 2\n0x40001234 -> 0x201234 at level 2\n")
        done = example("map_and_translate", ptd.endpoint, "m0/none", check=False)
        equal(done.returncode, 1)
        true(done.stderr.startswith("NOT_FOUND: "), done.stderr)
        true("hint: " in done.stderr, done.stderr)
    done = example("map_and_translate", ptd.endpoint, "m0/g0", check=False)
    true(done.returncode == 1 and "No such file" in done.stderr, done.stderr)


@test("owners donates, shares back, and tells whose each page is; lend lends; and why not when it cannot")
def _():
    with ptdtest.Daemon(loops=1) as ptd:
        ptd.ptctl("machine", "create", "m0", "--memory", "64M", "--owners")
        ptd.ptctl("context", "create", "m0/host", "--kind", "host", "--identity")
        ptd.ptctl("context", "create", "m0/g0", "--protected")
        equal(example("owners", ptd.endpoint, "m0", "m0/g0").stdout,
              "0x000000 2097152 host\n0x200000    4096 guest\n0x201000    4096 guest, shared\n"
              "0x202000    8192 guest\n0x204000 2080768 host\n")
        done = example("owners", ptd.endpoint, "m0", "m0/g0", check=False)
        equal(done.returncode, 1)
        true(done.stderr.startswith("WRONG_OWNER: "), done.stderr)
        ptd.ptctl("own", "reclaim", "m0", "2M", "4K")
        equal(example("lend", ptd.endpoint, "m0", "m0/g0").stdout, "1 lending: 12288 bytes, at 0x50000000 of the guest\n")


@test("pipeline gets an answer to each of its calls")
def _():
    with ptdtest.Daemon(loops=1) as ptd:
        ptdtest.Guest(ptd)
        equal(example("pipeline", ptd.endpoint, "m0/g0").stdout, "10000 answers, 0 without\n")


@test("uv_watch tells what happens to contexts, in clear and over TLS")
def _():
    with ptdtest.Daemon(loops=1) as ptd, tempfile.TemporaryDirectory(prefix="ptd-test-") as folder:
        ptdtest.Guest(ptd)
        equal(example("uv_watch", ptd.endpoint, "2").stdout, "existing\nsynced\n")
        path = clientproxy.certificates(folder)
        env = {"PTD_TLS_CA": path("ca.pem"), "PTD_TLS_CERTIFICATE": path("client.pem"),
               "PTD_TLS_KEY": path("client.key")}
        with clientproxy.Proxy(ptd.socket, tls=clientproxy.server_context(path)) as proxy:
            watch = subprocess.Popen([os.path.join(BUILD, "examples", "uv_watch"), proxy.endpoint, "4"],
                                     stdout=subprocess.PIPE, text=True, env={**ptdtest.sanitizer_env(), **env})
            equal([watch.stdout.readline() for _ in range(2)], ["existing\n", "synced\n"])
            ptd.ptctl("context", "create", "m0/g1")
            ptd.ptctl("context", "delete", "m0/g1")
            equal([watch.stdout.readline() for _ in range(2)], ["created\n", "deleted\n"])
            equal(watch.wait(60), 0)
            watch.stdout.close()


@test("retry maps its page once, wherever its connection is cut")
def _():
    with ptdtest.Daemon(loops=1) as ptd:
        ptdtest.Guest(ptd)
        with clientproxy.Proxy(ptd.socket) as proxy:
            equal(example("retry", proxy.endpoint, "m0/g0").stdout, "done, sent 1 time(s)\n")
            link = proxy.links[0]
            total = {"up": link.passed[link.near], "down": link.passed[link.far]}
        seen = set()
        for way, size in total.items():
            # From where the context has been found to the end: the byte of each cut is spread evenly.
            for cut in sorted({size // 2 + i * (size - size // 2) // CUTS for i in range(CUTS // 2, CUTS)}):
                ptd.ptctl("unmap", "m0/g0", "0x50000000", "4K")
                before = generation(ptd)
                limits = (cut, None) if way == "up" else (None, cut)
                with clientproxy.Proxy(ptd.socket, limits=[limits]) as proxy:
                    done = example("retry", proxy.endpoint, "m0/g0", check=False)
                if done.returncode == 3:
                    continue  # cut before it had found its context
                equal((done.returncode, done.stderr), (0, ""), f"{way} {cut}")
                # One more generation: one change, not two.
                equal(generation(ptd), before + 1, f"{way} {cut}: {done.stdout}")
                seen.add(done.stdout)
        true("done, sent 2 time(s)\n" in seen, str(seen))


@test("session maps each of its pages once, though its connection is cut again and again")
def _():
    with ptdtest.Daemon(loops=2) as ptd:
        ptdtest.Guest(ptd)
        equal(example("session", ptd.endpoint, "m0/g0", "3000").stdout, "3000 done, 0 failed, 0 unknown\n")
        ptd.ptctl("unmap", "m0/g0", "0x40000000", "1G")
        before = generation(ptd)
        limits = [(5000 + 977 * i, None) if i % 2 else (None, 3000 + 433 * i) for i in range(12)]
        with clientproxy.Proxy(ptd.socket, limits=limits) as proxy:
            equal(example("session", proxy.endpoint, "m0/g0", "3000").stdout, "3000 done, 0 failed, 0 unknown\n")
            equal(len(proxy.links), 13)
        # One generation for each change that took effect.
        equal(generation(ptd), before + 3000)


def generation(ptd):
    return json.loads(ptd.ptctl("context", "show", "m0/g0", "-o", "json").stdout)["context"]["generation"]


@test("the C++ example compiles as C++17 without a warning and translates")
def _():
    names, flags = ("g++", "clang++"), []
    library = os.path.join(BUILD, "libptd.so")
    if "__asan_init" in subprocess.run(["nm", "-D", library], capture_output=True, text=True).stdout:
        names, flags = ("clang++",), ["-fsanitize=address,undefined"]  # as the library was built
    compilers = [found for found in map(shutil.which, names) if found]
    if not compilers:
        raise Skip("no C++ compiler")
    with ptdtest.Daemon(loops=1) as ptd, tempfile.TemporaryDirectory(prefix="ptd-test-") as folder:
        ptdtest.Guest(ptd)
        ptd.ptctl("map", "m0/g0", "0x40000000", "2M", "0x200000", "rw")
        for number, compiler in enumerate(compilers):
            binary = os.path.join(folder, f"translate{number}")
            done = subprocess.run([compiler, "-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", *flags, "-I",
                                   os.path.join(TREE, "client", "include"), "-o", binary,
                                   os.path.join(TREE, "client", "examples", "translate.cc"), "-L", BUILD, "-lptd",
                                   f"-Wl,-rpath,{BUILD}"], capture_output=True, text=True)
            equal(done.returncode, 0, done.stderr)
            done = subprocess.run([binary, ptd.endpoint, "m0/g0", "0x40000040"], capture_output=True, text=True,
                                  env=ptdtest.sanitizer_env())
            equal((done.returncode, done.stdout), (0, "0x200040\n"), done.stderr)


@test("each C fragment of docs/libptd.md stands in an example")
def _():
    def squeeze(text):
        return " ".join(text.split())
    with open(os.path.join(TREE, "docs", "libptd.md"), encoding="utf-8") as file:
        fragments = re.findall(r"^```c\n(.*?)^```$", file.read(), re.M | re.S)
    programs = []
    for path in glob.glob(os.path.join(TREE, "client", "examples", "*.c")):
        with open(path, encoding="utf-8") as file:
            programs.append(squeeze(file.read()))
    true(len(fragments) > 5, f"{len(fragments)} fragments")
    equal([text for text in fragments if not any(squeeze(text) in program for program in programs)], [])


@test("each example is shorter than a hundred lines")
def _():
    folder = os.path.join(TREE, "client", "examples")
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            true(len(file.readlines()) < 100, name)


ptdtest.main()
