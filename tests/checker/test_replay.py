# SPDX-License-Identifier: BSD-2-Clause
"""What a finding says, and that a saved trace says it again."""
import os
import re
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import BUILD, equal, main, test, true  # noqa: E402

BREAKS, REPLAY = (os.path.join(BUILD, "tests/checker", name) for name in ("breaks", "replay"))
FINDING = re.compile(r"^rule W5: an entry became valid while .+\nevent (\d+), operation transaction (0x[0-9a-f]+) "
                     r"since event (\d+)$", re.M)


def run(*words, **env):
    return subprocess.run(words, env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=60)


def traced(*words):
    """(result of `breaks`, lines of its trace, result of the replay)"""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "trace")
        broken = run(BREAKS, *words, PTD_TRACE=path)
        with open(path, encoding="ascii") as trace:
            lines = trace.read().splitlines()
        return broken, lines, run(REPLAY, path)


@test("a finding names the rule, the operation and the last events")
def _():
    broken, lines, _ = traced("now")
    equal(broken.returncode, -signal.SIGABRT)
    found = FINDING.search(broken.stderr)
    true(found, broken.stderr[-600:])
    event, operation, since = int(found[1]), found[2], int(found[3])
    equal(len(lines), event)
    true(lines[-1].startswith("store ") and f"op={operation} " in lines[-1], lines[-1])
    true(lines[since - 1].startswith("op-begin ") and f"at={operation} " in lines[since - 1], lines[since - 1])
    printed = broken.stderr[:found.start()].splitlines()[1:]
    equal(printed[-1], lines[-1])
    equal(printed, [line for line in lines if not line.startswith("load ")][-len(printed):])
    true(len(printed) > 50)


@test("a saved trace makes the same finding again, to the letter")
def _():
    broken, _, again = traced("now")
    equal(again.returncode, 1)
    true(again.stdout and broken.stderr.endswith(again.stdout), again.stdout)


@test("the trace of a program without the defect keeps all rules")
def _():
    whole, lines, again = traced()
    equal((whole.returncode, whole.stderr), (0, ""))
    equal((again.returncode, again.stdout), (0, f"{len(lines)} events keep all rules\n"))


@test("what is no trace is refused")
def _():
    equal(run(REPLAY).returncode, 2)
    with tempfile.NamedTemporaryFile("w", suffix=".trace") as bad:
        bad.write("store at=0x10\nnonsense here\n")
        bad.flush()
        equal(run(REPLAY, bad.name).returncode, 2)


main()
