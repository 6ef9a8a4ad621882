# SPDX-License-Identifier: BSD-2-Clause
"""Objects that several builds share would be the same in each: what they are told apart by is in no header.

mk/daemon.mk compiles those sources again for checked builds that call the seam, mk/sim.mk those for the simulation that
name one of its limits. Both look at sources alone. What mk/check.mk builds over the checker, tests/stages.py runs.
"""
import glob
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import stages  # noqa: E402
from tap import TREE, equal, main, test, true  # noqa: E402

os.chdir(TREE)
COMMENT = re.compile(r"/\*.*?\*/", re.S)
# What the seam itself is made of; <pt/machine.h> has the one function besides that calls it.
SEAM = {"lib/include/pt/port_common.h", "lib/port/host/include/pt/port.h"}
LIB = {"lib/include/pt/machine.h": ["pt_machine_use", "pt_port_fence_full(", "pt_port_note("]}


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


CALLS = re.compile(re.search(r"^SEAM_CALLS := (.*)$", read("mk/daemon.mk"), re.M).group(1))
KNOBS = re.compile(r"\b(?:" + "|".join(re.findall(r"^#undef (\w+)$", read("tests/sim/knobs.h"), re.M)) + r")\b")


def calls(text):
    return sorted({found.group() for found in CALLS.finditer(COMMENT.sub("", text))})


def knobs(text):
    """Uses of a limit, but for its own definition."""
    return KNOBS.findall(re.sub(r"(?m)^#define \w+", "#define", COMMENT.sub("", text)))


@test("no header that the daemon includes brings calls of the seam with it")
def _():
    own = glob.glob("daemon/*/*.h") + glob.glob("tests/model/*.[ch]")
    lib = set(glob.glob("lib/include/pt/*.h") + glob.glob("lib/port/host/include/**/*.h", recursive=True)) - SEAM
    true(len(own) > 50 and len(lib) > 30)
    equal({path: calls(read(path)) for path in own if calls(read(path))}, {})
    equal({path: calls(read(path)) for path in lib if calls(read(path))}, LIB)
    names = [name for path in SEAM for name in re.findall(r"^static inline [^(]*\b(pt_\w+\()", read(path), re.M)]
    equal([name for name in names if not CALLS.match(name)], [])
    true(len(names) > 20)


@test("no header of the core goes by a limit that the simulation varies")
def _():
    found = {path: knobs(read(path)) for path in glob.glob("daemon/core/*.h") if knobs(read(path))}
    equal(found, {})


def checked_unit(makefile):
    """Patterns of the tests over the checker."""
    found = re.search(r"test_%(\*\.c),([^)]*)\)", makefile.replace("\\\n", " "))
    return sorted(f"tests/unit/test_{name}{found.group(1)}" for name in found.group(2).split())


@test("what is built over the checker with sanitizers is what runs there")
def _():
    equal(checked_unit(read("mk/check.mk")), sorted(stages.CHECKED_CORE))


@test("the checks see bad examples")
def _():
    equal(calls("static inline void f(void)\n{\n\tpt_port_lock(&lock); /* pt_pte_load( */\n}\n"), ["pt_port_lock("])
    equal(calls("#ifdef PT_CHECKED\nint more;\n#endif\nstruct pt_port_lock lock;\n"), ["PT_CHECKED"])
    equal(checked_unit("A := $(patsubst %,tests/unit/test_%*.c,b \\\n\ta))\n"), ["tests/unit/test_a*.c", "tests/unit/test_b*.c"])
    equal(knobs("#define STEP_ITEMS 512u\n#define TWICE (2 * STEP_ITEMS)\n"), ["STEP_ITEMS"])


main()
