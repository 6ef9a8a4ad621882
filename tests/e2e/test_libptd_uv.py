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


ptdtest.main()
