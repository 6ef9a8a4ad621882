# SPDX-License-Identifier: BSD-2-Clause
"""What objects ask for: nm over lib for the host and for bare metal, and over daemon/core."""
import concurrent.futures
import fnmatch
import glob
import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rules  # noqa: E402
from tap import BUILD, TREE, equal, main, test, true  # noqa: E402

os.chdir(TREE)
# An optimiser that does less removes fewer calls; the images of mk/el2.mk are linked without libraries at -O2.
CROSS = ["aarch64-linux-gnu-gcc", "-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-nostdlib",
         "-mgeneral-regs-only", "-mstrict-align", "-mno-outline-atomics", "-Itests/layers/port/include",
         "-Ilib/include", "-Ilib"]
SOURCES = sorted(p for p in glob.glob("lib/*/*.c") if rules.module_of(p) in rules.SEES)


def symbols(paths, nm="nm"):
    """(undefined, defined globals) of objects."""
    text = subprocess.run([nm, "-P", "-g", *paths], capture_output=True, text=True, check=True).stdout
    undefined, defined = set(), set()
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0].endswith(":"):
            continue
        (undefined if words[1] in "Uwv" else defined).add(words[0])
    return undefined, defined


def host_objects(module="*"):
    paths = [os.path.join(BUILD, p[:-2] + ".o") for p in SOURCES if module in ("*", rules.module_of(p))]
    missing = [p for p in paths if not os.path.exists(p)]
    true(not missing, f"not built: {missing}")
    return paths


def each(commands):
    """All succeed; as many at once as there are processors."""
    def run(command):
        done = subprocess.run(command, capture_output=True, text=True)
        return "" if done.returncode == 0 else f"{command[-1]}:\n{done.stderr}"
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        none(list(filter(None, pool.map(run, commands))))


def none(found):
    true(not found, "\n".join(found))


@test("lib's host objects ask only for each other and the seam")
def _():
    undefined, defined = symbols(host_objects())
    none(rules.check_undefined(undefined, defined, rules.HOST_SYMBOL, "host"))


@test("lib compiles for bare metal aarch64 and asks only for the seam and mem*")
def _():
    with tempfile.TemporaryDirectory() as folder:
        objects = [os.path.join(folder, f"{number}.o") for number in range(len(SOURCES))]
        each([*CROSS, "-c", "-o", out, source] for source, out in zip(SOURCES, objects))
        undefined, defined = symbols(objects, "aarch64-linux-gnu-nm")
        none(rules.check_undefined(undefined, defined, rules.BARE_SYMBOL, "aarch64"))


def left_out():
    """The sources that clang does not compile for the images of mk/el2.mk."""
    with open("mk/el2.mk", encoding="utf-8") as file:
        values = dict(re.findall(r"^(EL2_LEFT_(?:lse|clang)) := (.*)$", file.read(), re.M))
    patterns = values["EL2_LEFT_clang"].replace("$(EL2_LEFT_lse)", values["EL2_LEFT_lse"]).replace("%", "*").split()
    return [path for path in SOURCES if any(fnmatch.fnmatch(path, pattern) for pattern in patterns)]


@test("clang compiles for bare metal aarch64, too, what no image has")
def _():
    sources = left_out()
    true({rules.module_of(path) for path in sources} <= {"check", "owner"} and len(sources) < len(SOURCES))
    each(["clang", "--target=aarch64-none-elf", *[f for f in CROSS[1:] if f != "-mstrict-align"], "-fsyntax-only", source]
         for source in sources)


@test("no module of lib calls into a module above it")
def _():
    modules = sorted({rules.module_of(p) for p in SOURCES})
    home, asks = {}, {}
    for module in modules:
        undefined, defined = symbols(host_objects(module))
        asks[module] = undefined - defined
        home.update(dict.fromkeys(defined, module))
    none([c for module in modules for c in rules.check_calls(module, asks[module], home)])


@test("global names of lib begin with pt_")
def _():
    none([c for path in host_objects() for c in rules.check_exported(path, symbols([path])[1])])


@test("daemon/core asks for nothing that touches the world")
def _():
    paths = [os.path.join(BUILD, p[:-2] + ".o") for p in sorted(glob.glob("daemon/core/*.c"))]
    true(paths, "no sources of daemon/core")
    missing = [p for p in paths if not os.path.exists(p)]
    true(not missing, f"not built: {missing}")
    undefined, defined = symbols(paths)
    none(rules.check_core_symbols(undefined, defined))


@test("libptd exports only names that begin with ptd_")
def _():
    library = os.path.join(BUILD, "libptd.so")
    text = subprocess.run(["nm", "-D", "--defined-only", "-P", library], capture_output=True, text=True,
                          check=True).stdout
    names = {line.split()[0].split("@")[0] for line in text.splitlines()}
    extra = sorted(n for n in names if not n.startswith("ptd_") and not n.startswith("LIBPTD"))
    equal(extra, [])
    true(any(n.startswith("ptd_") for n in names), "libptd exports nothing")


def compiled(text, *flags):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "bad.o")
        subprocess.run(["gcc", "-x", "c", "-O0", "-w", *flags, "-c", "-o", path, "-"], input=text, text=True, check=True)
        return symbols([path])


@test("the checks see bad examples")
def _():
    undefined, defined = compiled("void pt_bad(void) { printf(\"x\"); malloc(3); }")
    equal(len(rules.check_undefined(undefined, defined, rules.HOST_SYMBOL, "bad")), 2)
    equal(len(rules.check_undefined(undefined, defined, rules.BARE_SYMBOL, "bad")), 2)
    undefined, defined = compiled("void bad(void) { uv_now(0); clock_gettime(0, 0); pthread_self(); open(\"x\", 0);"
                                  " getrandom(0, 0, 0); nanosleep(0, 0); socket(0, 0, 0); }")
    equal(len(rules.check_core_symbols(undefined, defined)), 7)
    equal(len(rules.check_exported("bad.o", defined)), 1)
    true(rules.check_calls("walk", {"pt_txn_step"}, {"pt_txn_step": "txn"}))
    true(rules.check_calls("check", {"pt_walk"}, {"pt_walk": "walk"}))
    equal(rules.check_calls("txn", {"pt_walk"}, {"pt_walk": "walk"}), [])
    true(rules.check_calls("hv", {"pt_item_check_owner"}, {"pt_item_check_owner": "txn"}))
    equal(rules.check_calls("owner", {"pt_item_check_owner"}, {"pt_item_check_owner": "txn"}), [])
    true(rules.check_core_symbols({"pt_item_check_owner"}, set()))


main()
