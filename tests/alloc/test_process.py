#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The real daemon without memory: allocations of the whole process, libuv's and OpenSSL's among them, are counted in
one run with a clear and a TLS call, then some of them fail in runs of their own. The daemon then ends at its start
with words on stderr, or serves a later connection; a TLS handshake may be refused, with a reason. ALLOC_STEPS: how many of them."""
import os
import re
import subprocess
import sys
import tempfile

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")]
from tap import BUILD, equal, main, test, true  # noqa: E402

STEPS = int(os.environ.get("ALLOC_STEPS", "60"))
FOLDER = tempfile.TemporaryDirectory(prefix="ptd-alloc-")
PKI = os.path.join(FOLDER.name, "pki")
REPORT = os.path.join(FOLDER.name, "report")
PTCTL = os.path.join(BUILD, "ptctl")


def pki(name):
    return os.path.join(PKI, name)


def call(endpoint):
    options = ["--tls-ca", pki("ca.crt"), "--tls-certificate", pki("trial.crt"), "--tls-key", pki("trial.key")] \
        if endpoint.startswith("tls:") else []
    return subprocess.run([PTCTL, "-e", endpoint, "-t", "5s", *options, "server", "info"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, timeout=30)


def later(endpoint):
    """The call that meets the failure may be lost; one after it is served."""
    for _ in range(3):
        done = call(endpoint)
        if not done.returncode:
            break
    return done


def run(fail_at, length=1):
    """None: ended well or said why; else what was wrong."""
    socket = f"unix:{FOLDER.name}/s"
    env = dict(os.environ, PTD_ALLOC_REPORT=REPORT)
    if fail_at:
        env.update(PTD_ALLOC_FAIL=str(fail_at), PTD_ALLOC_RUN=str(length))
    process = subprocess.Popen([os.path.join(BUILD, "ptd-alloc"), "--loops", "1", "--listen", socket, "--listen", "tls:127.0.0.1:0",
                                "--tls-certificate", pki("server.crt"), "--tls-key", pki("server.key"), "--tls-ca", pki("ca.crt")],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    line = process.stdout.readline()
    if not line.startswith("ptd ready"):
        _, words = process.communicate(timeout=20)
        if process.returncode < 0 and "rcu" not in words:
            return f"allocation {fail_at}: killed by signal {-process.returncode} at its start: {words!r}"
        return None if process.returncode and words.strip() else f"allocation {fail_at}: ended without a word"
    port = re.search(r"tls:[^ ]*:(\d+)", line)
    call(f"tls:127.0.0.1:{port.group(1)}")
    call(socket)
    wrong = []
    clear, tls = later(socket), later(f"tls:127.0.0.1:{port.group(1)}")
    if clear.returncode:
        wrong.append(f"allocation {fail_at}: {clear.stdout}")
    process.terminate()
    try:
        _, words = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        return f"allocation {fail_at}: it does not stop"
    # What OpenSSL could not load while the daemon started it may miss for good: then it says so each time.
    if tls.returncode and "handshake refused" not in words:
        wrong.append(f"allocation {fail_at}: {tls.stdout}")
    # liburcu gives up when its last wait finds no memory; nothing is lost by then.
    if process.returncode and not (process.returncode == -6 and "urcu" in words):
        wrong.append(f"allocation {fail_at}: it stopped with {process.returncode}: {words}")
    return "; ".join(wrong) or None


@test("allocations of the process are counted, libuv's and OpenSSL's among them")
def _():
    subprocess.run([PTCTL, "tls", "init", "--dir", PKI, "--client", "trial"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    equal(run(0), None)
    with open(REPORT, encoding="ascii") as file:
        total, uv, openssl = map(int, file.read().split())
    true(uv and openssl and total > uv + openssl, f"{total}, {uv}, {openssl}")
    print(f"# {total} allocations: {uv} of libuv, {openssl} of OpenSSL")


@test(f"{STEPS} of them fail, each in a run: it says why at its start, or serves the next connection")
def _():
    with open(REPORT, encoding="ascii") as file:
        total = int(file.read().split()[0])
    wrong = [w for w in (run(1 + i * total // STEPS, 1 + i % 3 * 4) for i in range(STEPS)) if w]
    true(not wrong, "\n".join(wrong))


main()
