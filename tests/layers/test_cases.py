# SPDX-License-Identifier: BSD-2-Clause
"""docs/hostile-peers.md: no case is missing, and each test that it names is there."""
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import TREE, equal, main, test, true  # noqa: E402

LAST_CASE = 67
NO_TEST = {11: "not yet"}
ROW = re.compile(r"^\| (?P<what>.+?) \| (?P<outcome>.+) \| (?:`(?P<file>tests/[\w/]+\.\w+)`: (?P<test>.+)|none) \|$")


def rows(title):
    with open(os.path.join(TREE, "docs", "hostile-peers.md"), encoding="utf-8") as text:
        part = text.read().split(f"\n## {title}\n")[1].split("\n## ")[0]
    found = []
    for line in part.split("\n"):
        if line.startswith("| ") and not line.endswith("| shown by |"):
            true(ROW.match(line), f"a row of another form: {line[:80]}")
            found.append(ROW.match(line))
    return found


def tests_of(path, cache={}):
    if path not in cache:
        with open(os.path.join(TREE, path), encoding="utf-8") as text:
            source = text.read()
        pattern = r'@test\("((?:[^"\\]|\\.)*)"' if path.endswith(".py") else r"cmocka_unit_test\w*\(\s*(\w+)"
        cache[path] = set(re.findall(pattern, source))
    return cache[path]


@test("each case from 1 to 67 has a row, in order, with an outcome")
def _():
    numbers = [int(row["what"].split()[0]) for row in rows("Cases")]
    equal(sorted(set(numbers)), list(range(1, LAST_CASE + 1)))
    equal(numbers, sorted(numbers))
    for row in rows("Cases"):
        number = int(row["what"].split()[0])
        true(row["file"] or NO_TEST[number] in row["outcome"], f"case {number} names no test")


@test("each test that is named is in its file")
def _():
    for row in rows("Attacks") + rows("Cases"):
        if row["file"]:
            true(row["test"] in tests_of(row["file"]), f"{row['file']} has no test: {row['test']}")


@test("the check notices a name that is wrong")
def _():
    true("a rapid reset" not in tests_of("tests/e2e/test_wire_frames.py"))
    true(len(rows("Cases")) > LAST_CASE and len(rows("Attacks")) > 12)


main()
