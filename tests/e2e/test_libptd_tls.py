# SPDX-License-Identifier: BSD-2-Clause
"""TLS as libptd speaks it, against a server of another make: who is believed, and who is not."""
import os
import ssl
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import clientproxy  # noqa: E402
import ptdtest  # noqa: E402
from ptdtest import BUILD, equal, test, true  # noqa: E402

FOLDER = tempfile.TemporaryDirectory(prefix="ptd-test-")
PATH = clientproxy.certificates(FOLDER.name)
CONNECT = 3
USAGE_OF_FILES = 2


def ptctl(endpoint, *words, ca="ca.pem", own="client", env=None):
    options = (["--tls-ca", PATH(ca)] if ca else []) + \
        (["--tls-certificate", PATH(f"{own}.pem"), "--tls-key", PATH(f"{own}.key")] if own else [])
    return subprocess.run([os.path.join(BUILD, "ptctl"), "-e", endpoint, "-t", "20s", *options, *words],
                          capture_output=True, text=True, timeout=60,
                          env={**ptdtest.sanitizer_env(), **(env or {})})


def refused(daemon, says, endpoint=None, ca="ca.pem", own="client", **server):
    with clientproxy.Proxy(daemon.socket, tls=clientproxy.server_context(PATH, **server)) as proxy:
        done = ptctl((endpoint or "tls:127.0.0.1:{}").format(proxy.port), "server", "info", ca=ca, own=own)
    equal(done.returncode, CONNECT, done.stdout + done.stderr)
    true(says in done.stderr, done.stderr)


@test("calls go over TLS 1.3 with certificates on both sides")
def _():
    with ptdtest.Daemon(loops=1) as ptd, \
            clientproxy.Proxy(ptd.socket, tls=clientproxy.server_context(PATH)) as proxy:
        for host in ("127.0.0.1", "localhost"):
            done = ptctl(f"tls:{host}:{proxy.port}", "machine", "create", f"m-{host[:3]}", "--memory", "64K")
            equal(done.returncode, 0, done.stderr)
        env = {"PTD_TLS_CA": PATH("ca.pem"), "PTD_TLS_CERTIFICATE": PATH("client.pem"), "PTD_TLS_KEY": PATH("client.key")}
        listed = ptctl(proxy.endpoint, "machine", "list", "-o", "tsv", ca=None, own=None, env=env)
        true("m-127" in listed.stdout and "m-loc" in listed.stdout, listed.stdout + listed.stderr)
        equal(proxy.handshakes, [("TLSv1.3", False)] * 3)


@test("an answer of many records comes back whole")
def _():
    with ptdtest.Daemon(loops=1) as ptd, \
            clientproxy.Proxy(ptd.socket, tls=clientproxy.server_context(PATH)) as proxy:
        equal(ptctl(proxy.endpoint, "machine", "create", "m0", "--memory", "4M").returncode, 0)
        data = bytes(i * 7 & 255 for i in range(1 << 20))
        with open(PATH("data"), "wb") as file:
            file.write(data)
        equal(ptctl(proxy.endpoint, "machine", "write", "m0", "0", "@" + PATH("data")).returncode, 0)
        done = ptctl(proxy.endpoint, "machine", "read", "m0", "0", "1M", "-o", "json")
        true(data.hex() in done.stdout, done.stderr)


@test("a daemon that another CA vouches for is not believed")
def _():
    with ptdtest.Daemon(loops=1) as ptd:
        refused(ptd, "the daemon's certificate: ", ca="other.pem")
        refused(ptd, "the daemon's certificate: ", ca=None)


@test("nor one whose certificate bears another name, or the name only as its subject")
def _():
    with ptdtest.Daemon(loops=1) as ptd:
        refused(ptd, "mismatch", name="nameless")
        refused(ptd, "mismatch", endpoint="tls:localhost:{}", name="nameless")


@test("nor one that speaks an older TLS, or no HTTP/2")
def _():
    with ptdtest.Daemon(loops=1) as ptd:
        refused(ptd, "TLS: ", newest=ssl.TLSVersion.TLSv1_2)
        refused(ptd, "TLS: ", alpn=("http/1.1",))
        refused(ptd, "does not speak HTTP/2", alpn=())


@test("a client without the certificate that the daemon wants gets nothing done, and is told")
def _():
    with ptdtest.Daemon(loops=1) as ptd:
        with clientproxy.Proxy(ptd.socket, tls=clientproxy.server_context(PATH)) as proxy:
            done = ptctl(proxy.endpoint, "machine", "create", "m0", "--memory", "64K", own=None)
            equal(done.returncode, CONNECT, done.stderr)
            true("certificate required" in done.stderr and "is ptd running" not in done.stderr, done.stderr)
        equal(ptd.ptctl("machine", "list", "-o", "tsv", "--no-legend").stdout, "")


@test("files that cannot be read are named")
def _():
    gone, own = f"{PATH('none')}: No such file or directory", ["--tls-certificate", PATH("client.pem")]
    for words, says in ((["--tls-ca", PATH("none")], gone), (["--tls-key", PATH("client.key")], "go together"),
                        (["--tls-certificate", PATH("none"), "--tls-key", PATH("client.key")], gone), ([*own, "--tls-key", PATH("none")], gone),
                        (["--tls-certificate", PATH("client.pem"), "--tls-key", PATH("server.key")], "server.key")):
        done = subprocess.run([os.path.join(BUILD, "ptctl"), "-e", "tls:127.0.0.1:1", *words, "health"],
                              capture_output=True, text=True, timeout=60, env=ptdtest.sanitizer_env())
        equal(done.returncode, USAGE_OF_FILES, done.stderr)
        true(says in done.stderr, done.stderr)
        true("is ptd running" not in done.stderr, done.stderr)


ptdtest.main()
