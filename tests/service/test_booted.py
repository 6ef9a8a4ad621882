# SPDX-License-Identifier: BSD-2-Clause
"""ptd under a systemd that has booted, in a container: start, activation, watchdog kill, restart, hardening that holds.

The system is a minimal Debian made by debootstrap, kept in the build folder (PTD_ROOT names another); what `make
install` puts there is tested by tests/service/guest.sh. It needs root, systemd-nspawn and, the first time, a network."""
import os
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import BUILD, TREE  # noqa: E402

ROOT = os.environ.get("PTD_ROOT", os.path.join(BUILD, "service", "root"))
PACKAGES = ("systemd", "systemd-sysv", "dbus", "libuv1", "libinih1", "libnghttp2-14", "libprotobuf-c1", "liburcu8",
            "libssl3", "libjansson4", "libsmartcols1")
UNIT = """[Unit]
Description=Tests of ptd
After=multi-user.target dbus.service
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=oneshot
ExecStart=/ptd-guest.sh
TimeoutStartSec=240
"""
RESULT = re.compile(r"^(not )?ok - (.*)$")
ENDED = "# end of the guest's tests"


def skip(why):
    print(f"1..0 # skip {why}")
    sys.exit(0)


def last_line(text):
    return (text.strip().splitlines() or ["no output"])[-1]


def make_root():
    """The system's folder; skips when it cannot be made."""
    if os.path.exists(os.path.join(ROOT, "usr/lib/systemd/systemd")):
        return
    new = ROOT + ".new"
    shutil.rmtree(new, ignore_errors=True)
    os.makedirs(os.path.dirname(ROOT), exist_ok=True)
    mirror = [os.environ["PTD_MIRROR"]] if "PTD_MIRROR" in os.environ else []
    done = subprocess.run(["debootstrap", "--variant=minbase", "--include=" + ",".join(PACKAGES), "bookworm", new,
                           *mirror], capture_output=True, text=True)
    if done.returncode:
        shutil.rmtree(new, ignore_errors=True)
        skip(f"debootstrap cannot make a system: {last_line(done.stdout + done.stderr)}")
    os.rename(new, ROOT)


def write(path, text, mode=0o644):
    path = os.path.join(ROOT, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    os.chmod(path, mode)


def install():
    """ptd as a packager would put it there, and nothing left of the run before."""
    for old in ("etc/systemd/system/ptd.service.d", "etc/ptd", "var/log/journal"):
        shutil.rmtree(os.path.join(ROOT, old), ignore_errors=True)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    subprocess.run(["make", "--no-print-directory", f"B={os.path.relpath(BUILD, TREE)}", f"DESTDIR={ROOT}", "prefix=/usr",
                    "install"], cwd=TREE, env=env, check=True, stdout=subprocess.DEVNULL)
    with open(os.path.join(TREE, "tests/service/guest.sh"), encoding="ascii") as file:
        write("ptd-guest.sh", file.read(), 0o755)
    write("etc/systemd/system/ptd-guest.service", UNIT)
    wants = os.path.join(ROOT, "etc/systemd/system/multi-user.target.wants")
    os.makedirs(wants, exist_ok=True)
    if not os.path.islink(os.path.join(wants, "ptd-guest.service")):
        os.symlink("../ptd-guest.service", os.path.join(wants, "ptd-guest.service"))


def boot():
    """What the guest's script said, and the console. A machine without a tmpfs at /run makes nspawn complain at its end."""
    log = os.path.join(ROOT, "ptd-guest.log")
    if os.path.exists(log):
        os.unlink(log)
    done = subprocess.run(["systemd-nspawn", "--quiet", "-D", ROOT, "-b", "--register=no", "--keep-unit",
                           "--private-network", "--console=pipe"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=300, check=False)
    console = done.stdout.decode(errors="replace").replace("\r", "")
    if not os.path.exists(log):
        skip(f"systemd-nspawn cannot boot here: {last_line(console)}")
    with open(log, encoding="utf-8", errors="replace") as file:
        return file.read(), console


def main():
    if os.geteuid():
        skip("needs root")
    for command in ("debootstrap", "systemd-nspawn"):
        if not shutil.which(command):
            skip(f"no {command} here")
    make_root()
    install()
    text, console = boot()
    number = failed = 0
    for line in text.splitlines():
        found = RESULT.match(line)
        if found:
            number += 1
            failed += bool(found.group(1))
            print(f"{found.group(1) or ''}ok {number} - {found.group(2)}")
        elif line.startswith("# "):
            print(line)
    ended = ENDED in text
    number += 1
    print(f"{'' if ended else 'not '}ok {number} - the guest's tests ran to their end")
    print(f"1..{number}")
    if failed or not ended:
        print("\n".join("# console: " + line for line in (text + console).splitlines()[-60:]))
        sys.exit(1)


main()
