# SPDX-License-Identifier: BSD-2-Clause
"""A clean clone in a folder with a space in its name: make and make demo work there, twice, and install nothing."""
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from shims import Shims  # noqa: E402
from tap import Skip, TREE, equal, main, test, true  # noqa: E402

FOLDER = tempfile.TemporaryDirectory(prefix="ptd clean clone ")
CLONE = os.path.join(FOLDER.name, "a clone")
SHIMS = Shims(FOLDER.name)
SHIMS.add("apt-get")
SHIMS.add("sudo")


def make(*targets):
    """Without optimisation, which shows here nothing that the other builds do not."""
    if not os.path.isdir(CLONE):
        raise Skip("there is no clone")
    done = subprocess.run(["make", "--no-print-directory", f"-j{os.cpu_count() or 2}", "OPT=-O0", *targets], cwd=CLONE,
                          env=SHIMS.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    equal(done.returncode, 0, "\n".join((done.stdout + done.stderr).splitlines()[-40:]) + "\nexit status")
    return done.stdout


@test("the tree can be cloned")
def _():
    done = subprocess.run(["git", "clone", "-q", "--no-hardlinks", TREE, CLONE], capture_output=True, text=True)
    if "not a git repository" in done.stderr:
        raise Skip("not a git work tree")
    equal(done.returncode, 0, done.stderr)


@test("make builds everything in a folder with a space in its name")
def _():
    make()
    for program in ("ptd", "ptctl", "libptd.so"):
        true(os.path.exists(os.path.join(CLONE, "build", program)), f"build/{program} is not there")


@test("a second make has nothing to do")
def _():
    text = make()
    true("CC" not in text and "LD" not in text, text)


@test("make demo works, twice in a row")
def _():
    make("demo")
    make("demo")


@test("the demo leaves no change in the tree, and nothing was installed")
def _():
    if not os.path.isdir(CLONE):
        raise Skip("there is no clone")
    done = subprocess.run(["git", "status", "--porcelain"], cwd=CLONE, capture_output=True, text=True, check=True)
    equal(done.stdout, "")
    equal(SHIMS.calls(), [])


main()
