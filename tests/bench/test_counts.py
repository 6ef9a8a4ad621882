#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Instructions of the core's hot paths under callgrind, against the committed counts.txt: none may differ by more than 3 %.

`test_counts.py --write` writes counts.txt anew: after a change that is meant, and then say why in its commit.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import tap  # noqa: E402
from tap import BUILD, Skip, equal, test, true  # noqa: E402

BASELINE = os.path.join(HERE, "counts.txt")
TOLERANCE = 0.03
OWNERS_COST = 1.3  # what a fault may take with owners present, in faults without
PAGES = (64 << 20) >> 12  # what `core count` works on
TABLE = 512               # entries of a 4K table

# name: the phase of core_rows.c, the function that it calls, and how many operations its calls are together; None: each
# call is one
PATHS = {
    "fault_map": ("time_fault_map_section", "pt_fault_handle", None),
    "relax": ("time_relax_single", "pt_fault_handle", None),
    "make_young": ("time_mkyoung_single", "pt_fault_handle", None),
    "faults_map": ("time_fault_map", "faults", PAGES),
    "faults_relax": ("time_relax", "faults", PAGES),
    "faults_make_young": ("time_mkyoung", "faults", PAGES),
    "get_leaf": ("time_get_leaf", "pt_get_leaf", None),
    "point_map": ("time_map_single", "pt_point", None),
    "point_unmap": ("time_unmap_single", "pt_point", None),
    "points_map": ("time_map_page", "points", PAGES),
    "points_unmap": ("time_unmap_page", "points", PAGES),
    "map_per_table": ("time_map_range", "map", PAGES // TABLE),
    "unmap_per_table": ("time_unmap_range", "unmap", PAGES // TABLE),
    "wrprotect_per_table": ("time_wrprotect", "write_protect", PAGES // TABLE),
    "age_per_table": ("time_age", "age", PAGES // TABLE),
    "extent_find": ("time_extent_find", "pt_extents_find", None),
    "extent_set": ("time_extent_set", "pt_extents_set", None),
    "host_fault": ("time_host_fault", "pt_fault_handle", None),
    "own_donate_page": ("time_donate_page", "pt_transfer_step", None),
    "own_balloon_page": ("time_balloon_page", "pt_transfer_step", None),
    "own_donate_scattered": ("time_donate_scattered", "pt_transfer_step", 500),
    "own_balloon_scattered": ("time_balloon_scattered", "pt_transfer_step", 500),
    "own_share_page": ("time_share_page", "pt_transfer_step", None),
    "own_pin_page": ("time_pin_page", "pt_transfer_step", None),
    "own_donate_per_table": ("time_donate_range", "pt_transfer_step", PAGES // TABLE // 4),
    "own_balloon_per_table": ("time_balloon_range", "pt_transfer_step", PAGES // TABLE // 4),
    "nested_fill": ("time_fill", "pt_nested_fault", None),
    "nested_guest_walk": ("time_walk", "pt_guest_walk", None),
    "nested_unmap_none": ("count_unmap_none", "pt_point", None),
    "nested_unmap_others": ("count_unmap_others", "pt_point", None),
    "nested_unmap_1": ("count_unmap_1", "pt_point", None),
    "nested_unmap_8": ("count_unmap_8", "pt_point", None),
    "nested_unmap_64": ("count_unmap_64", "pt_point", None),
    "annotate_per_table": ("time_owner", "annotate", PAGES // TABLE),
}


def compiler():
    """What built the objects: other compilers make other counts."""
    core = os.path.join(BUILD, "tests", "bench", "core")
    notes = subprocess.run(["readelf", "-p", ".comment", core], capture_output=True, text=True, check=True).stdout
    return "; ".join(sorted(set(re.findall(r"\]\s+(\S.*?)\s*$", notes, re.M))))


def edges(path):
    """(caller, callee) -> calls and instructions in them, of a callgrind file with plain names and positions."""
    seen, caller, callee, calls = {}, None, None, 0
    with open(path) as file:
        for line in file:
            if line.startswith("fn="):
                caller = line[3:].strip()
            elif line.startswith("cfn="):
                callee = line[4:].strip()
            elif line.startswith("calls="):
                calls = int(line[6:].split()[0])
            elif calls:
                edge = seen.setdefault((caller, callee), [0, 0])
                edge[0] += calls
                edge[1] += int(line.split()[1])
                calls = 0
    return seen


def measure():
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "callgrind.out")
        done = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--compress-strings=no",
                               "--compress-pos=no", os.path.join(BUILD, "tests", "bench", "core"), "count"],
                              capture_output=True, text=True)
        equal(done.returncode, 0, done.stderr[-2000:])
        seen = edges(out)
    counts = {}
    for name, (phase, function, operations) in PATHS.items():
        true((phase, function) in seen, f"{phase} calls {function}")
        calls, instructions = seen[phase, function]
        counts[name] = instructions / (operations or calls)
    return counts


def baseline():
    with open(BASELINE) as file:
        lines = [line.split(None, 1) for line in file if not line.startswith("#")]
    return lines[0][1].strip(), {name: float(value) for name, value in lines[1:]}


@test("the hot paths take as many instructions as counts.txt says")
def _():
    if not shutil.which("valgrind"):
        raise Skip("no valgrind")
    built_by, wanted = baseline()
    if compiler() != built_by:
        raise Skip(f"built by {compiler()}, the counts are those of {built_by}")
    seen = measure()
    equal(sorted(seen), sorted(wanted), "paths")
    for name, count in seen.items():
        print(f"# {name} {count:.1f} (was {wanted[name]:.1f})")
    off = [name for name, count in seen.items() if abs(count / wanted[name] - 1) > TOLERANCE]
    equal(off, [], "paths that differ by more than 3 % (tests/bench/test_counts.py --write)")
    shadow = {k: (seen[f"nested_unmap_{k}"] - seen["nested_unmap_none"]) / k for k in (1, 8, 64)}
    true(max(shadow[8], shadow[64]) <= shadow[1], f"a page's shadows are removed in a time that is linear in them: {shadow}")
    true(seen["host_fault"] <= OWNERS_COST * seen["fault_map"], f"a host's fault takes {OWNERS_COST} of one without owners")


def write():
    with open(BASELINE, "w") as file:
        file.write("# Instructions a call, and a table of 512 entries; see test_counts.py.\n")
        file.write(f"compiler {compiler()}\n")
        for name, count in measure().items():
            file.write(f"{name} {count:.1f}\n")


if __name__ == "__main__":
    write() if sys.argv[1:] == ["--write"] else tap.main()
