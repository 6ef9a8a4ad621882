#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Deferred free and claims, as models that Spin searches: all orders of steps and of stores that reach memory late.

A model as it stands has no error. Without one of its rules (a macro each) it has one, of the kind that the rule
prevents: a search that finds nothing then would find nothing ever.
"""
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from tap import TREE, equal, main, test, true  # noqa: E402

READ, STUCK, NONE = "assertion violated", "invalid end state", "no error"
CASES = [
    ("free", "", NONE, "no table is read after it was zeroed, and no CPU waits for ever"),
    ("free", "NO_SECTION_FENCE", READ, "a section that begins without its fence"),
    ("free", "NO_FLUSH", READ, "pages retired before the unlinking has reached memory"),
    ("free", "FREE_AT_ONCE", READ, "pages that do not wait"),
    ("free", "NESTED_ENDS", READ, "an exception at EL2 that ends the section it meets"),
    ("free", "NO_RELEASE", READ, "a section whose end passes its last load"),
    ("free", "WAIT_INSIDE", STUCK, "two that wait for each other inside their sections"),
    ("free", "WAIT_FOR_THE_QUIET", STUCK, "waiting for a CPU that is off"),
    ("claim", "", NONE, "no point operation is at work in a drained claim, and no CPU waits for ever"),
    ("claim", "NO_SECTION_FENCE", READ, "a point operation whose section begins without its fence"),
    ("claim", "NO_CLAIM_FENCE", READ, "a claim that looks at sections before it is seen"),
    ("claim", "NO_USE_FENCE", READ, "a machine's new user that looks for claims before it is seen"),
    ("claim", "NO_DRAIN", READ, "a claim that does not wait"),
    ("claim", "WAIT_INSIDE", STUCK, "two claims that wait inside their sections"),
]
SECONDS = 60
MEANS = re.compile(r"@ (\S+) (\w+):\s*(.*?)\s*(?:\*/)?$", re.M)


def call(*command, cwd):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False)
    true(done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def search(model, macro):
    """(what Spin found, states)"""
    with tempfile.TemporaryDirectory() as folder:
        for path in glob.glob(os.path.join(HERE, "*.pml")):
            shutil.copy(path, folder)
        call("spin", *([f"-D{macro}"] if macro else []), "-a", model + ".pml", cwd=folder)
        call("gcc", "-O0", "-w", "-DSAFETY", "-o", "pan", "pan.c", cwd=folder)
        said = call("./pan", "-m10000", cwd=folder)
    true("max search depth too small" not in said and (macro or "Search not completed" not in said), said)
    found = re.search(rf"pan:1: ({READ}|{STUCK})", said)
    errors, states = (int(re.search(p, said).group(1)) for p in (r"errors: (\d+)", r"(\d+) states, stored"))
    equal(errors, 1 if found else 0, said)
    return found.group(1) if found else NONE, states


def body(path, function):
    """A function's text, from its name to the brace that ends it."""
    with open(os.path.join(TREE, path), encoding="utf-8") as f:
        found = re.search(rf"^\w[^;{{}}]*\b{function}\([^;]*?\)\n{{.*?^}}", f.read(), re.M | re.S)
    true(found, f"{path}: no function {function}")
    return " ".join(found.group(0).split())


POOL = concurrent.futures.ThreadPoolExecutor(min(os.cpu_count() or 2, 4))
STARTED = {}


def register(model, macro, wanted, what):
    sentence = f"{model}: {what}" + (f": {wanted}" if macro else "")
    if not sys.argv[1:] or any(a in sentence for a in sys.argv[1:]):
        STARTED[model, macro] = POOL.submit(search, model, macro)

    @test(sentence)
    def _():
        found, states = STARTED[model, macro].result()
        equal(found, wanted)
        print(f"# {model} {macro or 'as it is'}: {found}, {states} states", flush=True)


for case in CASES:
    register(*case)


@test("each line of code that a model names is there")
def _():
    named = 0
    for path in sorted(glob.glob(os.path.join(HERE, "*.pml"))):
        with open(path, encoding="utf-8") as f:
            for file, function, text in MEANS.findall(f.read()):
                if file.endswith((".c", ".h")):
                    named += 1
                    true(text in body(file, function), f"{os.path.basename(path)}: {file}: {function}() has no: {text}")
    true(named >= 15, f"{named} lines")


main()
