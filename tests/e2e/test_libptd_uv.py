# SPDX-License-Identifier: BSD-2-Clause
"""libptd-uv against a daemon: calls, streams, closing anywhere; over TLS, and over connections that are cut."""
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import clientproxy  # noqa: E402
import ptdtest  # noqa: E402
import tlstest  # noqa: E402
from ptdtest import BUILD, equal, test, true  # noqa: E402


def client(*words, env=None):
    done = subprocess.run([os.path.join(BUILD, "examples", "libptd_uv_client"), *words], capture_output=True, text=True,
                          timeout=100, env={**ptdtest.sanitizer_env(), **(env or {})})
    equal((done.returncode, done.stdout), (0, "done\n"), done.stderr)


@test("a program with a loop calls, streams both ways, cancels and closes, on a unix socket and on TCP")
def _():
    with ptdtest.Daemon(loops=1) as ptd:
        ptdtest.Guest(ptd)
        client(ptd.endpoint)
        with clientproxy.Proxy(ptd.socket) as proxy:
            client(proxy.endpoint.replace("127.0.0.1", "localhost"))


@test("the same over TLS")
def _():
    with ptdtest.Daemon(loops=1) as ptd, tempfile.TemporaryDirectory(prefix="ptd-test-") as folder:
        ptdtest.Guest(ptd)
        path = clientproxy.certificates(folder)
        with clientproxy.Proxy(ptd.socket, tls=clientproxy.server_context(path)) as proxy:
            client(proxy.endpoint, env={"PTD_TLS_CA": path("ca.pem"), "PTD_TLS_CERTIFICATE": path("client.pem"),
                                        "PTD_TLS_KEY": path("client.key")})


@test("thousands of calls end well over connections that are cut again and again")
def _():
    with ptdtest.Daemon(loops=1) as ptd, \
            clientproxy.Proxy(ptd.socket, limits=[(20000, None), (None, 30000), (31, None), (None, 9), (40000, None)]) as proxy:
        client(proxy.endpoint, "cut")
        true(len(proxy.links) == 6, str(len(proxy.links)))


@test("a client takes ptd's own certificates, calls over its TLS, and is somebody there")
def _():
    files = tlstest.Files()
    with tlstest.Daemon(files) as ptd:
        env = {"PTD_TLS_CA": files("ca.crt"), "PTD_TLS_CERTIFICATE": files("trial.crt"), "PTD_TLS_KEY": files("trial.key")}
        subprocess.run([os.path.join(BUILD, "ptctl"), "-e", f"tls:localhost:{ptd.port}", "machine", "create", "m0"],
                               check=True, capture_output=True, env={**ptdtest.sanitizer_env(), **env})
        subprocess.run([os.path.join(BUILD, "ptctl"), "-e", f"tls:localhost:{ptd.port}", "context", "create", "m0/g0"],
                               check=True, capture_output=True, env={**ptdtest.sanitizer_env(), **env})
        client(f"tls:127.0.0.1:{ptd.port}", env=env)


@test("calls and sessions do not notice that connections grow old and are ended with a GOAWAY")
def _():
    with ptdtest.Daemon(loops=1, args=["--max-connection-age", "20ms", "--max-connection-age-grace", "10ms"]) as ptd:
        ptdtest.Guest(ptd)
        with clientproxy.Proxy(ptd.socket) as proxy:
            for _ in range(50):  # until its calls have taken longer than a connection may live
                before = len(proxy.links)
                client(proxy.endpoint, "cut")
                calls = len(proxy.links) - before
                if calls > 1:
                    break
            before = len(proxy.links)
            done = subprocess.run([os.path.join(BUILD, "examples", "session"), proxy.endpoint, "m0/g0", "200000"],
                                  capture_output=True, text=True, timeout=100, env=ptdtest.sanitizer_env())
            equal((done.returncode, done.stdout), (0, "200000 done, 0 failed, 0 unknown\n"), done.stderr)
            true(calls > 1 and len(proxy.links) > before + 1, f"{calls} connections, then {len(proxy.links) - before}")


ptdtest.main()
