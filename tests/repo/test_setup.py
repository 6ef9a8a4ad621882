# SPDX-License-Identifier: BSD-2-Clause
"""mk/setup.sh: does nothing when all packages are there, one update and one install else, or says what to run."""
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from shims import Shims  # noqa: E402
from tap import TREE, equal, main, test, true  # noqa: E402

os.chdir(TREE)
# A dpkg-query that knows every package, but those in ABSENT until the install was called; OLD gets an old version.
QUERY = """
for p; do case $p in -*|'$'*) continue;; esac
  case " $ABSENT " in *" $p "*) [ -e "$INSTALLED" ] || continue;; esac
  v=99; case " $OLD " in *" $p "*) [ -e "$INSTALLED" ] || v=1.52.0-1+deb12u2;; esac
  echo "$p installed $v"
done"""


def setup(*args, absent="", old="", apt="exit 1", root=True, sudo=None):
    with tempfile.TemporaryDirectory() as folder:
        shims = Shims(folder)
        shims.add("dpkg-query", QUERY)
        shims.add("apt-get", apt)
        shims.add("id", "echo 0" if root else "echo 1000")
        shims.add("sudo", sudo or "exit 1")
        env = {**shims.environment(), "ABSENT": absent, "OLD": old, "INSTALLED": os.path.join(folder, "installed")}
        done = subprocess.run(["mk/setup.sh", *args], env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        calls = [c for c in shims.calls() if c.startswith(("apt-get", "sudo"))]
        return done.returncode, done.stdout + done.stderr, calls


@test("nothing is run when every package is there, not even as another user than root")
def _():
    equal(setup(root=False), (0, "", []))


@test("what is missing is installed by one update and one install, without questions")
def _():
    code, text, calls = setup(absent="jq bats", apt='[ "$1" = update ] || touch "$INSTALLED"')
    equal(code, 0, text)
    equal(len(calls), 2)
    true(calls[0].startswith("apt-get update"), calls[0])
    equal(calls[1], "apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 bats jq")


@test("an old libnghttp2 counts as missing")
def _():
    code, text, calls = setup(old="libnghttp2-14", apt='[ "$1" = update ] || touch "$INSTALLED"')
    equal(code, 0, text)
    true(calls[1].endswith(" libnghttp2-14"), calls[1])


@test("an install that fails prints the exact command and exits 2")
def _():
    code, text, _calls = setup(absent="jq")
    equal(code, 2)
    true("apt-get update && apt-get install -y --no-install-recommends jq" in text, text)


@test("an install that leaves a package missing exits 2")
def _():
    code, text, _calls = setup(absent="jq", apt="exit 0")
    equal(code, 2, text)


@test("another user than root goes through sudo, and without it is told the command")
def _():
    code, text, calls = setup(absent="jq", root=False, sudo='[ "$2" = true ] || touch "$INSTALLED"')
    equal(code, 0, text)
    equal([c.split(" apt-get ")[1].split()[0] for c in calls if " apt-get " in c], ["update", "install"])
    code, text, calls = setup(absent="jq", root=False)
    equal(code, 2)
    true("apt-get install" in text and not any(c.startswith("apt-get") for c in calls), text)


@test("--check names what is missing and installs nothing")
def _():
    code, text, calls = setup("--check", "build", absent="liburcu-dev jq")
    equal((code, calls), (2, []))
    true("missing packages: liburcu-dev\n" in text, text)


@test("every command that the tree's scripts use is in a listed package or in every Debian")
def _():
    listed = set(subprocess.run(["mk/setup.sh", "--list"], capture_output=True, text=True, check=True).stdout.split())
    base = set(subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Essential} ${Priority}\n"], capture_output=True,
                              text=True, check=True).stdout.splitlines())
    base = {line.split()[0] for line in base if " yes " in line or line.endswith((" required", " important"))}
    commands = ["gcc", "make", "ar", "ld", "nm", "objcopy", "od", "awk", "sed", "grep", "install", "protoc", "protoc-c",
                "grpc_python_plugin", "clang", "clang-format", "clang-tidy", "g++", "bats", "jq", "valgrind", "h2load", "git",
                "patch", "shellcheck", "aarch64-linux-gnu-gcc", "aarch64-linux-gnu-nm", "mktemp", "dpkg-query", "taskset",
                "cmp", "timeout", "tar", "ps"]
    wrong = []
    for command in commands:
        path = subprocess.run(["sh", "-c", f"command -v {command}"], capture_output=True, text=True).stdout.strip()
        owners = set()
        for candidate in {path, os.path.realpath(path), "/usr" + path, path.replace("/usr/", "/", 1)}:
            done = subprocess.run(["dpkg-query", "-S", candidate], capture_output=True, text=True)
            owners |= {line.split(":")[0] for line in done.stdout.splitlines()}
        # A listed package may bring the command's own package along: gcc-aarch64-linux-gnu brings its binutils.
        brought = {"binutils-aarch64-linux-gnu", "binutils-common", "binutils-x86-64-linux-gnu"}
        if not owners & (listed | base | brought):
            wrong.append(f"{command}: {path} of {sorted(owners)}")
    equal(wrong, [])


main()
