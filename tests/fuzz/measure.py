# SPDX-License-Identifier: BSD-2-Clause
"""Lines of the wire that profiles of the fuzz targets have reached. The wire: what stands between a peer's bytes and
a handler, and back; the TLS part of the driver that reads a peer's certificate belongs to it."""
import json
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WIRE = ("admission", "answer", "arena", "client_stream", "codec", "conn", "descset", "dispatch", "flush", "frame", "health",
        "hot", "input", "keepalive", "message", "principals", "reflection", "request", "scan", "session", "session_memory",
        "shard", "slab", "status", "stream", "timer")
BEGINNINGS = ("conn_", "hot_", "handle_session", "wire_", "stream_")
NO_WIRE = ()


def is_wire(path):
    path = os.path.relpath(path, TREE)
    folder, name = os.path.split(path)
    name = name.rsplit(".", 1)[0]
    if path.startswith("daemon/driver/"):
        return name == "tls_identity"
    return folder == "daemon/core" and name not in NO_WIRE and (name in WIRE or name.startswith(BEGINNINGS))


def lines(programs, profiles):
    """{file: (lines reached, lines)} over all profiles that are there."""
    with tempfile.TemporaryDirectory(prefix="ptd-fuzz-") as folder:
        merged = os.path.join(folder, "all.profdata")
        there = [p for p in profiles if os.path.exists(p)]
        subprocess.run(["llvm-profdata-14", "merge", "-sparse", "-o", merged, *there], check=True)
        objects = [word for p in programs[1:] for word in ("-object", p)]
        done = subprocess.run(["llvm-cov-14", "export", "-summary-only", "-instr-profile", merged, programs[0], *objects],
                              check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=TREE)
    found = {}
    for entry in json.loads(done.stdout)["data"][0]["files"]:
        path = os.path.join(TREE, entry["filename"])
        if is_wire(path):
            count = entry["summary"]["lines"]
            if count["count"]:
                found[os.path.relpath(path, TREE)] = (count["covered"], count["count"])
    return found


def table(found):
    rows = [f"{covered:5} of {total:5} {100 * covered / max(total, 1):5.1f} %  {path}"
            for path, (covered, total) in sorted(found.items())]
    covered, total = (sum(n[i] for n in found.values()) for i in (0, 1))
    return "\n".join(rows + [f"{covered:5} of {total:5} {100 * covered / max(total, 1):5.1f} %  all"])
