# SPDX-License-Identifier: BSD-2-Clause
"""Rules for every file: length, heads, no path of one machine, nothing unfinished, nothing built."""
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rules  # noqa: E402
from tap import Skip, TREE, equal, main, test, true  # noqa: E402

os.chdir(TREE)
MAX_BYTES = 200_000


def tracked():
    done = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True)
    if done.returncode != 0:
        raise Skip("not a git work tree")
    return [p for p in done.stdout.split("\0") if p and os.path.isfile(p)]


def text_of(path):
    with open(path, "rb") as file:
        data = file.read()
    return None if b"\0" in data else data.decode("utf-8", "replace")


def each(check, wanted):
    found = []
    for path in tracked():
        text = text_of(path) if wanted(path) else None
        if text is not None:
            found += check(path, text)
    true(not found, "\n".join(found))


@test("no C file is longer than the limit")
def _():
    each(lambda path, text: rules.check_length(path, text.count("\n")), lambda p: p.endswith((".c", ".h")))


@test("no file names a path of one machine or calls itself unfinished")
def _():
    each(rules.check_text, lambda p: not p.startswith("proto/grpc/"))  # vendored: their words


@test("every source begins with its licence and its purpose")
def _():
    each(rules.check_head, lambda p: p.endswith((".c", ".h", ".py", ".sh", ".mk", ".proto", ".bats"))
         and not p.startswith(("proto/grpc/", "proto/google/")))


@test("nothing built or large is tracked")
def _():
    bad = [p for p in tracked() if p.startswith("build") or p.endswith((".o", ".a", ".so", ".pyc"))
           or os.path.getsize(p) > MAX_BYTES]
    equal(bad, [])


@test("docs link to files that are there")
def _():
    import re
    missing = []
    for path in tracked():
        if not path.endswith(".md"):
            continue
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text_of(path)):
            if "://" not in target and not os.path.exists(os.path.join(os.path.dirname(path), target)):
                missing.append(f"{path}: {target}")
    equal(missing, [])


@test("the checks see bad examples")
def _():
    true(rules.check_length("lib/s2/x.c", 901))
    equal(rules.check_length("lib/s2/x.c", 900), [])
    true(rules.check_text("x.c", "open(\"/ro" + "ot/x\")"))
    true(rules.check_text("x.c", "/* TO" + "DO: later */"))
    true(rules.check_head("x.c", "int x;\n"))
    true(rules.check_head("x.c", "/* SPDX-License-Identifier: BSD-2-Clause */\n\n\n"))
    equal(rules.check_head("x.c", "/* SPDX-License-Identifier: BSD-2-Clause */\n/* One entry. */\n"), [])


main()
