# SPDX-License-Identifier: BSD-2-Clause
"""The tiers of tests: which stages each has, and how many seconds a stage may take."""
import dataclasses
import glob
import os
import time

CORES = min(os.cpu_count() or 2, 4)
WAITING = CORES + 1  # jobs of which some wait for a daemon most of the time


@dataclasses.dataclass
class Make:
    """A make run: one test, that it succeeds. `flavour` is added to the build folder's name, `files` are in that
    folder, and so are the programs, whose sources the patterns name."""
    name: str
    targets: tuple = ()
    flavour: str = ""
    variables: tuple = ()
    timeout: int = 600
    files: tuple = ()
    programs: tuple = ()
    without: tuple = ()

    def arguments(self, build):
        found = [p[:-2] for pattern in self.programs for p in sorted(glob.glob(pattern))
                 if not any(part in p for part in self.without)]
        return [f"B={build}{self.flavour}", *self.variables, *self.targets,
                *(f"{build}{self.flavour}/{name}" for name in (*self.files, *found))]


@dataclasses.dataclass
class Tests:
    """Programs that print TAP. A pattern in .c names the source; what was built from it is run."""
    patterns: tuple
    flavour: str = ""
    env: dict = dataclasses.field(default_factory=dict)
    timeout: int = 120
    jobs: int = CORES
    without: tuple = ()

    def build(self, build):
        return build + self.flavour


@dataclasses.dataclass
class Stage:
    name: str
    budget: int
    steps: list


def together(name, budget, *stages):
    """One stage of several: first what they build, then their tests side by side."""
    steps = [step for stage in stages for step in stage.steps]
    return Stage(name, budget, sorted(steps, key=lambda step: isinstance(step, Tests)))


UNIT = ("tests/unit/test_*.c",)
# What threads do is shown where threads meet: claims, sections, deferred free, the daemon's loops.
THREADED = tuple(f"tests/unit/test_{name}.c" for name in (
    "rcu", "claim*", "section*", "reclaim*", "concurr*", "torture*", "*_threads", "vcpu*", "domain*"))
# Tests over the runtime checker, with sanitizers: mk/check.mk builds the same. Whoever does the same each time would
# show it the same events again without them, so that only tests whose threads race run in both ways: they meet more
# often when nothing slows them.
CHECKED_CORE = tuple(f"tests/unit/test_{name}*.c" for name in (
    "claim", "conflict", "contiguous", "dirty", "domain", "fault", "guest_tlbi", "hv", "hyp", "item", "lending", "nested", "owner", "seam", "steps", "annotate", "rights", "model", "point", "policy", "pool",
    "section", "slot", "transfer", "txn", "upkeep", "vcpu", "vmid", "walk", "digest"))
RACING_CORE = ("tests/unit/test_txn_threads.c", "tests/unit/test_dirty_threads.c", "tests/unit/test_teardown_threads.c")
E2E = ("tests/conform/test_*.py", "tests/conform/*.bats", "tests/e2e/test_*.py", "tests/e2e/*.bats",
       "tests/scenarios/*.bats", "tests/scenarios/test_*.py")
# What these count (rules judged, translations kept and stale, operations by result, cases by bound) is printed with the
# stage; each fails where a count is too low.
COUNTING = ("tests/checker/test_core", "tests/model/ptd-model", "tests/model/ptd-own", "tests/model/ptd-nested", "tests/interleave/test_interleave")
# Begun before others of their stage, which fill the processors while these run.
LONGEST = ("alloc/sweep", "test_interleave3", "ptd-model", "ptd-sim", "test_model", "test_wire_sim", "test_table_memory", "test_libptd_uv", "test_clone")
# Needs a build of its own flavour, or times something.
SLOW = ("test_tsan",)
# Of its clang flavours this is the one with addresses: libFuzzer's and the counts of lines are in it for the fuzz targets.
# Lines are all that their reports tell, and the linker that is fast.
SANITIZED = ("CC=clang", "OPT=-g1", "LDFLAGS=-fuse-ld=lld")
ASAN = ("SAN=fuzzer-no-link,address,undefined", "CFLAGS=-fprofile-instr-generate -fcoverage-mapping", *SANITIZED)
TSAN = ("SAN=thread", *SANITIZED)

BUILD = Stage("build", 72, [Make("gcc", ("all", "tests"))])
LAYERS = Stage("layers", 13, [Tests(("tests/layers/test_*.py", "tests/layers/test_*.sh"))])
# Instructions of the hot paths; callgrind counts the same whatever runs beside it.
COUNTS = Stage("counts", 10, [Make("bench", ("bench-core",)), Tests(("tests/bench/test_counts.py",))])
# The checker by itself, and the core over it.
CHECKER = Stage("checker", 25, [
    Make("checked", ("checked",)),
    Tests(("tests/checker/test_*.c", "tests/checker/test_*.py")),
    Tests(RACING_CORE, "/checked"),
])
# Reads the events of checked builds.
CHECKED_ONLY = ("test_seam", "test_seam_failpoint", "test_seam_races")
# With sanitizers these run over the checker alone.
UNCHECKED = tuple(sorted({os.path.basename(p)[:-2] for pattern in CHECKED_CORE for p in glob.glob(pattern)}))
UNITS = Stage("unit", 15, [Make("unit", ("tests",)), Tests(UNIT, without=CHECKED_ONLY)])
END_TO_END = Stage("e2e", 65, [Make("programs", ("all",)), Tests(E2E, env={"PTD_FULL": "1"}, without=SLOW)])
# The official clients of gRPC, against a build that serves their TestService.
INTEROP = Stage("interop", 20, [Make("interop", ("interop",)), Tests(("tests/interop/test_*.py",))])
ADDRESS = Stage("asan+ubsan", 175, [
    Make("asan", ("client", "python", "checked-core"), "-asan", ASAN, files=("ptd",), programs=(*UNIT, "tests/alloc/sweep.c"), without=UNCHECKED),
    # clang judges what is in no build of its own.
    Make("clang", ("all", "tests"), "-clang", ("CC=mk/syntax.sh",)),
    Tests(CHECKED_CORE, "-asan/checked", timeout=240, jobs=WAITING),
    Tests(UNIT, "-asan", without=UNCHECKED, jobs=WAITING),
    Tests(("tests/e2e/test_fields*.py", "tests/e2e/test_wire*.py", "tests/e2e/test_libptd_*.py", "tests/e2e/test_tls*.py"), "-asan", jobs=WAITING),
])
THREADS = Stage("tsan", 46, [
    Make("tsan", ("python",), "-tsan", TSAN, files=("ptd", "ptctl", "examples/libptd_threads"), programs=THREADED),
    Tests(THREADED, "-tsan"),
    Tests(("tests/e2e/test_tsan*.py",), "-tsan", timeout=60),
])
# Also how old table pages are when they are read (tests/unit/table_ages.h), which needs the events of the checked build.
LONG_THREADS = Stage("tsan", 110, [
    *THREADS.steps,
    Make("tsan, checked", (), "-tsan", TSAN, files=("checked/tests/unit/test_txn_threads",)),
    Tests(("tests/unit/test_txn_threads.c",), "-tsan/checked"),
])
SIMULATION = Stage("simulation", 30, [
    Make("simulation", ("sim",)),
    Tests(("tests/sim/ptd-sim.c", "tests/sim/test_*.c"), timeout=180),
])
# All interleavings within bounds of preemptions and of stores seen late.
INTERLEAVE = Stage("interleave", 25, [
    Make("interleave", ("interleave",)),
    Tests(("tests/interleave/test_*.c",), env={"PTD_PREEMPTIONS": "3", "PTD_DELAYS": "1"}),
])
# Deferred free and claims as models, which Spin searches with stores that reach memory late.
SPIN = Stage("spin", 10, [Tests(("tests/spin/test_*.py",))])
# Seconds are of processor time, a case, and more than any takes. One that does not come to its end all the same is told as a
# skip; one that does not get as far as in make check fails.
DEEP_INTERLEAVE = Stage("interleave", 600, [
    Make("interleave", ("interleave",)),
    Tests(("tests/interleave/test_*.c",), timeout=1800, without=("test_interleave3",),
          env={"PTD_PREEMPTIONS": "4", "PTD_DELAYS": "2", "PTD_SECONDS": "100", "PTD_LEAST": "3"}),
    # Three at once have one preemption less: 3.
    Tests(("tests/interleave/test_interleave3.c",), timeout=1800,
          env={"PTD_PREEMPTIONS": "4", "PTD_DELAYS": "1", "PTD_SECONDS": "300", "PTD_LEAST": "2"}),
])
# The images are compiled four ways, and boot on five CPU models under QEMU; its last line counts what was compared. With
# PTD_FULL each way boots on a second model, too.
EL2 = Stage("el2", 92, [Make("images", ("el2", "daemon", "client", "python")), Tests(("tests/el2/run",), timeout=300)])
LONG_EL2 = Stage("el2", 130, [*EL2.steps[:1], Tests(("tests/el2/run",), env={"PTD_FULL": "1"}, timeout=300)])
# The same and more models with a newer QEMU, which the first run fetches; not run where that cannot be had.
QEMU11 = Stage("qemu 11", 200, [Make("images", ("el2", "daemon", "client", "python")), Tests(("tests/el2/qemu11",), env={"PTD_FULL": "1"}, timeout=900)])
# Clients of ptd-checked that are failed and killed in turn, with an oracle of their own; another seed each time.
TORTURE = Stage("torture", 155, [
    Make("programs", ("all",)),
    Tests(("tests/torture/clients.py",), env={"PTD_SECONDS": "90"}, timeout=300),
    Tests(("tests/torture/owners.py",), env={"PTD_SECONDS": "30"}, timeout=300),
])
# Other seeds each time, and more of them.
FREE_SIMULATION = Stage("simulation", 600, [
    Make("simulation", ("sim",)),
    Tests(("tests/sim/ptd-sim.c", "tests/sim/test_*.c"), timeout=600,
          env={"PTD_SEED": str(time.time_ns() // 1000000), "PTD_SEEDS": "2000"}),
])
# The oracle: its corpus, seeds from 1 on, and each result of each operation at least so often; over the lib whose seam feeds
# the rule checker. The plain one is in the unit tests (test_model).
MODEL_ENV = {"PTD_CORPUS": "tests/model/corpus", "PTD_LEAST": "100"}
OWN_ENV = {"PTD_OWN_RULES": "1", "PTD_OWN_CORPUS": "tests/model/own/corpus", "PTD_OWN_LEAST": "3", "PTD_OPERATIONS": "240000"}
MODEL = Stage("model", 30, [
    Make("model", ("model",)),
    Tests(("tests/model/ptd-own.c",), "/checked", env=OWN_ENV),
    Tests(("tests/model/ptd-nested.c",), "/checked", env={"PTD_LEAST": "3", "PTD_OPERATIONS": "10000"}),
    Tests(("tests/model/ptd-model.c",), "/checked", env={**MODEL_ENV, "PTD_SEEDS": "400"}, timeout=180),
])
# Other seeds each time, and more of them.
FREE_SEEDS = {**MODEL_ENV, "PTD_SEED": str(time.time_ns() // 1000000)}
FREE_MODEL = Stage("model", 300, [
    Make("model", ("model",)),
    Tests(("tests/model/ptd-own.c",), "/checked", env={**OWN_ENV, "PTD_SEED": FREE_SEEDS["PTD_SEED"], "PTD_OWN_LEAST": "50", "PTD_OPERATIONS": "10000000"}, timeout=600),
    Tests(("tests/model/ptd-nested.c",), "/checked", env={"PTD_SEED": FREE_SEEDS["PTD_SEED"], "PTD_LEAST": "100", "PTD_OPERATIONS": "1000000"}, timeout=600),
    Tests(("tests/model/ptd-model.c",), "/checked", env={**FREE_SEEDS, "PTD_SEEDS": "2000"}, timeout=600),
    Tests(("tests/model/ptd-model.c",), env={**FREE_SEEDS, "PTD_SEEDS": "2000"}, timeout=600),
])
QUICK_MUTANTS = Stage("mutants", 22, [Tests(("tests/mutants/run",), timeout=180)])
ALL_MUTANTS = Stage("mutants", 900, [Tests(("tests/mutants/run",), env={"MUTANTS": "all"}, timeout=1800)])
COVERAGE = Stage("coverage", 120, [Tests(("tests/coverage",), timeout=600)])
ALLOCATION = Stage("allocation", 15, [Tests(("tests/alloc/sweep.c", "tests/alloc/test_*.py"), jobs=WAITING),
                                      Tests(("tests/alloc/sweep.c",), "-asan", env={"ALLOC_STRIDE": "8"}, jobs=WAITING)])
FUZZ = Stage("fuzz", 16, [
    Make("fuzz targets", ("fuzz-targets",), "-asan", ASAN),
    Tests(("tests/fuzz/run",), "-asan", timeout=300),
])
PLANTED = Stage("planted faults", 300, [Tests(("tests/fuzz/planted/run",), timeout=900)])
REPO = Stage("repository", 31, [Tests(("tests/repo/test_*.py", "tests/repo/test_*.sh"), timeout=300)])

# They measure time: nothing runs beside them.
LOAD = Stage("load", 54, [Make("load", ("all", "load")), Tests(("tests/load/test_*.py",), timeout=300, jobs=1)])
EXACT_LOAD = Stage("load", 80, [Make("load", ("all", "load")),
                               Tests(("tests/load/test_*.py",), env={"PTD_EXACT": "1"}, timeout=300, jobs=1)])
SOAK = Stage("soak", 200, [Make("load", ("all", "load")), Tests(("tests/load/soak.py",), timeout=300, jobs=1)])

# A systemd that boots in a container; the first run makes its system.
BOOTED = Stage("booted", 240, [Make("programs", ("all",)), Tests(("tests/service/test_*.py",), timeout=600)])

TIERS = {
    "test": [
        Stage("build", 60, [Make("gcc", ("all", "tests"))]),
        LAYERS,
        Stage("unit", 30, [Tests(UNIT, without=CHECKED_ONLY)]),
        Stage("e2e", 60, [Tests(E2E, without=SLOW)]),
    ],
    "check": [
        BUILD,
        LAYERS,
        together("unit", 16, COUNTS, UNITS, CHECKER),
        together("e2e", 68, INTEROP, END_TO_END),
        together("asan+ubsan", 200, ADDRESS, ALLOCATION),
        THREADS,
        together("search", 90, INTERLEAVE, MODEL, SIMULATION, SPIN),
        EL2,
        QUICK_MUTANTS,
        FUZZ,
        LOAD,
        REPO,
    ],
    "check-long": [BUILD, LAYERS, COUNTS, UNITS, CHECKER, END_TO_END, INTEROP, ADDRESS, COVERAGE, ALLOCATION, LONG_THREADS, DEEP_INTERLEAVE, SPIN, LONG_EL2, QEMU11, FREE_SIMULATION, FREE_MODEL, TORTURE, ALL_MUTANTS, FUZZ, PLANTED,
                   EXACT_LOAD, SOAK, REPO, BOOTED],
    "unit": [UNITS],
    "counts": [COUNTS],
    "layers": [LAYERS],
    "checker": [CHECKER],
    "e2e": [END_TO_END],
    "interop": [INTEROP],
    "asan": [ADDRESS],
    "tsan": [THREADS],
    "interleave": [INTERLEAVE],
    "spin": [SPIN],
    "el2": [EL2],
    "qemu11": [QEMU11],
    "simulation": [SIMULATION],
    "model": [MODEL],
    "torture": [TORTURE],
    "load": [EXACT_LOAD],
    "mutants": [ALL_MUTANTS],
    "coverage": [COVERAGE],
    "repo": [REPO],
    "booted": [BOOTED],
}
