# SPDX-License-Identifier: BSD-2-Clause
"""ptctl against a daemon: every command, good and bad, in every format, with its exit code."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ptdtest  # noqa: E402
from ptdtest import BUILD, equal, test, true  # noqa: E402

PTCTL = os.path.join(BUILD, "ptctl")
DONE, REFUSED, USAGE, CONNECT, UNKNOWN, UNAUTHORISED, PRECONDITION, FAULT, MISMATCH = range(9)
DAEMON = ptdtest.Daemon(loops=2, args=["--allow-failpoints"])
FORMATS = ("table", "json", "tsv")


def run(*words, code=DONE, stdin=None, endpoint=None, env=None):
    """One ptctl; its exit code is checked, and that only errors are on stderr. Returns the process."""
    done = subprocess.run([PTCTL, *words], input=stdin, capture_output=True, text=True, timeout=60,
                          env={**ptdtest.sanitizer_env(), "PTD_ENDPOINT": endpoint or DAEMON.endpoint, **(env or {})})
    equal(done.returncode, code, f"exit code of ptctl {' '.join(words)}\n{done.stdout}{done.stderr}")
    if code == DONE:
        equal(done.stderr, "", f"stderr of ptctl {' '.join(words)}")
    elif code != FAULT:
        true(done.stderr.startswith("error"), f"ptctl {' '.join(words)} says: {done.stderr}")
    return done


def data(*words, code=DONE, **more):
    """The JSON of a command."""
    answer = json.loads(run(*words, "-o", "json", code=code, **more).stdout)
    equal(answer["schema"], "ptd/v1")
    return answer


def error(*words, code, says, **more):
    done = run(*words, code=code, **more)
    equal(done.stdout, "", "data of a command that fails")
    true(re.search(says, done.stderr), f"ptctl {' '.join(words)}: no {says!r} in\n{done.stderr}")
    return done.stderr


class Context:
    """A machine of its own with one context; deleted at the end."""
    count = 0

    def __init__(self, *options, memory="64M"):
        Context.count += 1
        self.machine = f"t{Context.count}"
        self.name = f"{self.machine}/g0"
        run("machine", "create", self.machine, "--memory", memory, "--vcpus", "2", "-q")
        run("context", "create", self.name, *options, "-q")

    def __enter__(self):
        return self.name

    def __exit__(self, *_):
        run("machine", "delete", self.machine, "--force", "-q")


@test("server info states version and limits, also as TSV")
def _():
    info = data("server", "info")
    true(re.fullmatch(r"0x[0-9a-f]+", info["epoch"]), info["epoch"])
    equal(info["limits"]["max_batch_items"], 65536)
    equal(info["loops"], 2)
    lines = run("server", "info", "-o", "tsv").stdout.splitlines()
    equal(len(lines), 2)
    row = dict(zip(lines[0].split("\t"), lines[1].split("\t")))
    equal(row["max_batch_items"], "65536")
    equal(row["epoch"], info["epoch"])


@test("server stats has a row for each loop")
def _():
    equal(len(run("server", "stats", "-o", "tsv", "--no-legend").stdout.splitlines()), 2)
    equal(len(data("server", "stats")["loops"]), 2)


@test("health says serving, and knows the services that there are")
def _():
    equal(data("health")["status"], "SERVING")
    equal(run("health", "ptd.v1.MappingService", "-o", "tsv", "--no-legend").stdout.strip(), "SERVING")
    error("health", "no.such.Service", code=PRECONDITION, says="no such service")


@test("a machine is created, shown, listed and deleted")
def _():
    made = data("machine", "create", "a.b-c_1", "--memory", "1GiB", "--vcpus", "3", "--pa-bits", "44",
                "--vmid-bits", "8")["machine"]
    equal((made["memory_bytes"], made["vcpus"], made["pa_bits"], made["vmid_bits"]), (1 << 30, 3, 44, 8))
    equal(data("machine", "show", "a.b-c_1")["machine"]["handle"], made["handle"])
    equal(data("machine", "show", made["handle"])["machine"]["name"], "a.b-c_1")
    true("a.b-c_1" in [m["name"] for m in data("machine", "list")["machines"]])
    true(re.search(r"^a\.b-c_1 +0x[0-9a-f]+ +1G ", run("machine", "list").stdout, re.M))
    error("machine", "create", "a.b-c_1", code=REFUSED, says=r"error\[PTD-E0077\]")
    run("machine", "delete", made["handle"], "-q")
    error("machine", "show", "a.b-c_1", code=PRECONDITION, says=r"error\[PTD-E0076\]")


@test("a machine with contexts is deleted only by force")
def _():
    run("machine", "create", "full", "-q")
    run("context", "create", "full/g0", "-q")
    error("machine", "delete", "full", code=PRECONDITION, says=r"error\[PTD-E0083\]")
    equal(data("machine", "delete", "full", "--force")["contexts_deleted"], 1)


@test("machine memory is written and read, raw and through a context")
def _():
    with Context() as c:
        machine = c.split("/")[0]
        run("map", c, "0x4000_0000", "4K", "0x2000", "rw", "-q")
        equal(data("machine", "write", machine, "0x2000", "00_11 22ff")["length"], 4)
        equal(data("machine", "read", machine, "0x4000_0000", "4", "--context", c)["data"], "001122ff")
        run("machine", "write", machine, "0x4000_0002", "@-", "--context", c, "-q", stdin="hello")
        equal(bytes.fromhex(data("machine", "read", machine, "0x2002", "5")["data"]), b"hello")
        error("machine", "read", machine, "0x9000_0000_0000", "4", code=REFUSED, says="PTD-E00")


@test("a context has the geometry that was asked for, by words or by a VTCR value")
def _():
    with Context("--granule", "64K", "--ipa-bits", "42", "--fwb", "--xnx", "--quota", "77") as c:
        made = data("context", "show", c)["context"]
        equal((made["geometry"]["granule_shift"], made["geometry"]["ipa_bits"], made["quota_pages"]), (16, 42, 77))
        equal((made["options"]["fwb"], made["options"]["xnx"], made["options"]["ha"]), (True, True, False))
        other = data("context", "create", c + "b", "--vtcr", made["vtcr"])["context"]
        equal(other["geometry"], made["geometry"])
        equal(other["vtcr"], made["vtcr"])
        error("context", "create", c + "c", "--vtcr", "0x80023558", "--granule", "4K", code=USAGE, says="--granule")
        error("context", "create", c + "c", "--vtcr", "0x3f", code=REFUSED, says=r"PTD-E0075")
        error("context", "create", c + "c", "--granule", "8K", code=USAGE, says="4K.16K.64K")
        error("context", "create", c + "c", "--ipa-bits", "53", code=REFUSED, says=r"PTD-E00")
        error("context", "create", "nobody/g0", code=PRECONDITION, says=r"PTD-E0076")
        error("context", "create", "g0", code=USAGE, says="MACHINE/NAME")
        names = [x["name"] for x in data("context", "list", "--machine", c.split("/")[0])["contexts"]]
        equal(names, [c, c + "b"])
        run("context", "delete", c + "b", "-q")
        error("context", "show", c + "b", code=PRECONDITION, says=r"PTD-E0076")


@test("start levels are named as the Arm ARM does")
def _():
    with Context("--granule", "4K", "--ipa-bits", "40", "--start-level", "0", "--pa-bits", "48") as c:
        equal(data("context", "show", c)["context"]["geometry"]["start_level_plus_2"], 2)
        text = run("context", "show", c).stdout
        true(re.search(r"^start_level +0$", text, re.M) and re.search(r"^granule +4K$", text, re.M), text)


@test("memslots are set, listed and deleted")
def _():
    with Context() as c:
        run("slot", "set", c, "3", "0x8000_0000", "32M", "16M", "--backing", "2M", "--read-only", "-q")
        slot = data("slot", "list", c)["slots"][0]
        equal((slot["id"], slot["ipa"], slot["size"], slot["pa"], slot["flags"], slot["backing"]),
              (3, "0x80000000", "0x2000000", "0x1000000", 1, "0x200000"))
        true(re.search(r"^ *3 0x0080000000 +32M 0x1000000 +1 +2M$", run("slot", "list", c).stdout, re.M))
        error("slot", "set", c, "4", "0x8100_0000", "4K", "0", code=REFUSED, says=r"PTD-E0082")
        error("slot", "set", c, "4", "0x1000_0001", "4K", "0", code=REFUSED, says=r"PTD-E0067")
        generation = data("context", "show", c)["context"]["generation"]
        error("slot", "delete", c, "3", "--if-generation", str(generation + 1), code=PRECONDITION, says=r"PTD-E0079")
        run("slot", "delete", c, "3", "--if-generation", str(generation), "-q")
        equal(data("slot", "list", c)["slots"], [])
        error("slot", "delete", c, "3", code=PRECONDITION, says=r"PTD-E0076")


@test("map, unmap and protect print their effects")
def _():
    with Context() as c:
        done = data("map", c, "0x4000_0000", "4M", "0", "rwx")
        equal((done["outcome_name"], done["generation"]), ("MAPPED", 2))
        equal(done["effects"]["leaves_written"], 2)
        equal(data("map", c, "1G", "4M", "0", "rwx")["outcome_name"], "ALREADY_MAPPED")
        done = data("map", c, "0", "2M", "0", "rw", "--pages")
        equal(done["effects"]["leaves_written"], 512)
        equal(data("protect", c, "1G", "4M", "r")["outcome_name"], "PROTECTED")
        equal(data("translate", c, "1G")["prot_name"], "r---")
        done = data("unmap", c, "1G", "4M")
        equal((done["outcome_name"], done["effects"]["leaves_removed"]), ("UNMAPPED", 2))
        equal(data("unmap", c, "1G", "4M")["outcome_name"], "HOLE")


@test("wrprotect, relax, annotate, young and flush change one thing each")
def _():
    with Context() as c:
        run("map", c, "1G", "2M", "0", "rw", "-q")
        done = data("wrprotect", c, "1G", "4K")
        equal((done["outcome_name"], done["effects"]["blocks_split"]), ("PROTECTED", 1))
        equal(data("relax", c, "1G", "4K", "w")["outcome"], [ptdtest.OUTCOME["RELAXED"]])
        run("wrprotect", c, "1G", "8K", "-q")
        text = run("relax", c, "1G", "8K", "rw").stdout
        true(re.search(r"RELAXED", text) and re.search(r"leaves_written +2$", text, re.M), text)
        equal(data("translate", c, "1G")["prot_name"], "rw--")
        generation = data("context", "show", c)["context"]["generation"]
        data("annotate", c, "1G", "8K", "2", "0x1234", "--dry-run")
        error("annotate", c, "1G", "8K", "2", "--if-generation", str(generation + 1), code=PRECONDITION, says=r"PTD-E0079")
        done = data("annotate", c, "1G", "8K", "2", "0x1234", "--request-id", "77" * 16)
        equal(data("annotate", c, "1G", "8K", "2", "0x1234", "--request-id", "77" * 16), done)
        equal((done["effects"]["annotated"], done["effects"]["leaves_removed"]), (2, 2))
        rows = data("dump", c, "--ipa", "1G", "--size", "8K")["rows"]
        equal((rows[0]["kind"], rows[0]["descriptor"], rows[0]["count"]), ("invalid", "0x2000000000002468", 2))
        for kind in ("0", "1"):
            error("annotate", c, "1G", "4K", kind, code=USAGE, says=r"type: \d is ptd's own(.|\n)*accepted: 2 to 15")
        error("annotate", c, "1G", "4K", "2", "0x800_0000_0000_0000", code=USAGE, says="more than 0x7ffffffffffffff")
        error("annotate", c, "1G", "4K", "16", code=USAGE, says="more than 15")
        data("age", c, "1G", "2M", "--clear")
        equal(data("young", c, "1G", "2M")["effects"]["leaves_written"], 510)
        equal(data("flush", c, "1G", "2M")["effects"]["already"], 510)


@test("map makes contiguous groups and sets software bits")
def _():
    with Context("--software-bits", "5") as c:
        run("map", c, "1G", "64K", "64K", "rw", "--contiguous", "-q")
        true("contiguous" in run("dump", c, "-o", "tree").stdout)
        run("map", c, "2G", "4K", "0", "rw", "--software", "4", "-q")
        equal(int(data("translate", c, "2G")["descriptor"], 16) >> 55 & 15, 4)
        error("map", c, "3G", "4K", "0", "rw", "--software", "2", code=REFUSED, says=r"PTD-E0075")
        error("map", c, "3G", "4K", "0", "rw", "--software", "16", code=USAGE, says="more than 15")


@test("age, split and collapse tell how far they came")
def _():
    with Context("--quota", "3") as c:
        run("map", c, "1G", "8M", "0", "rw", "-q")
        done = data("split", c, "1G", "8M")
        equal((done["next_ipa"], done["stopped_name"]), ("0x40400000", "QUOTA"))
        equal(data("split", c, "1G", "8M", "--level", "2")["effects"]["blocks_split"], 0)
        error("split", c, "0x4040_0000", "8K", "--pages", "9", code=REFUSED, says=r"PTD-E0065")
        done = data("age", c, "1G", "64K", "--bitmap", "--clear")
        equal((done["young"], done["bitmap"], done["stopped_name"]), (16, "ffff", "OK"))
        equal(data("age", c, "1G", "64K")["old"], 16)
        run("young", c, "1G", "4M", "-q")
        equal(data("collapse", c, "1G", "8M")["blocks_made"], 2)


@test("a dirty log is started, read, cleared and stopped")
def _():
    with Context() as c:
        run("map", c, "1G", "64K", "0", "rw", "-q")
        log = data("dirty", "start", c, "1G", "64K")["log"]
        run("access", "write", c, "0x4000_3000", "cafe", "-q")
        done = data("dirty", "get", log, "--clear")
        equal((done["bitmap"], done["dirty"], done["done"]), ("0800", 1, True))
        again = data("dirty", "get", log, "--clear", "--generation", str(done["log_generation"]))
        equal(again["dirty"], 0)
        run("access", "write", c, "0x4000_9000", "cafe", "-q")
        done = data("dirty", "get", log, "--ipa", "0x4000_8000", "--size", "8K", "--generation",
                    str(again["log_generation"]))
        equal((done["ipa"], done["bitmap"]), ("0x40008000", "02"))
        error("dirty", "get", log, "--generation", "99", code=PRECONDITION, says=r"PTD-E0079")
        equal([row["log"] for row in data("dirty", "list", "--context", c)["logs"]], [log])
        rows = run("dirty", "list", "-o", "tsv").stdout.splitlines()
        equal(rows, ["log\tcontext_name\tipa\tsize\tmemory_bytes", f"{log}\t{c}\t0x40000000\t65536\t16"])
        equal(data("dirty", "stop", log)["dirty"], 1)
        error("dirty", "stop", log, code=PRECONDITION, says=r"PTD-E0076")
        log = data("dirty", "start", c, "1G", "64K", "--all-dirty", "--eager")["log"]
        equal(data("dirty", "stop", log)["dirty"], 16)


@test("rights and memory types are given as letters")
def _():
    with Context("--xnx", "--fwb") as c:
        for at, (prot, number) in enumerate((("r", 1), ("rw", 3), ("r-x", 13), ("rwp", 7), ("rw:nc", 0x103),
                                             ("rw:device", 0x203), ("ur", 9))):
            run("map", c, hex(at << 12), "4K", "0", prot, "-q")
            equal(data("translate", c, hex(at << 12))["prot"], number, prot)
        for bad in ("q", "rr", "rw:", "rw:wt", "", ":nc", "R"):
            error("map", c, "0x100000", "4K", "0", bad, code=USAGE, says="accepted: letters")


@test("a mapping elsewhere is refused with code, level and address, unless replaced")
def _():
    with Context() as c:
        run("map", c, "1G", "2M", "0", "rw", "-q")
        says = error("map", c, "1G", "2M", "2M", "rw", code=REFUSED, says=r"^error\[PTD-E0068\]: ")
        true(f"context {c}, level 2, ipa 0x0040000000" in says, says)
        true("hint: " in says and "see: ptctl explain PTD-E0068" in says, says)
        equal(data("map", c, "1G", "2M", "2M", "rw", "--replace", "--dry-run")["effects"]["leaves_written"], 1)
        equal(data("translate", c, "1G")["pa"], "0x0")
        run("map", c, "1G", "2M", "2M", "rw", "--replace", "-q")
        equal(data("translate", c, "1G")["pa"], "0x200000")


@test("a misaligned value is answered with the two nearest aligned ones")
def _():
    with Context() as c:
        error("map", c, "0x40000800", "4K", "0", "rw", code=REFUSED, says=r"PTD-E0067(.|\n)*nearest: 0x40000000 or 0x40001000")
        error("map", c, "0x40000000", "4K", "0x2001", "rw", code=REFUSED, says="nearest: 0x2000 or 0x3000")
        error("unmap", c, "0x40000000", "5000", code=REFUSED, says="nearest: 0x1000 or 0x2000")
        error("protect", c, "0x1", "4K", "r", code=REFUSED, says="nearest: 0x0 or 0x1000")


@test("an error names what the user typed, not the field of a message")
def _():
    with Context() as c:
        for says, words in ((r"ipa: 0x40000800 is not", ("young", c, "0x4000_0800", "4K")),
                            (r"size: the range is empty", ("flush", c, "1G", "0")),
                            (r"prot: 0x0 grants nothing", ("relax", c, "1G", "4K", "-")),
                            (r"prot: 0x0 grants nothing", ("map", c, "1G", "4K", "0", "-")),
                            (r"prot: 0x101 has more than rights", ("protect", c, "1G", "4K", "r:nc")),
                            (r"prot: 0x101 has more than rights", ("relax", c, "1G", "4K", "r:nc")),
                            (r"prot: 0x20d executes from device", ("map", c, "1G", "4K", "0", "rx:device")),
                            (r"--software: 0x40003 has software bits", ("map", c, "1G", "4K", "0", "rw", "--software", "4")),
                            (r"--backing: 0x300000 is not a power of two", ("slot", "set", c, "0", "1G", "1M", "0", "--backing", "3M")),
                            (r"size: 0x64 is not", ("slot", "set", c, "0", "1G", "100", "0")),
                            (r"pa: the slot leaves", ("slot", "set", c, "0", "1G", "256G", "0")),
                            (r"--vcpu: 200", ("access", "read", c, "1G", "--vcpu", "200")),
                            (r"size: 0x64 is not", ("split", c, "1G", "100")),
                            (r"ipa: the range leaves", ("collapse", c, "2T", "1G")),
                            (r"size: the range is empty", ("age", c, "1G", "0")),
                            (r"size: the range is empty", ("wrprotect", c, "1G", "0")),
                            (r"size: the range is empty", ("dirty", "start", c, "1G", "0"))):
            text = error(*words, code=REFUSED, says=r"^error\[PTD-E\d+\]: " + says)
            true(not re.search(r"ops|slot\.|\.proto|GetInfo|SetQuota", text), text)
            if "E0075" in text:
                true(f"ptctl {words[0]}" in text and "--help says what is accepted" in text, text)
        generation = data("slot", "set", c, "0", "1G", "1M", "0")["generation"]
        error("slot", "delete", c, "0", "--if-generation", str(generation + 9), code=PRECONDITION,
              says=r"^error\[PTD-E0079\]: --if-generation: ")
        log = data("dirty", "start", c, "1G", "64K")["log"]
        error("dirty", "get", log, "--clear", "--generation", "99", code=PRECONDITION,
              says=r"^error\[PTD-E0079\]: --generation: neither that of the last reply(.|\n)*hint: read the object again")
        error("dirty", "get", log, "--ipa", "3G", code=REFUSED, says=r"^error\[PTD-E0066\]: --ipa: the log begins at")
        error("dirty", "stop", hex(int(log, 16) + 1), code=PRECONDITION, says="dirty list")
        run("dirty", "stop", log, "-q")


@test("bad ranges are refused and change nothing")
def _():
    with Context() as c:
        before = data("context", "digest", c)
        error("map", c, "0", "0", "0", "rw", code=REFUSED, says=r"PTD-E0075")
        error("map", c, "0xffff_ffff_ffff_f000", "8K", "0", "rw", code=REFUSED, says=r"PTD-E00")
        error("map", c, "1T", "4K", "0", "rw", code=REFUSED, says=r"PTD-E0066")
        error("map", c, "0", "4K", "0", "-", code=REFUSED, says=r"PTD-E0075")
        error("protect", c, "0", "4K", "rw:nc", code=REFUSED, says=r"PTD-E0075")
        error("map", "0x1", "0", "4K", "0", "rw", code=PRECONDITION, says=r"PTD-E007[68]")
        equal(data("context", "digest", c), before)


@test("a generation that has passed is a failed precondition")
def _():
    with Context() as c:
        run("map", c, "0", "4K", "0", "rw", "--if-generation", "1", "-q")
        error("map", c, "4K", "4K", "0", "rw", "--if-generation", "1", code=PRECONDITION, says=r"PTD-E0079")
        error("unmap", c, "0", "4K", "--if-generation", "1", code=PRECONDITION, says=r"PTD-E0079")
        error("protect", c, "0", "4K", "r", "--if-generation", "1", code=PRECONDITION, says=r"PTD-E0079")


@test("a request id makes a repeated command one change")
def _():
    with Context() as c:
        request = ("map", c, "0", "4K", "0", "rw", "--request-id", "00112233445566778899aabbccddee%02x" % Context.count)
        equal(data(*request), data(*request))
        equal(data("context", "show", c)["context"]["generation"], 2)
        error(*request[:3], "8K", *request[4:], code=REFUSED, says=r"PTD-E0080")
        error(*request[:-1], "0011", code=USAGE, says="2 bytes, not 16")


@test("accesses move bytes, and exit with 7 when they fault for good")
def _():
    with Context() as c:
        run("slot", "set", c, "0", "1G", "4M", "0", "--backing", "2M", "-q")
        done = data("access", "write", c, "0x4000_0010", "cafe", "--vcpu", "1")
        equal([e["outcome_name"] for e in done["exits"]], ["MAPPED"])
        done = data("access", "read", c, "0x4000_0010", "--length", "2")
        equal((done["data"], done["outcome_name"]), ("cafe", "OK"))
        equal(len(bytes.fromhex(data("access", "read", c, "0x4000_0010")["data"])), 8)
        run("access", "exec", c, "0x4000_0010", "-q")
        run("access", "at", c, "0x4000_0010", "-q")
        equal(data("access", "read", c, "2G", code=FAULT)["outcome_name"], "NO_SLOT")
        table = run("access", "read", c, "2G", code=FAULT).stdout
        true("exits:" in table and "NO_SLOT" in table, table)
        run("annotate", c, "0x4000_1000", "4K", "2", "0x1234", "-q")
        done = data("access", "read", c, "0x4000_1000", code=FAULT)
        equal((done["outcome_name"], [e["level"] for e in done["exits"]]), ("WRONG_OWNER", [3]))
        done = data("fault", c, "--ipa", "0x4000_1000", code=FAULT)
        equal((done["outcome_name"], done["level"]), ("WRONG_OWNER", 3))
        error("access", "read", c, "1G", "--vcpu", "2", code=REFUSED, says="PTD-E00")
        error("access", "write", c, "1G", "caf", code=USAGE, says="hexadecimal digits")


@test("faults are handled by registers or by address, not by both")
def _():
    with Context() as c:
        run("slot", "set", c, "0", "1G", "4M", "0", "-q")
        done = data("fault", c, "--ipa", "1G", "--access", "write")
        equal((done["outcome_name"], done["ipa"], done["prot_name"]), ("MAPPED", "0x40000000", "rw--"))
        # A data abort from a lower level, translation fault at level 3, read.
        done = data("fault", c, "--esr", "0x93c08007", "--far", "0x40001008", "--hpfar", "0x400010")
        equal((done["outcome_name"], done["ipa"]), ("MAPPED", "0x40001008"))
        equal(data("fault", c, "--ipa", "8G", code=FAULT)["outcome_name"], "NO_SLOT")
        error("fault", c, code=USAGE, says="--esr")
        error("fault", c, "--ipa", "1G", "--esr", "1", code=USAGE, says="--esr")
        error("fault", c, "--ipa", "1G", "--far", "1", code=USAGE, says="--far")
        error("fault", c, "--esr", "1", "--access", "read", code=USAGE, says="--access")


@test("translate tells where an address leads, and exits with 7 where nowhere")
def _():
    with Context() as c:
        run("map", c, "1G", "2M", "4M", "rx", "-q")
        done = data("translate", c, "0x4000_1234")
        equal((done["outcome_name"], done["pa"], done["level"], done["span"]), ("OK", "0x401234", 2, "0x200000"))
        run("translate", c, "1G", "--access", "exec", "-q")
        equal(data("translate", c, "1G", "--access", "write", code=FAULT)["outcome_name"], "DENIED")
        equal(data("translate", c, "0", code=FAULT)["outcome_name"], "NOT_MAPPED")
        steps = run("translate", c, "1G", "--explain", "-o", "tsv", "--no-legend").stdout.splitlines()
        equal([s.split("\t")[4] for s in steps], ["table", "block"])
        text = run("translate", c, "1G", "--explain").stdout
        true(re.search(r"^pa +0x400000$", text, re.M), text)


@test("quotas stop table pages, and the digest counts them")
def _():
    with Context() as c:
        equal(data("context", "quota", c, "1")["quota_pages"], 1)
        run("map", c, "0", "2M", "0", "rw", "-q")
        error("map", c, "8G", "4K", "0", "rw", code=REFUSED, says=r"PTD-E0065")
        run("context", "quota", c, "0", "-q")
        run("map", c, "8G", "4K", "0", "rw", "-q")
        digest = data("context", "digest", c, "--stable")
        equal(digest["leaves"], [0, 0, 0, 1, 1])


@test("watch prints what is there, then every change, one line each")
def _():
    with Context() as c:
        machine = c.split("/")[0]
        lines = run("context", "watch", "--machine", machine, "--until-synced", "-o", "json").stdout.splitlines()
        events = [json.loads(line) for line in lines]
        equal([e["kind"] for e in events], ["WATCH_KIND_EXISTING", "WATCH_KIND_SYNCED"])
        equal(events[0]["context"]["name"], c)
        watch = subprocess.Popen([PTCTL, "context", "watch", "--machine", machine, "--count", "4", "-o", "tsv"],
                                 stdout=subprocess.PIPE, text=True,
                                 env={**ptdtest.sanitizer_env(), "PTD_ENDPOINT": DAEMON.endpoint})
        seen = [watch.stdout.readline() for _ in range(3)]
        true("SYNCED" in seen[2], seen)
        run("context", "create", machine + "/later", "-q")
        true("CREATED" in watch.stdout.readline())
        run("context", "delete", machine + "/later", "-q")
        rest = watch.stdout.read()
        true("DELETED" in rest or "CHANGED" in rest, rest)
        equal(watch.wait(30), 0)


@test("failpoints are armed, listed and disarmed")
def _():
    with Context() as c:
        armed = data("failpoint", "arm", "pool.reserve", "--action", "error", "--nth", "1", "--times", "1",
                     "--context", c, "--ttl", "10s")["id"]
        error("map", c, "1G", "4K", "0", "rw", code=REFUSED, says=r"PTD-E0064")
        run("map", c, "1G", "4K", "0", "rw", "-q")
        listed = [f for f in data("failpoint", "list")["failpoints"] if f["id"] == armed]
        equal([f["failures"] for f in listed] or [1], [1])
        run("failpoint", "arm", "tlbi.drop", "--action", "drop", "--ppm", "1000000", "--seed", "7", "--context", c, "-q")
        true(data("failpoint", "disarm")["disarmed"] >= 1)
        equal(data("failpoint", "list")["failpoints"], [])
        error("failpoint", "arm", "no.such", "--action", "error", "--nth", "1", code=REFUSED, says="PTD-E00")
        error("failpoint", "arm", "pool.reserve", "--action", "explode", code=USAGE, says="error.drop.delay")


@test("an answer that never comes is exit code 4: the outcome is unknown")
def _():
    with Context() as c:
        run("failpoint", "arm", "rpc.reply", "--action", "drop", "--nth", "1", "--times", "1", "--context", c, "-q")
        handle = data("context", "show", c)["context"]["handle"]
        error("map", handle, "0", "4K", "0", "rw", "--timeout", "300ms", code=UNKNOWN, says="outcome unknown")
        equal(data("translate", c, "0")["outcome_name"], "OK")
        run("failpoint", "disarm", "-q")


@test("every command that reads honours every format, with and without legend")
def _():
    with Context() as c:
        machine = c.split("/")[0]
        run("slot", "set", c, "0", "1G", "4M", "0", "-q")
        run("map", c, "0", "4K", "0", "rw", "-q")
        commands = [("server", "info"), ("server", "stats"), ("health",), ("machine", "list"),
                    ("machine", "show", machine), ("machine", "read", machine, "0", "4"), ("context", "list"),
                    ("context", "show", c), ("context", "digest", c), ("context", "watch", "--until-synced"),
                    ("slot", "list", c), ("access", "read", c, "0"), ("translate", c, "0"),
                    ("translate", c, "0", "--explain"), ("failpoint", "list"), ("explain",), ("explain", "OVERLAP"),
                    ("completion", "bash"), ("dump", c), ("decode", "pte", "0x7fd"), ("map", c, "0", "4K", "0", "rw"),
                    ("unmap", c, "1M", "4K"), ("protect", c, "0", "4K", "r"), ("fault", c, "--ipa", "1G")]
        for words in commands:
            for line in run(*words, "-o", "json").stdout.split("\n{"):
                json.loads(line if line.startswith("{") else "{" + line)
            rows = [line.split("\t") for line in run(*words, "-o", "tsv").stdout.splitlines()]
            true(rows and all(len(row) == len(rows[0]) for row in rows), f"TSV of {words}: {rows}")
            bare = run(*words, "-o", "tsv", "--no-legend").stdout.splitlines()
            equal(len(bare), len(rows) - 1, f"rows of {words} without legend")
            run(*words, "-o", "table", "--no-legend")
            equal(run(*words, "-q").stdout, "", f"{words} -q")
            error(*words, "-o", "yaml", code=USAGE, says="no output format 'yaml'")


@test("names and handles are both taken; an old handle is refused")
def _():
    with Context() as c:
        handle = data("context", "show", c)["context"]["handle"]
        run("map", handle, "0", "4K", "0", "rw", "-q")
        equal(data("translate", handle, "0"), data("translate", c, "0"))
        stale = hex(int(handle, 16) ^ (1 << 60))
        error("map", stale, "0", "4K", "0", "rw", code=PRECONDITION, says=r"PTD-E007[68]")


@test("numbers with doubtful units are refused with what is accepted")
def _():
    for bad in ("2m", "40000000h", "ff", "0x", "1_", "0x_1", "4KB", "1.5G", "-1", "99999999999999999999", "0x1p3", "16E", ""):
        error("map", "m/c", "--", bad, "4K", "0", "rw", code=USAGE, says=r"ipa: (.|\n)*hint: accepted: 4096")


@test("wrong words are answered with what was meant")
def _():
    for words, says in ((("mpa",), "did you mean 'map'"), (("context", "creat", "x"), "did you mean 'context create'"),
                        (("map", "--repalce"), "did you mean --replace"), (("context",), "needs a verb"),
                        ((), "a command is missing"), (("map", "m/c"), "ipa is missing"),
                        (("server", "info", "more"), "one word too many"), (("server", "info", "-z"), "no option -z"),
                        (("map", "--if-generation"), "needs a value"), (("server", "info", "--quiet=1"), "takes no value"),
                        (("machine", "show", "a/b"), "not a machine"), (("map", "m0", "0", "0", "0", "r"), "not a context"),
                        (("server", "info", "--timeout", "soon"), "not a time"),
                        (("machine", "create", "x", "--vcpus", "5G"), "more than"),
                        (("zzzzzzzzzzzz",), "no command"), (("x" * 10000,), "no command"),
                        (("machine", "show", "x" * 300), "not a name")):
        says = error(*words, code=USAGE, says=re.escape(says))
        true("see: ptctl " in says, says)


@test("help stands in the table: every command has it, with an example that is a command line")
def _():
    rows = re.findall(r"^  ([\w-]+(?: [\w-]+)?) {2,}\S", run("--help").stdout.split("options of all")[0], re.M)
    true(len(rows) > 30, rows)
    for row in rows:
        text = run(*row.split(), "--help").stdout
        true(text.startswith(f"usage: ptctl {row}"), text)
        true(f"example: " in text and " ptctl " in text, text)
        equal(run("help", *row.split()).stdout, text)
        example = re.search(r"^example: .*?ptctl (.*)", text, re.M).group(1).rstrip(")").split()
        if row not in ("compile", "run", "tls init", "pager serve"):  # they have files
            done = subprocess.run([PTCTL, *example, "--endpoint", "unix:/nowhere"], capture_output=True, text=True, timeout=60)
            true(done.returncode != USAGE, (row, done.stderr))
    true("usage: ptctl context VERB" in run("context", "--help").stdout)
    true(re.match(r"ptctl \d+\.\d+\.\d+\n$", run("--version").stdout))


@test("bash completion is a script that bash takes, and it knows verbs and options")
def _():
    script = run("completion", "bash").stdout
    probe = script + '\nCOMP_WORDS=(ptctl context cr); COMP_CWORD=2; _ptctl; echo "${COMPREPLY[@]}"' \
                     '\nCOMP_WORDS=(ptctl map --rep); COMP_CWORD=2; _ptctl; echo "${COMPREPLY[@]}"' \
                     '\nCOMP_WORDS=(ptctl mach); COMP_CWORD=1; _ptctl; echo "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-u", "-c", probe], capture_output=True, text=True, check=True)
    equal(done.stdout.splitlines(), ["create", "--replace", "machine"])


@test("explain knows every row of the outcome table, by id, number and name")
def _():
    rows = data("explain")["errors"]
    equal({r["name"] for r in rows}, set(ptdtest.OUTCOME))
    for row in rows:
        for word in (row["id"], row["name"], row["name"].lower(), str(ptdtest.OUTCOME[row["name"]])):
            equal(data("explain", word)["errors"], [row])
    error("explain", "PTD-E9999", code=USAGE, says="accepted: PTD-E0068")


@test("docs/errors.md has each outcome and error that leaves the daemon, word for word")
def _():
    with open(os.path.join(ptdtest.TREE, "docs", "errors.md"), encoding="utf-8") as file:
        rows = [[c.strip() for c in line.strip().strip("|").split("|")] for line in file if line.startswith("| PTD-E")]
    equal([(r[0], r[1], r[3], r[4] if len(r) > 4 else "") for r in rows],
          [(r["id"], r["name"], r["text"], r["hint"]) for r in data("explain")["errors"] if r["class"] != "control"])


@test("the manual page names every command, and the exit codes that docs/ptctl.md names")
def _():
    def read(*path):
        with open(os.path.join(ptdtest.TREE, "docs", *path), encoding="utf-8") as file:
            return file.read()
    page = read("man", "ptctl.1.scd").split("# COMMANDS")[1]
    rows = re.findall(r"^  (\w+)(?: (\w+))? {2,}\S", run("--help").stdout.split("options of all")[0], re.M)
    for noun, verb in rows:
        line = [x for x in page.splitlines() if x.startswith("*") and f"*{noun}*" in x]
        true(line and (not verb or f"*{verb}*" in line[0]), f"{noun} {verb}")
    codes = re.findall(r"^\| (\d+) \|", read("ptctl.md"), re.M)
    equal(re.findall(r"^\*(\d+)\*$", page, re.M), codes)


@test("no daemon, a bad endpoint and a deaf one have exit codes of their own")
def _():
    error("server", "info", endpoint=f"unix:{DAEMON.folder}/nobody", code=CONNECT, says="is ptd running")
    error("server", "info", "-e", "tcp:127.0.0.1:1", code=CONNECT, says="127.0.0.1:1")
    for bad in ("tcp:1", "tcp:host", "http://x", "unix:", "/a/path", "tcp:::1:5", "unix:/" + "x" * 200):
        error("server", "info", "-e", bad, code=USAGE, says="unix:PATH, tcp:HOST:PORT or tls:HOST:PORT")
    deaf = socket.socket(socket.AF_UNIX)
    path = os.path.join(DAEMON.folder, "deaf")
    deaf.bind(path)
    deaf.listen(8)
    error("server", "info", "-e", f"unix:{path}", "-t", "200ms", code=UNKNOWN, says="deadline")
    deaf.close()


@test("without PTD_ENDPOINT the user's own daemon is asked")
def _():
    os.symlink(DAEMON.socket, os.path.join(DAEMON.folder, "ptd.sock"))
    env = {key: value for key, value in os.environ.items() if key != "PTD_ENDPOINT"}
    done = subprocess.run([PTCTL, "health"], env={**env, "XDG_RUNTIME_DIR": DAEMON.folder}, capture_output=True, text=True)
    equal((done.returncode, done.stdout.split()), (DONE, ["status", "serving"]), done.stderr)
    done = subprocess.run([PTCTL, "health"], env={**env, "XDG_RUNTIME_DIR": "/nowhere"}, capture_output=True, text=True)
    true(done.returncode == DONE or "/run/ptd/ptd.sock" in done.stderr, done.stderr)


@test("a peer that is not HTTP/2 is an error, not a hang")
def _():
    path = os.path.join(DAEMON.folder, "web")
    peer = socket.socket(socket.AF_UNIX)
    peer.bind(path)
    peer.listen(8)

    def serve(answer):
        link, _ = peer.accept()
        link.recv(1024)
        link.sendall(answer)
        link.recv(65536)
        link.close()

    for answer in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 9, b"\x16\x03\x01\x02\x00\x01" * 20):
        thread = threading.Thread(target=serve, args=(answer,))
        thread.start()
        error("server", "info", "-e", f"unix:{path}", "-t", "20s", code=UNKNOWN, says="connection was lost")
        thread.join()
    peer.close()


@test("requests and answers beyond a limit are refused, and the next command works")
def _():
    with Context() as c:
        machine = c.split("/")[0]
        big = os.path.join(DAEMON.folder, "big")
        with open(big, "wb") as file:
            file.write(bytes(5 << 20))
        error("machine", "write", machine, "0", "@" + big, code=REFUSED, says="error")
        error("machine", "read", machine, "0", "8M", code=REFUSED, says="error")
        error("access", "read", c, "0", "--length", "3M", code=REFUSED, says="error")
        with open(big, "ab") as file:
            file.write(bytes(12 << 20))
        error("machine", "write", machine, "0", "@" + big, code=USAGE, says="more than 16M")
        error("machine", "write", machine, "0", "@" + big + "no", code=USAGE, says="No such file")
        equal(data("machine", "read", machine, "0", "2")["data"], "0000")


@test("an interrupted command ends with 130")
def _():
    watch = subprocess.Popen([PTCTL, "context", "watch", "-o", "json"], stdout=subprocess.PIPE, text=True,
                             env={**ptdtest.sanitizer_env(), "PTD_ENDPOINT": DAEMON.endpoint})
    true("SYNCED" in watch.stdout.readline())
    watch.send_signal(signal.SIGINT)
    equal(watch.wait(30), 130)
    watch.stdout.close()


@test("output that cannot be written is an error")
def _():
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([PTCTL, "explain"], stdout=full, stderr=subprocess.PIPE, text=True)
    equal(done.returncode, REFUSED)
    true("cannot be written" in done.stderr, done.stderr)


@test("the quickstart maps a range and writes a byte")
def _():
    quickstart = os.path.join(os.path.dirname(os.path.abspath(__file__)), "quickstart.py")
    with open(quickstart, encoding="ascii") as file:
        true(len(file.readlines()) <= 25, "quickstart.py is longer than 25 lines")
    done = subprocess.run([sys.executable, quickstart, DAEMON.target()], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "PTD_BUILD": BUILD})
    equal(done.returncode, 0, done.stderr)
    true("leaves_written: 2" in done.stdout and "fault: FAULT_KIND_TRANSLATION" in done.stdout, done.stdout)
    run("machine", "delete", "quick", "--force", "-q")


@test("the tutorial of nested faults is what a shell shows")
def _():
    wanted, script = "", "exec 2>&1\n"
    with open(os.path.join(ptdtest.TREE, "docs", "tutorial-nested.md"), encoding="utf-8") as file:
        blocks = re.findall(r"```console\n(.*?)```", file.read(), re.S)
    for line in "".join(blocks).splitlines():
        wanted += line.rstrip() + "\n"
        if line.startswith("$ "):
            script += f"cat <<'END'\n{line}\nEND\n{line[2:]}\n"
    done = subprocess.run(["bash", "-c", script], cwd=DAEMON.folder, capture_output=True, text=True, timeout=120, env={
        **ptdtest.sanitizer_env(), "PTD_ENDPOINT": DAEMON.endpoint, "PATH": f"{BUILD}:{os.environ['PATH']}"})
    equal("".join(line.rstrip() + "\n" for line in done.stdout.splitlines()).splitlines(), wanted.splitlines())


@test("nested: what cannot be is refused, and said")
def _():
    build, tlbi, base, one = ("nested", "build"), ("nested", "tlbi"), "0x20_0000", "0:4K:0x10_0000:r"
    with Context("--nested") as c:
        for words, says in (((c, "0x20_0001", one), "BASE: 0x200001"), ((c, "0x20_1000", one), "BASE"),
                            ((c, "0xffff_ffff_c000", one, "--ipa-bits", "32"), "reach beyond"),
                            ((c, base, one, "--ipa-bits", "31"), "--ipa-bits: 31"),
                            ((c, base, one + ",1:4K:0:r"), "MAPS: number 2"), ((c, base, "0:0:0:r"), "MAPS: number 1"),
                            ((c, base, one + "," + one), "number 2 overlaps"), ((c, base, "0:4K"), "a map is"),
                            ((c, base, "4K:512G:0:r"), "larger than 4M")):
            error(*build, *words, code=USAGE, says=says)
        equal(run(*build, c, base, one, code=FAULT).stderr, "error: the tables cannot be written at 0x200000: NO_SLOT\n")
        error(*tlbi, c, "ripas2e1", "--ipa", "0x1000", code=USAGE, says="--ipa goes with ipas2e1")
        error(*tlbi, c, "alle1", "--ipa", "0x1000", code=USAGE, says="--ipa goes with ipas2e1")
        error(*tlbi, c, "ipas2e1", "--ipa", "0x10_0000_0000_0000", code=USAGE, says="52 bits")
        error(*tlbi, c, "ipas2e1", "--ipa", "0", "--operand", "1", code=USAGE, says="--operand is too much")
        whose = ("--vttbr", "0", "--vtcr", "0")
        error(*tlbi, c, "ripas2e1", "--operand", "1", *whose, code=REFUSED, says="--operand: 0x1 has a reserved TG")
        for words in ((), ("--vttbr", "1"), ("--vtcr", "1", "--hcr", "5")):
            error("nested", "enter", c, *words, code=USAGE, says="--vttbr and --vtcr are needed")
            error("nested", "at", c, "s12e1r", "0", *words, code=USAGE, says="--vttbr and --vtcr are needed")
        for words in (("ipas2e1is", "--ipa", "0"), ("vmalls12e1", "--vttbr", "1"), ("vmalle1", "--vtcr", "1")):
            error(*tlbi, c, *words, code=USAGE, says="--vttbr and --vtcr are needed")
        run(*tlbi, c, "alle1is")
        run("nested", "at", c, "s12e1r", "0", "--hcr", "0")
        run("slot", "set", c, "0", "0", "16M", "0")
        registers = data(*build, c, base, one)["tables"][0]["registers"].split()
        equal(run(*build, c, base, one).stdout.splitlines()[-1], f"registers {' '.join(registers)}")
        shadow = data("nested", "enter", c, *registers)["name"]
        for whose in (shadow, data("context", "show", shadow)["context"]["handle"]):
            before = data("machine", "read", c.split("/")[0], "0", "8")
            error(*build, whose, "0", one, code=USAGE, says=f"hint: ptctl nested build {c} ...")
            equal(data("machine", "read", c.split("/")[0], "0", "8"), before)
        run(*tlbi, c, "vmalls12e1is", *registers)
        run("nested", "exit", c)
        off, on = ("nested", "enter", c, "--hcr", "0"), ("nested", "enter", c, "--vttbr", "0")
        error(*off, "--vcpu", "2", code=REFUSED, says="--vcpu: 2")
        error(*on, "--vtcr", "0x10_0000_0000", code=REFUSED, says="S2PIE")
        equal(data("nested", "exit", c)["shadow"], "0x0")


@test("an operand that is needed is missed, and nothing is sent")
def _():
    done = subprocess.run([os.path.join(BUILD, "ptctl"), "help"], capture_output=True, text=True, check=True, timeout=20).stdout
    commands = [line[2:24].split() for line in done.split("commands:")[1].splitlines() if line.startswith("  ") and line[2] != " "]
    nowhere = {**ptdtest.sanitizer_env(), "PTD_ENDPOINT": "unix:/nowhere/ptd.sock"}
    words = 0
    for command in commands:
        usage = run(*command, "--help").stdout
        needed = [word for word in usage.splitlines()[0].split()[2 + len(command):] if not word.startswith("[")]
        example = usage[usage.index("example: "):].splitlines()[0].split("ptctl ")[-1].split()[len(command):]
        given = [word for word in example if word not in ("|", "head")][:len(needed)] if needed else []
        for i in range(len(given)):
            line = [os.path.join(BUILD, "ptctl"), *command, *given[:i]]
            got = subprocess.run(line, capture_output=True, text=True, env=nowhere, timeout=20)
            equal((got.returncode, f"{needed[i].lower()} is missing" in got.stderr.lower()), (USAGE, True), f"{line}: {got.stderr}")
            words += 1
    if words < 90:
        raise AssertionError(f"only {words} words were left out of {len(commands)} commands")


@test("an option that is needed is missed: zero is not taken for it")
def _():
    m = "needs"
    run("machine", "create", m, "--owners", "--memory", "64M", "-q")
    run("context", "create", f"{m}/h", "--kind", "host", "--identity", "-q")
    run("slot", "set", f"{m}/h", "0", "0", "64M", "0", "-q")
    run("context", "create", f"{m}/v", "--protected", "-q")
    h, both = f"{m}/h", (("--vttbr", "1G"), ("--vtcr", "0x800d3558"))
    own = ("own", "share", m, "4K"), ("own", "unshare", m, "4K"), ("own", "donate", m, "4K")
    rows = [(("fault", h), ("--ipa", "0"), ()),
            (("fault", h), ("--esr", "0x93c08007"), ("--far", "0"), ("--hpfar", "0")),
            (("nested", "enter", h), *both), (("nested", "at", h, "s12e1r", "0"), *both),
            (("nested", "tlbi", h, "ipas2e1is"), ("--ipa", "0"), *both),
            (("nested", "tlbi", h, "ripas2le1"), ("--operand", "0"), *both),
            (("failpoint", "arm", "rpc.reply"), ("--action", "error"), ("--nth", "1")),
                (("failpoint", "arm", "rpc.reply", "--nth", "1", "--action", "delay"), ("--delay", "1ms")),
            (("own", "lend", m, "4K"), ("--to", "v"), ("--pa", "0")), (("own", "lend", m, "4K", "--from", "v"), ("--to", "v"), ("--ipa", "0")),
            (("own", "retrieve", m, "1"), ("--to", "v"), ("--ipa", "0")), (("own", "relinquish", m, "1"), ("--from", "v")),
            (("own", "reclaim-dying", m, "4K"), ("--from", "v"), ("--ipa", "0")),
            (("own", "top-up", m, "4K"), ("--to", "v"), ("--pa", "0"))]
    rows += [((*line, "--to", "hyp"), ("--pa", "0")) for line in own]
    rows += [((*line, "--from", "v"), ("--ipa", "0")) for line in own]
    rows += [((*own[0], "--to", "v"), ("--pa", "0"), ("--ipa", "0"), ("--prot", "rw")), ((*own[2], "--to", "v"), ("--pa", "0"), ("--ipa", "0"))]
    rows += [((*line, "--pa", "0"), ("--from or --to",)) for line in own]
    rows += [((*own[1], "--to", "v"), ("--ipa", "0"))]
    before = [run(*words).stdout for words in (("own", "show", m), ("context", "digest", h), ("failpoint", "list"))]
    for words, *options in rows:
        for left_out in filter(None, options):
            given = [word for option in options if option != left_out for word in option]
            error(*words, *given, code=USAGE, says=f"{left_out[0]}")
    for line, more, says in (((*own[2], "--to", "v", "--pa", "0", "--ipa", "1G"), "4K:4K", "PA and IPA are needed"),
                             ((*own[2], "--to", "v", "--pa", "0", "--ipa", "1G"), ":1G:4K", "PA and IPA are needed"),
                             ((*own[1], "--to", "v", "--ipa", "1G"), "4K:4K", "IPA is needed"),
                             (("own", "pin", m, "0", "4K"), ":4K", "PA is needed"),
                             (("own", "pin", m, "0", "4K"), "4K:", "PA is needed")):
        error(*line, "--more", more, code=USAGE, says=says)
    equal([run(*words).stdout for words in (("own", "show", m), ("context", "digest", h), ("failpoint", "list"))], before)
    run("machine", "delete", m, "--force", "-q")


@test("what an object was made without is said with how to make one that has it")
def _():
    with Context() as c:
        for words, says in ((("own", "show", c.split("/")[0]), "hint: ptctl machine create --owners"),
                            (("nested", "enter", c, "--hcr", "0"), "hint: ptctl context create --nested")):
            error(*words, code=PRECONDITION, says=says)


@test("drain stops the daemon")
def _():
    run("server", "drain", "-q")
    equal(DAEMON.process.wait(30), 0)
    error("health", code=CONNECT, says="error")
    DAEMON.stop()


ptdtest.main()
