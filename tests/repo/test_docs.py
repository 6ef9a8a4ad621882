# SPDX-License-Identifier: BSD-2-Clause
"""What documents show is what happens: console blocks are run, and the Python in README is the tested file.

In a block marked `console` each line after "$ " is a shell command; what follows is its output, compared without
regard to blanks. A line of "..." stands for any number of lines. The blocks of one document share a daemon, whose
folder is the working folder. `test_docs.py --update FILE` writes the real output into a document.
"""
import glob
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
import ptdtest  # noqa: E402
from ptdtest import equal, test, true  # noqa: E402

os.chdir(ptdtest.TREE)
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def documents():
    return sorted(["README.md", "CONTRIBUTING.md", *glob.glob("docs/*.md")])


def commands(block):
    """[(command, expected lines)] of a console block."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found:
            found[-1][1].append(line)
    return found


def squeeze(lines):
    return [" ".join(line.split()) for line in lines if line.strip()]


def matches(seen, wanted):
    """Lines compared one by one; "..." skips lines until the next wanted one is met."""
    at = 0
    for number, line in enumerate(wanted):
        if line == "...":
            if number + 1 == len(wanted):
                return True
            while at < len(seen) and seen[at] != wanted[number + 1]:
                at += 1
            continue
        if at >= len(seen) or seen[at] != line:
            return False
        at += 1
    return at == len(seen)


def run(ptd, command):
    env = {**ptdtest.sanitizer_env(), "PTD_ENDPOINT": ptd.endpoint, "PATH": ptdtest.BUILD + ":" + os.environ["PATH"]}
    done = subprocess.run(["bash", "-c", command], env=env, cwd=ptd.folder, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    return done.stdout.splitlines()


def check(path):
    wrong = []
    with ptdtest.Daemon(loops=1, args=["--allow-failpoints"]) as ptd:
        for block in BLOCK.findall(read(path)):
            for command, wanted in commands(block):
                seen = run(ptd, command)
                if not matches(squeeze(seen), squeeze(wanted)):
                    wrong.append("\n".join([f"$ {command}", *seen, "-- the document says:", *wanted]))
    true(not wrong, "\n".join(wrong))


def update(path):
    with ptdtest.Daemon(loops=1, args=["--allow-failpoints"]) as ptd:
        def filled(block):
            lines = []
            for command, _old in commands(block.group(1)):
                lines += [f"$ {command}", *(line.rstrip() for line in run(ptd, command))]
            return "```console\n" + "\n".join(lines) + "\n```"
        text = BLOCK.sub(filled, read(path))
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


for document in documents():
    if BLOCK.search(read(document)):
        test(f"what {document} shows on the console is what happens")(lambda path=document: check(path))


@test("the Python in README is tests/e2e/quickstart.py, and it runs")
def _():
    shown = re.search(r"^```python\n(.*?)^```$", read("README.md"), re.M | re.S).group(1)
    equal(shown, read("tests/e2e/quickstart.py"))
    with ptdtest.Daemon() as ptd:
        text = "\n".join(run(ptd, f"{os.environ.get('PYTHON', '/usr/bin/python3')} "
                                  f"'{ptdtest.TREE}/tests/e2e/quickstart.py'"))
    true("leaves_written" in text and "outcome" in text and "Traceback" not in text, text)


@test("every make target that documents name is there")
def _():
    known = set(re.findall(r"^make (\S+)", subprocess.run(["make", "help"], capture_output=True, text=True,
                                                          check=True).stdout, re.M))
    named = {(path, target) for path in documents()
             for target in re.findall(r"`make ([a-z][\w-]*)|^make ([a-z][\w-]*)", read(path), re.M) for target in target if target}
    equal(sorted((p, t) for p, t in named if t not in known), [])


@test("every file that documents name in backquotes is there")
def _():
    missing = []
    for path in documents():
        for name in re.findall(r"`((?:lib|daemon|client|tests|proto|docs|mk)/[\w./*-]+)`", read(path)):
            if "NAME" not in name and not glob.glob(name):
                missing.append(f"{path}: {name}")
    equal(missing, [])


def operations(text):
    """Cells of the table of operations, without its head."""
    table = text.split("## Operations", 1)[1].split("\n## ", 1)[0]
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")]
            for line in table.splitlines() if line.startswith("| ")]
    return rows[1:]


def missing_of(row):
    """What a row of that table names and is not there."""
    name, symbol, rpc, command, unit, e2e, scenario = row
    wrong = []
    headers = "".join(read(path) for path in glob.glob("lib/include/pt/*.h"))
    if not re.search(rf"\b{symbol}\b", headers):
        wrong.append(symbol)
    if rpc != "-" and not any(re.search(rf"rpc {rpc}\(", read(path)) for path in glob.glob("proto/ptd/v1/*.proto")):
        wrong.append(rpc)
    if command != "-":
        words = [word for word in command.split() if not word.startswith("--")]
        help = subprocess.run([os.path.join(ptdtest.BUILD, "ptctl"), *words, "--help"], capture_output=True, text=True)
        if help.returncode or any(word not in help.stdout for word in command.split()):
            wrong.append(command)
    for path in (f"tests/unit/test_{unit}.c", f"tests/e2e/test_{e2e}.py", f"tests/scenarios/{scenario}.ptd"):
        if not re.search(r"[_/]-\.", path) and not os.path.exists(path):
            wrong.append(path)
    return [f"{name}: {what}" for what in wrong]


@test("each operation of docs/testing.md is where its row says")
def _():
    rows = operations(read("docs/testing.md"))
    true(len(rows) > 30, len(rows))
    equal([what for row in rows for what in missing_of(row)], [])
    equal(missing_of(["x", "PT_ITEM_NO", "Nope", "map --nope", "none", "none", "none"]),
          ["x: PT_ITEM_NO", "x: Nope", "x: map --nope", "x: tests/unit/test_none.c", "x: tests/e2e/test_none.py",
           "x: tests/scenarios/none.ptd"])


@test("the checks see bad examples")
def _():
    equal(commands("$ a b\nx\ny\n$ c\n"), [("a b", ["x", "y"]), ("c", [])])
    true(matches(["a", "b", "c"], ["a", "...", "c"]) and matches(["a"], ["a", "..."]))
    true(not matches(["a", "b"], ["a"]) and not matches(["a"], ["a", "b"]) and not matches(["b"], ["...", "c"]))


if sys.argv[1:2] == ["--update"]:
    for document in sys.argv[2:]:
        update(document)
else:
    ptdtest.main()
