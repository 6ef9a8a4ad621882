#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Scenario files through ptctl and a real ptd: each of tests/scenarios, compiled and as text; exit codes; dumps; decode.

kvm_page_table_create_4k makes two million accesses with its whole GiB; it has a quarter here, unless PTD_FULL=1.
"""
import glob
import json
import os
import re
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ptdtest  # noqa: E402
from ptdtest import TREE, equal, test, true  # noqa: E402

FOLDER = os.path.join(TREE, "tests", "scenarios")
SMALL = {} if os.environ.get("PTD_FULL") else {"kvm_page_table_create_4k": "size=256M"}
DAEMON = ptdtest.Daemon(loops=4, args=["--allow-failpoints"])


def path(name):
    return os.path.join(FOLDER, name + ".ptd")


def size_of(name):
    return ["--set", SMALL[name]] if name in SMALL else []


def run(text, *args):
    """A scenario from a string; the finished process."""
    return DAEMON.ptctl("run", "-", *args, check=False, stdin=text)


def passes(name):
    @test(f"{name}.ptd meets its expectations")
    def _():
        done = DAEMON.ptctl("run", path(name), "-o", "json", *size_of(name), check=False)
        equal((done.returncode, "passed: " in done.stderr), (0, True), done.stderr)
        stages = json.loads(done.stdout)["stages"]
        true(stages and all(s["count"] > 0 and s["seconds"] > 0 for s in stages), "a stage has no count or no time")


for file in sorted(glob.glob(os.path.join(FOLDER, "*.ptd"))):
    passes(os.path.splitext(os.path.basename(file))[0])


@test("the CREATE stage of kvm_page_table_test counts each access and installs each leaf once")
def _():
    done = DAEMON.ptctl("run", path("kvm_page_table_create_64k"), "-o", "json", "--set", "size=512M")
    stages = {s["stage"]: s for s in json.loads(done.stdout)["stages"]}
    equal(stages["create-64K"]["accesses"], 8 * 8192)
    true(8192 <= stages["create-64K"]["faults"] <= 8 * 8192, stages["create-64K"])
    equal(stages["create-512M"]["accesses"], 16)


@test("a compiled scenario runs as its text does, and says the same of its lines")
def _():
    with tempfile.TemporaryDirectory() as folder:
        table = os.path.join(folder, "t.scn")
        DAEMON.ptctl("compile", path("range_rules"), "-o", table)
        done = DAEMON.ptctl("run", table)
        true("passed: 100 expectations" in done.stderr, done.stderr)
        source = os.path.join(folder, "wrong.ptd")
        with open(source, "w", encoding="ascii") as file:
            file.write("machine m memory=1G\ncontext g ipa=40\nmap ipa=0 size=4K pa=0 prot=rw\nexpect leaves3=7\n")
        DAEMON.ptctl("compile", source, "-o", table)
        text = DAEMON.ptctl("run", source, check=False)
        compiled = DAEMON.ptctl("run", table, check=False)
        equal((text.returncode, compiled.returncode), (1, 1))
        equal(compiled.stderr, text.stderr)
        true(f"{source}:4:8: expected leaves3=7, got 1" in text.stderr, text.stderr)


@test("the transcript of KVM's selftest of ownership is the one that is kept")
def _():
    done = DAEMON.ptctl("run", "--transcript", path("pkvm_ownership_selftest"))
    with open(path("pkvm_ownership_selftest")[:-4] + ".txt", encoding="ascii") as file:
        equal(done.stdout, file.read())


@test("exit codes: 1 an expectation or operation failed, 2 a bad file, 3 no connection")
def _():
    head = "machine m memory=1G\ncontext g ipa=40\n"
    done = run(head + "map ipa=1 size=4K pa=0 prot=rw\n")
    equal(done.returncode, 1)
    true(re.search(r"<stdin>:3:1: map failed: MISALIGNED: .*\(IPA 0x1\)", done.stderr), done.stderr)
    equal(run("machine m memory=1G\ncontext g ipa=40\nmap ip=0\n").returncode, 2)
    equal(DAEMON.ptctl("run", "/nonexistent", check=False).returncode, 2)
    equal(run(head, "--endpoint", "unix:/nonexistent/socket").returncode, 3)
    with tempfile.TemporaryDirectory() as folder:
        table = os.path.join(folder, "t.scn")
        DAEMON.ptctl("compile", path("quota"), "-o", table)
        with open(table, "r+b") as file:
            file.truncate(200)
        done = DAEMON.ptctl("run", table, check=False)
        equal((done.returncode, "is truncated: 200 bytes" in done.stderr), (2, True), done.stderr)


@test("a failed run leaves no machine behind, and --keep leaves it")
def _():
    text = "machine kept memory=1G\ncontext g ipa=40\nmap ipa=0 size=4K pa=0 prot=rw\nexpect leaves=0\n"
    equal(run(text).returncode, 1)
    equal(DAEMON.ptctl("machine", "show", "kept", check=False).returncode, 6)
    equal(run(text, "--keep").returncode, 1)
    DAEMON.ptctl("machine", "delete", "kept", "--force")


@test("inside par each reply is checked, and the line at fault is named")
def _():
    done = run("machine m memory=1G vcpus=4\ncontext g ipa=40\nslot ipa=1G size=1M pa=0\n"
               "par 4\nread ipa=1G size=1M step=4K\nexpect outcome=OK data=1\nend\n")
    equal(done.returncode, 1)
    true("<stdin>:6:19: expected data=0x1, got 0x0" in done.stderr, done.stderr)
    done = run("machine m memory=1G vcpus=4\ncontext g ipa=40\npar 4\nread ipa=1G\nend\n")
    equal(done.returncode, 1)
    true(re.search(r"par failed: NO_SLOT: .*\(IPA 0x40000000, line 4, vCPU \d\)", done.stderr), done.stderr)


@test("vCPUs of par write where lane-step says and read back what they wrote")
def _():
    done = run("machine m memory=1G vcpus=8\ncontext g ipa=40\nslot ipa=1G size=64M pa=0\n"
               "par 8\nwrite ipa=1G size=64K step=4K lane-step=64K data=0x1234\n"
               "read ipa=1G size=64K step=4K lane-step=64K\nexpect outcome=OK data=0x1234 exits<=1\nend\n"
               "expect installed=8*16 leaves3=8*16 accesses=2*8*16 faults=installed+already_mapped+raced\n")
    equal(done.returncode, 0, done.stderr)


@test("equal tables have equal digests, whatever came before them")
def _():
    text = "machine m memory=1G\ncontext g ipa=40\nmap ipa=1G size=3M pa=0 prot=rw\n"
    other = ("machine m memory=1G\ncontext f ipa=40\nmap ipa=0 size=8K pa=0 prot=rw\ncontext g ipa=40\n"
             "map ipa=1G+2M size=1M pa=2M prot=rw\nmap ipa=1G size=2M pa=0 prot=rw\n")
    digests = []
    for scenario in (text, other):
        equal(run(scenario, "--keep").returncode, 0)
        digests.append(json.loads(DAEMON.ptctl("context", "digest", "m/g", "-o", "json").stdout)["digest_low"])
        DAEMON.ptctl("machine", "delete", "m", "--force")
    equal(digests[0], digests[1])


DUMPED = ("machine d memory=4G\ncontext g ipa=40\nmap ipa=1G size=1G pa=1G prot=rwx\n"
          "map ipa=3G size=4M pa=3G prot=rw\nmap ipa=3G+4M size=12K pa=0x5000 prot=r\n")


@test("dump draws what is mapped: kernel, tree, strip and rows")
def _():
    equal(run(DUMPED, "--keep").returncode, 0)
    kernel = DAEMON.ptctl("dump", "d/g", "-o", "kernel").stdout
    equal(kernel.splitlines()[0], "---[ Guest IPA ]---")
    true("0x0000000040000000-0x0000000080000000           1G 1   R W px ux  AF BLK\n" in kernel, kernel)
    true("0x00000000c0400000-0x00000000c0403000          12K 3   R   PXNUXN AF    \n" in kernel, kernel)
    tree = DAEMON.ptctl("dump", "d/g", "-o", "tree").stdout
    true(re.search(r"^  table 0x[0-9a-f]+  level 2  IPA 0x00c0000000$", tree, re.M), tree)
    true("      0x00c0400000-0x00c0402fff -> 0x5000  3 pages of 4K  r--- AF\n" in tree, tree)
    strip = DAEMON.ptctl("dump", "d/g", "-o", "strip", "--ipa", "1G", "--size", "2G").stdout
    true("  [" + "G" * 32 + "." * 32 + "]\n" in strip, strip)
    rows = json.loads(DAEMON.ptctl("dump", "d/g", "-o", "json").stdout)["rows"]
    equal([(r["ipa"], r["kind"], r["count"], r["prot"]) for r in rows],
          [("0x40000000", "block", 1, "rwpu"), ("0xc0000000", "block", 2, "rw--"), ("0xc0400000", "page", 3, "r---")])
    tables = json.loads(DAEMON.ptctl("dump", "d/g", "-o", "json", "--tables").stdout)["rows"]
    equal(len([r for r in tables if r["kind"] == "table"]), 2)
    DAEMON.ptctl("machine", "delete", "d", "--force")


@test("a dump of more rows than a page of the reply has them all, once each, in order")
def _():
    equal(run("machine d memory=4G\ncontext g ipa=40\n"
              "map ipa=1G size=4K pa=0 prot=rw count=5000 stride=8K\n", "--keep").returncode, 0)
    rows = json.loads(DAEMON.ptctl("dump", "d/g", "-o", "json").stdout)["rows"]
    equal([int(r["ipa"], 16) for r in rows], [(1 << 30) + 8192 * i for i in range(5000)])
    DAEMON.ptctl("machine", "delete", "d", "--force")


@test("decode needs no daemon")
def _():
    fields = json.loads(DAEMON.ptctl("decode", "esr", "0x92000047", "-o", "json", "--endpoint", "unix:/nonexistent").stdout)
    values = {f["field"]: f["value"] for f in fields["fields"]}
    equal((values["EC"], values["WnR"], values["DFSC"]), ("0x24", "0x1", "0x7"))
    equal(DAEMON.ptctl("decode", "pte", "3", "--granule", "64K", "--ds", check=False).returncode, 2)


@test("a scenario outlives its waiting connection, which the daemon ends while the others are at work")
def _():
    daemon = ptdtest.Daemon(loops=2, args=["--max-connection-idle", "300ms"])
    seconds, size = 0, 64
    while seconds < 0.7:
        text = (f"machine m memory=8G vcpus=2\ncontext g ipa=40\nslot ipa=0 size={size}M pa=0 backing=4K\nstage s\n"
                f"touch ipa=0 size={size}M step=4K vcpus=2 even=write odd=read\nexpect installed={size}M/4K\n")
        done = daemon.ptctl("run", "-", "-o", "json", check=False, stdin=text)
        equal(done.returncode, 0, done.stderr)
        seconds, size = json.loads(done.stdout)["stages"][-1]["seconds"], size * 2
    daemon.stop()


@test("the daemon is well after all of this")
def _():
    DAEMON.stop()


ptdtest.main()
