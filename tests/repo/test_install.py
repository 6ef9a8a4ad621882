# SPDX-License-Identifier: BSD-2-Clause
"""make install and uninstall: GNU folders under DESTDIR, programs that run from there, nothing left behind."""
import os
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import TREE, Skip, equal, main, test, true  # noqa: E402

os.chdir(TREE)
B = os.environ.get("PTD_BUILD", "build")
ENV = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}


def make(target, folder, *variables):
    done = subprocess.run(["make", "--no-print-directory", f"B={B}", f"DESTDIR={folder}", *variables, target],
                          env=ENV, capture_output=True, text=True)
    equal(done.returncode, 0, done.stdout + done.stderr)


def files(folder):
    return sorted(os.path.relpath(os.path.join(at, name), folder)
                  for at, _dirs, names in os.walk(folder) for name in names)


PROGRAM = """#include <ptd.h>
int main(void) { return 0; }
"""


@test("install puts programs, library, header and documents under DESTDIR and prefix, uninstall takes them away")
def _():
    with tempfile.TemporaryDirectory(prefix="ptd install ") as folder:
        make("install", folder, "prefix=/usr")
        seen = files(folder)
        for wanted in ("usr/sbin/ptd", "usr/bin/ptctl", "usr/lib/libptd.so", "usr/lib/libptd.so.0", "usr/lib/libptd.a",
                       "usr/include/ptd.h", "usr/include/ptd_core.h", "usr/include/ptd_uv.h", "usr/lib/pkgconfig/libptd.pc",
                       "usr/lib/libptd-uv.so.0", "usr/lib/libptd-uv.a", "usr/lib/pkgconfig/libptd-uv.pc", "usr/share/doc/ptd/README.md",
                       "usr/share/man/man1/ptctl.1",
                       "usr/share/ptd/proto/ptd/v1/mapping.proto", "usr/lib/systemd/system/ptd.service",
                       "usr/lib/systemd/system/ptd.socket", "usr/lib/systemd/system/ptd-tls.socket",
                       "usr/lib/sysusers.d/ptd.conf", "usr/lib/tmpfiles.d/ptd.conf", "usr/share/man/man8/ptd.8",
                       "usr/share/doc/ptd/examples/tls.conf"):
            true(wanted in seen, f"{wanted} is not among {seen}")
        done = subprocess.run([os.path.join(folder, "usr/bin/ptctl"), "--version"], capture_output=True, text=True)
        equal(done.returncode, 0, done.stderr)
        make("uninstall", folder, "prefix=/usr")
        equal(files(folder), [])


@test("folders can be chosen one by one")
def _():
    with tempfile.TemporaryDirectory() as folder:
        make("install", folder, "prefix=/opt/ptd", "sbindir=/daemons", "libdir=/opt/ptd/lib64")
        seen = files(folder)
        true("daemons/ptd" in seen and "opt/ptd/lib64/libptd.so.0" in seen, str(seen))
        with open(os.path.join(folder, "opt/ptd/lib/systemd/system/ptd.service"), encoding="ascii") as file:
            true("\nExecStart=/daemons/ptd " in file.read(), "the unit names another program")
        with open(os.path.join(folder, "opt/ptd/lib64/pkgconfig/libptd.pc"), encoding="ascii") as file:
            true("libdir=/opt/ptd/lib64\n" in file.read(), "libptd.pc names another libdir")


@test("a program builds against what was installed, in C and by the shared library alone")
def _():
    with tempfile.TemporaryDirectory() as folder:
        make("install", folder, "prefix=/usr")
        binary = os.path.join(folder, "client")
        subprocess.run(["gcc", "-std=c11", "-Wall", "-Werror", "-x", "c", "-", "-o", binary, f"-I{folder}/usr/include",
                        f"-L{folder}/usr/lib", "-lptd"], input=PROGRAM, text=True, check=True)
        subprocess.run([binary], env={**ENV, "LD_LIBRARY_PATH": f"{folder}/usr/lib"}, check=True)


@test("pkg-config tells what programs need, with the shared libraries and with the static ones")
def _():
    if not shutil.which("pkg-config"):
        raise Skip("no pkg-config")
    with tempfile.TemporaryDirectory() as folder:
        make("install", "", f"prefix={folder}", f"unitdir={folder}/u", f"sysusersdir={folder}/u", f"tmpfilesdir={folder}/u")
        env = {**ENV, "PKG_CONFIG_PATH": f"{folder}/lib/pkgconfig", "LD_LIBRARY_PATH": f"{folder}/lib"}
        env.pop("DESTDIR", None)

        def words(*options):
            return subprocess.run(["pkg-config", *options], env=env, capture_output=True, text=True, check=True).stdout.split()
        equal(words("--libs", "libptd"), [f"-L{folder}/lib", "-lptd"])
        shared = words("--libs", "libptd-uv")
        true(shared[:3] == [f"-L{folder}/lib", "-lptd-uv", "-lptd"] and "-luv" in shared, str(shared))
        for package, source in (("libptd", "client/examples/retry.c"), ("libptd-uv", "client/examples/uv_watch.c")):
            static = [word for word in words("--static", "--libs", package)]
            static = [f"-l:lib{word[2:]}.a" if word in ("-lptd", "-lptd-uv") else word for word in static]
            for number, libraries in enumerate((words("--libs", package), static)):
                binary = os.path.join(folder, f"{package}{number}")
                done = subprocess.run(["gcc", "-std=gnu11", "-Wall", "-Werror", *words("--cflags", package), source, "-o",
                                       binary, *libraries], env=env, capture_output=True, text=True)
                equal(done.returncode, 0, done.stderr)
                equal(subprocess.run([binary], env=env, capture_output=True).returncode, 2)
                needed = subprocess.run(["readelf", "-d", binary], capture_output=True, text=True, check=True).stdout
                equal("[libptd" in needed, number == 0)


main()
