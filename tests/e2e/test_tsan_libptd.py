# SPDX-License-Identifier: BSD-2-Clause
"""Threads that have a libptd client each, in clear and over TLS: nothing of the library is shared."""
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ptdtest  # noqa: E402
import tlstest  # noqa: E402
from ptdtest import BUILD, equal, test  # noqa: E402


@test("four threads with a client each call and hold sessions, in clear and over TLS")
def _():
    files = tlstest.Files()
    env = {**ptdtest.sanitizer_env(), "PTD_TLS_CA": files("ca.crt"), "PTD_TLS_CERTIFICATE": files("trial.crt"),
           "PTD_TLS_KEY": files("trial.key")}
    with tlstest.Daemon(files, loops=2) as ptd:
        for words in (["machine", "create", "m0"], ["context", "create", "m0/g0"]):
            subprocess.run([os.path.join(BUILD, "ptctl"), "-e", f"unix:{ptd.socket}", *words], check=True, env=env,
                           capture_output=True)
        for endpoint in (f"unix:{ptd.socket}", f"tls:localhost:{ptd.port}"):
            done = subprocess.run([os.path.join(BUILD, "examples", "libptd_threads"), endpoint], capture_output=True,
                                  text=True, timeout=100, env=env)
            equal((done.returncode, done.stdout), (0, "done\n"), done.stderr)


ptdtest.main()
