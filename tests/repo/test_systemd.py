# SPDX-License-Identifier: BSD-2-Clause
"""The units: systemd-analyze finds nothing to say about them, and their exposure stays below its gates."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import BUILD, TREE, equal, main, test, true  # noqa: E402

UNITS = os.path.join(TREE, "systemd")
SCORE = re.compile(r"Overall exposure level for ptd\.service: ([0-9.]+)")
SOCKET_ACTIVATED, OWN_TCP = 5, 12  # tenths


class Copy:
    """The units in a folder of their own; ExecStart names the program that was built."""

    def __init__(self, *drop_ins):
        self.folder = tempfile.mkdtemp(prefix="ptd-units-")
        for name in os.listdir(UNITS):
            if name.endswith((".service", ".socket")):
                shutil.copy(os.path.join(UNITS, name), self.folder)
        service = os.path.join(self.folder, "ptd.service")
        with open(service, encoding="ascii") as file:
            text = file.read()
        true("\nExecStart=/usr/sbin/ptd " in text, "ExecStart has another form")
        self.write("ptd.service", text.replace("/usr/sbin/ptd", f'"{BUILD}/ptd"'))
        for drop_in in drop_ins:
            with open(os.path.join(UNITS, "examples", drop_in), encoding="ascii") as file:
                self.write(os.path.join("ptd.service.d", drop_in), file.read())

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)

    def analyze(self, *command):
        done = subprocess.run(["systemd-analyze", *command], cwd=self.folder, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def verify(self):
        return self.analyze("verify", "--man=no", *(f"./{u}" for u in sorted(os.listdir(self.folder)) if "." in u
                                                    and not u.endswith(".d")))

    def security(self, tenths):
        status, text = self.analyze("security", "--offline=true", f"--threshold={tenths}", "./ptd.service")
        found = SCORE.search(text)
        true(found, text)
        return status, found.group(1), text

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)


def verified(*drop_ins):
    with Copy(*drop_ins) as copy:
        status, text = copy.verify()
        equal(text, "", "what systemd-analyze verify prints")
        equal(status, 0)


@test("systemd-analyze verify prints nothing about the units")
def _():
    verified()


@test("systemd-analyze verify prints nothing with either drop-in")
def _():
    verified("tls.conf")
    verified("own-tcp.conf")


@test("an unknown key would be seen")
def _():
    with Copy() as copy:
        copy.write("ptd.service.d/bad.conf", "[Service]\nProtectEverything=yes\n")
        true("ProtectEverything" in copy.verify()[1], "nothing was printed")


def gated(tenths, *drop_ins):
    """The score is below the gate, and the one that docs/service.md states."""
    with open(os.path.join(TREE, "docs", "service.md"), encoding="utf-8") as file:
        row = re.search(rf"^\| {'with ' + drop_ins[0] if drop_ins else 'handed its sockets'} \| (.*) \| (.*) \|$",
                        file.read(), re.M)
    with Copy(*drop_ins) as copy:
        status, score, text = copy.security(tenths)
        print(f"# exposure {score}, at most {tenths / 10}: {' '.join(drop_ins) or 'socket-activated'}")
        equal(status, 0, text)
        true(round(float(score) * 10) <= tenths, score)
        equal(row.groups(), (score, str(tenths / 10)), "docs/service.md")


@test("exposure of the socket-activated service is at most 0.5, with TLS, too")
def _():
    gated(SOCKET_ACTIVATED)
    gated(SOCKET_ACTIVATED, "tls.conf")


@test("exposure of the service that binds TCP itself is at most 1.2")
def _():
    gated(OWN_TCP, "own-tcp.conf")


@test("a hole in the hardening would be seen")
def _():
    with Copy() as copy:
        copy.write("ptd.service.d/hole.conf", "[Service]\nPrivateNetwork=no\n")
        status, score, _text = copy.security(SOCKET_ACTIVATED)
        true(status != 0, f"{score} passes")


@test("each option that ptd --help names is in its manual page")
def _():
    done = subprocess.run([os.path.join(BUILD, "ptd"), "--help"], capture_output=True, text=True, check=True)
    with open(os.path.join(TREE, "docs", "man", "ptd.8.scd"), encoding="utf-8") as file:
        page = file.read()
    options = set(re.findall(r"--[a-z-]+[a-z]", done.stdout))
    true(len(options) > 15, options)
    equal([o for o in sorted(options) if f"*{o}*" not in page], [])


@test("a drain ends before systemd loses patience")
def _():
    with open(os.path.join(UNITS, "ptd.service"), encoding="ascii") as file:
        stop = int(re.search(r"^TimeoutStopSec=(\d+)$", file.read(), re.M).group(1))
    with open(os.path.join(TREE, "daemon", "core", "wire_config.h"), encoding="ascii") as file:
        drain = int(re.search(r"\.drain_grace_ns = UINT64_C\((\d+)\)", file.read()).group(1)) // 10**9
    true(drain + 5 <= stop, f"drain {drain} s, TimeoutStopSec {stop} s")


main()
