# SPDX-License-Identifier: BSD-2-Clause
"""Who gets in over TLS, as whom, and who does not (reference cases 1 to 7)."""
import os
import re
import socket
import ssl
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ptdtest  # noqa: E402
import rawh2  # noqa: E402
import tlstest  # noqa: E402
from ptdtest import BUILD, OUTCOME, equal, error_code, test, true  # noqa: E402
from tlstest import CHECK, TRUST, Client, h2, outcome  # noqa: E402

FILES = tlstest.Files()
TRIAL = FILES.pair("trial")
PTD = tlstest.Daemon(FILES, loops=2)


def alive():
    with h2(PTD, TRIAL) as c:
        equal(c.call(CHECK, b"").status, 0, "Check afterwards")


def refused(reason, seen, client=None, **options):
    """The client sees an alert, the daemon says why, and serves on."""
    said = None
    while said is None:  # once more if the line fell to the limit of lines in a second
        before = len(PTD.stderr)
        equal(outcome(PTD, client, **options), seen, reason)
        said = PTD.wait_line(r"handshake refused: (.*)|more suppressed", before).group(1)
    equal(said, reason)
    alive()


@test("gRPC's own client is served over TLS 1.3, and its principal is that of its certificate")
def _():
    machine = PTD.pb("machine")

    def create(client, name):
        stub = PTD.stub("machine", "MachineService", PTD.grpc(client))
        return stub.CreateMachine(machine.CreateMachineRequest(name=name, memory_bytes=65536, vcpus=1, request_id=b"0123456789abcdef"),
                                  timeout=20).machine.handle
    other = FILES.pair("other")
    first = create(TRIAL, "of-trial")
    equal(create(TRIAL, "of-trial"), first, "the same id of the same principal on another connection")
    true(create(other, "of-other") != first, "ids of two principals are apart")
    ptdtest.refused("REQUEST_ID_REUSED", create, TRIAL, "another")


@test("a client without a URI name is its common name; TLS makes nobody an administrator")
def _():
    import grpc
    client = FILES.make("cn", san="DNS:host.example", subject="/CN=vmm 7")
    stub = PTD.stub("server", "ServerService", PTD.grpc(client))
    true(stub.GetInfo(PTD.pb("server").GetInfoRequest(), timeout=20).loops == 2)
    for who in (client, TRIAL):
        try:
            PTD.stub("server", "ServerService", PTD.grpc(who)).Drain(PTD.pb("server").DrainRequest(), timeout=20)
            raise AssertionError("Drain was done")
        except grpc.RpcError as error:
            equal((error.code(), error_code(error)), (grpc.StatusCode.PERMISSION_DENIED, OUTCOME["DENIED"]))


@test("TLS 1.3 with AES-128-GCM is chosen, no session is resumed and no ticket is issued (case 9: ticket replay)")
def _():
    made = tlstest.context(FILES, TRIAL)
    seen = []
    made._msg_callback = lambda _c, direction, _v, _t, kind, _d: seen.append((direction, getattr(kind, "name", kind)))
    with Client(PTD, made=made).handshake() as c:
        equal((c.tls.version(), c.tls.cipher()[0], c.tls.selected_alpn_protocol()), ("TLSv1.3", "TLS_AES_128_GCM_SHA256", "h2"))
        with rawh2.Connection(PTD, over=c) as wire:
            equal(wire.call(CHECK, b"").status, 0)
        session = c.tls.session
    true(("read", "FINISHED") in seen, str(seen))
    equal([one for one in seen if one[1] == "NEWSESSION_TICKET"], [])
    equal(session.has_ticket, False)
    with Client(PTD, made=made, session=session).handshake() as c:
        equal(c.tls.session_reused, False)


def silent_close(data):
    with PTD.connect() as plain:
        plain.sendall(data)
        try:
            return plain.recv(100)
        except ConnectionResetError:
            return b""


@test("case 1: plain text on the TLS port is closed without an answer")
def _():
    for data in (rawh2.PREFACE + rawh2.frame(rawh2.SETTINGS), b"\0", b"SSH-2.0-x\r\n", b"\x15\x03\x01\0\x02\x01\0", b"\x80\x2e\x01\x03\x01"):
        equal(silent_close(data), b"", repr(data[:8]))
    PTD.wait_line("handshake refused: not TLS")
    alive()


@test("case 2: TLS on a clear port is closed")
def _():
    with ptdtest.Daemon(loops=1, listen="tcp:127.0.0.1:0", args=["--allow-clear-tcp"]) as clear:
        with socket.create_connection(("127.0.0.1", int(clear.target().split(":")[1])), 20) as plain:
            with Client(PTD, TRIAL, plain=plain) as c:
                # Its first frames are the server's, which is no TLS.
                try:
                    c.handshake()
                    raise AssertionError("a handshake with a clear port")
                except (ssl.SSLError, EOFError):
                    pass
        info = clear.stub("server", "ServerService").GetInfo(clear.pb("server").GetInfoRequest(), timeout=20)
        equal(info.loops, 1)


@test("case 3: HTTP/1.1 inside and outside of TLS is closed")
def _():
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    equal(silent_close(request), b"")
    with h2(PTD, TRIAL, preface=False) as c:
        c.send(request)
        c.wait_close()
        true(c.closed)
    alive()


@test("case 5: no ALPN, or one without h2, ends with the alert for it")
def _():
    refused("no ALPN", "TLSV1_ALERT_NO_APPLICATION_PROTOCOL", TRIAL, alpn=())
    for protocols in (("http/1.1",), ("h2c", "grpc-exp"), ("h",), ("h22",)):
        refused("ALPN without h2", "TLSV1_ALERT_NO_APPLICATION_PROTOCOL", TRIAL, alpn=protocols)
    equal(outcome(PTD, TRIAL, alpn=("grpc-exp", "http/1.1", "h2")), "served")


@test("case 6: TLS 1.2 is refused")
def _():
    refused("unsupported protocol", "TLSV1_ALERT_PROTOCOL_VERSION", TRIAL, newest=ssl.TLSVersion.TLSv1_2)


@test("case 7: no certificate, one out of time, of another authority, for servers, or an authority's own")
def _():
    refused("peer did not return a certificate", "TLSV13_ALERT_CERTIFICATE_REQUIRED")
    refused("certificate has expired", "SSLV3_ALERT_CERTIFICATE_EXPIRED", FILES.make("expired", days=-1))
    refused("self-signed certificate", "TLSV1_ALERT_UNKNOWN_CA", FILES.make("own", issuer=None))
    foreign = tlstest.Files()
    refused("unable to get local issuer certificate", "TLSV1_ALERT_UNKNOWN_CA", foreign.pair("trial"))
    refused("unsuitable certificate purpose", "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE", FILES.make("server-only", usage="serverAuth"))
    refused("an authority's own certificate", "SSLV3_ALERT_HANDSHAKE_FAILURE",
            FILES.make("authority", ca=True, san=f"URI:{TRUST}/trial"))
    equal(outcome(PTD, FILES.make("no-usage", usage=None)), "served", "without extended key usage")


@test("case 7: two URI names, a NUL in one, and names that are no SPIFFE ID")
def _():
    def name(text):
        raw = text.encode()
        return "DER:" + (bytes([0x30, len(raw) + 2, 0x86, len(raw)]) + raw).hex()

    alert = "SSLV3_ALERT_HANDSHAKE_FAILURE"
    refused("more than one URI name", alert, FILES.make("two", san=f"URI:{TRUST}/trial,URI:{TRUST}/other"))
    refused("SPIFFE ID with a bad path", alert, FILES.make("nul", san=name(f"{TRUST}/trial\0.evil")))
    refused("SPIFFE ID with a bad path", alert, FILES.make("dots", san=name(f"{TRUST}/../trial")))
    refused("SPIFFE ID with a bad trust domain", alert, FILES.make("domain", san=name("spiffe:///trial")))
    refused("URI name is no SPIFFE ID", alert, FILES.make("http", san="URI:http://ptd.local/trial"))
    refused("URI name too long", alert, FILES.make("long", san=f"URI:{TRUST}/" + "x" * 250))
    refused("common name is not printable ASCII", alert, FILES.make("cn-nul", san=None, subject="/CN=tri\\0al\x01"))
    refused("more than one common name", alert, FILES.make("two-cn", san=None, subject="/CN=a/CN=b"))


@test("case 7: a chain that is too long, and one of 100 KB")
def _():
    issuer = "ca"
    # The authority that tls init makes signs leaves alone (pathlen 0): a root of its own for these.
    deep = tlstest.Files()
    root = deep.make("root", ca=True, issuer=None, san=None, usage=None, subject="/CN=root")
    os.replace(root[0], deep("ca.crt"))
    os.replace(deep("server.crt"), deep("unused.crt"))
    os.replace(root[1], deep("ca.key"))
    openssl_key = deep("ca.key")
    with open(openssl_key, "rb") as source, open(deep("any.key"), "wb") as copy:
        copy.write(source.read())
    deep.make("server", san="DNS:localhost", usage="serverAuth")
    chain = []
    for depth in range(5):
        deep.make(f"ca{depth}", ca=True, issuer=issuer, san=None, usage=None, subject=f"/CN=ca{depth}")
        chain.insert(0, f"ca{depth}")
        issuer = f"ca{depth}"
        deep.make(f"leaf{depth}", issuer=issuer)
    options = ["--tls-certificate", deep("server.crt"), "--tls-key", deep("any.key"), "--tls-ca", deep("ca.crt")]
    deep.server_options = lambda: options
    with tlstest.Daemon(deep) as ptd:
        equal(outcome(ptd, deep.bundle("four", "leaf3", *chain[1:])), "served", "4 between leaf and root")
        true(outcome(ptd, deep.bundle("five", "leaf4", *chain)) != "served", "5 between leaf and root")
        ptd.wait_line("handshake refused: certificate chain too long")
        many = deep.bundle("many", "leaf0", *["ca0"] * 400)
        true(os.path.getsize(many[0]) > 100 << 10)
        true(outcome(ptd, many) != "served", "more than 100 KB of certificates")
        ptd.wait_line("handshake refused: excessive message size")
        equal(outcome(ptd, deep.bundle("one", "leaf0", "ca0")), "served")


@test("the two commands that tls init prints work")
def _():
    serve, ask = re.findall(r"^ {2}(.*)$", FILES.init.stderr, re.M)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = serve.replace(":7443", f":{port}").split()
    with subprocess.Popen([os.path.join(BUILD, words[0]), *words[1:], "--loops", "1"],
                          env=ptdtest.sanitizer_env(), stdout=subprocess.PIPE, text=True) as ptd:
        try:
            true(ptd.stdout.readline().startswith("ptd ready"))
            words = ask.replace(":7443", f":{port}").split()
            done = subprocess.run([os.path.join(BUILD, words[0]), *words[1:]], capture_output=True, text=True, timeout=60)
            ptd.terminate()
            equal((done.returncode, ptd.wait(20)), (0, 0), done.stderr)
            true("epoch" in done.stdout, done.stdout)
        finally:
            ptd.kill()


@test("tls init writes keys for their owner alone, and replaces nothing unasked")
def _():
    for name in ("ca", "server", "trial", "other"):
        equal(os.stat(FILES(f"{name}.key")).st_mode & 0o777, 0o600, name)

    def init(*args):
        return subprocess.run([os.path.join(BUILD, "ptctl"), "tls", "init", *args], capture_output=True, text=True)
    folder = os.path.join(FILES.holder.name, "again")
    equal(init("--dir", folder, "-q").returncode, 0)
    with open(os.path.join(folder, "trial.key"), "rb") as file:
        before = file.read()
    done = init("--dir", folder)
    equal(done.returncode, 6, done.stderr)
    true("--force" in done.stderr, done.stderr)
    with open(os.path.join(folder, "trial.key"), "rb") as file:
        equal(file.read(), before)
    equal(init("--dir", folder, "--force", "-q").returncode, 0)
    with open(os.path.join(folder, "trial.key"), "rb") as file:
        true(file.read() != before)
    for bad in (["--name", "a b"], ["--name", "a,"], ["--name", "DNS:a"], ["--client", "../a"], ["--client", "ca"], ["--client", "a,a"],
                ["--days", "0"], ["--days", "9999"]):
        equal(init("--dir", folder + "-bad", *bad).returncode, 2, " ".join(bad))
    true(not os.path.exists(folder + "-bad"))


@test("files that cannot be used end ptd at its start, and --check-config, with words")
def _():
    def run(*args):
        done = subprocess.run([os.path.join(BUILD, "ptd"), "--listen", "tls:127.0.0.1:0", *args], capture_output=True, text=True, timeout=20)
        return done.returncode, done.stderr
    for name, text in (("empty.pem", ""), ("bad.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")):
        with open(FILES(name), "w", encoding="ascii") as file:
            file.write(text)
    good = {"certificate": FILES("server.crt"), "key": FILES("server.key"), "ca": FILES("ca.crt")}
    for change, says in (({"certificate": "/none.crt"}, "/none.crt: .*No such file"), ({"key": "/none.key"}, "/none.key: .*No such file"),
                         ({"key": TRIAL[1]}, "trial.key: .*key values mismatch"), ({"certificate": FILES("bad.pem")}, "bad.pem: cannot use"),
                         ({"ca": FILES("empty.pem")}, "empty.pem: cannot use"), ({"ca": FILES("server.key")}, "server.key: cannot use")):
        options = [word for name, path in {**good, **change}.items() for word in (f"--tls-{name}", path)]
        for more in ([], ["--check-config"]):
            code, said = run(*options, *more)
            true(code == 1 and re.search(says, said), f"{change}: {code} {said}")
    sockets = subprocess.run([os.path.join(BUILD, "ptd"), "--tls-certificate", "/none.crt", "--tls-key", good["key"], "--tls-ca", good["ca"],
                              "--check-config"], capture_output=True, text=True, timeout=20)
    true(sockets.returncode == 1 and "/none.crt" in sockets.stderr, f"without an endpoint of its own: {sockets}")
    os.chmod(FILES("server.key"), 0o644)
    code, said = run(*[word for name, path in good.items() for word in (f"--tls-{name}", path)], "--check-config")
    os.chmod(FILES("server.key"), 0o600)
    equal(code, 0)
    true("server.key: warning: anyone can read this key" in said, said)


@test("any address can be listened on, of IPv4 and IPv6")
def _():
    endpoints = ["tls:0.0.0.0:0"] + (["tls:[::1]:0"] if os.path.exists("/proc/net/if_inet6") else [])
    listen = [word for endpoint in endpoints for word in ("--listen", endpoint)]
    with subprocess.Popen([os.path.join(BUILD, "ptd"), "--loops", "2", *listen, *FILES.server_options()],
                          env=ptdtest.sanitizer_env(), stdout=subprocess.PIPE, text=True) as ptd:
        try:
            ready = ptd.stdout.readline()
            equal(ready.count("tls:"), len(endpoints), ready)
            for host, port in re.findall(r"tls:(0\.0\.0\.0|\[::1\]):(\d+)", ready):
                plain = socket.create_connection(("127.0.0.1" if host[0] == "0" else "::1", int(port)), 20)
                equal(outcome(PTD, TRIAL, plain=plain), "served", f"{host} of {ready}")
            ptd.terminate()
            equal(ptd.wait(20), 0)
        finally:
            ptd.kill()


@test("the daemon ends well")
def _():
    PTD.stop()


ptdtest.main()
