# SPDX-License-Identifier: BSD-2-Clause
"""Starts a ptd of its own for an end-to-end test, and prints results as TAP.

    import ptdtest
    from ptdtest import test

    @test("a sentence that says what is true")
    def _():
        with ptdtest.Daemon(loops=2, args=["--allow-failpoints"]) as ptd:
            info = ptd.stub("server", "ServerService").GetInfo(ptd.pb("server").GetInfoRequest())
            ptdtest.equal(info.loops, 2)

    ptdtest.main()

PTD_BUILD names the build folder (default: build, beside this tree). A sanitizer's report, an exit
status other than 0 after SIGTERM, and a daemon that does not stop all fail the test that is running.
"""
import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import BUILD, SEED, TREE, Skip, equal, main, test, true  # noqa: E402, F401

READY_SECONDS = 30
STOP_SECONDS = 30
REPORT = re.compile(r"ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|: runtime error: ")

sys.path.insert(0, os.path.join(BUILD, "python"))
os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def sanitizer_env():
    env = dict(os.environ)
    supp = os.path.join(TREE, "tests", "tsan.supp")
    # Options are split at spaces and colons, so a path that has one is quoted.
    env["TSAN_OPTIONS"] = f'suppressions="{supp}":exitcode=66:atexit_sleep_ms=10:second_deadlock_stack=1'
    env["ASAN_OPTIONS"] = "detect_leaks=1:exitcode=66:abort_on_error=0"
    env["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
    return env


class Daemon:
    """One ptd on a unix socket in a folder of its own; a context manager."""

    def __init__(self, loops=None, args=(), listen=None, program="ptd", env=None):
        self.folder = tempfile.mkdtemp(prefix="ptd-test-")
        self.socket = os.path.join(self.folder, "s")
        self.endpoint = listen or f"unix:{self.socket}"
        self.ready_line = None
        self._channels = []
        self._lines = {"stdout": [], "stderr": []}
        self._ready = threading.Event()
        if program == "ptd":
            program = os.environ.get("PTD_PROGRAM", program)
        command = [os.path.join(BUILD, program), "--listen", self.endpoint]
        if loops is not None:
            command += ["--loops", str(loops)]
        command += list(args)
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**sanitizer_env(), **(env or {})}, text=True, errors="replace")
        self._readers = [
            threading.Thread(target=self._read, args=(name, pipe), daemon=True)
            for name, pipe in (("stdout", self.process.stdout), ("stderr", self.process.stderr))]
        for reader in self._readers:
            reader.start()
        if not self._ready.wait(READY_SECONDS) or self.ready_line is None:
            self.kill()
            raise AssertionError(f"ptd was not ready: {self.output()}")

    def _read(self, name, pipe):
        for line in pipe:
            self._lines[name].append(line)
            if line.startswith("ptd ready"):
                self.ready_line = line.strip()
                self._ready.set()
        if name == "stdout":
            self._ready.set()

    def output(self):
        return "".join(self._lines["stdout"] + self._lines["stderr"])

    @property
    def stderr(self):
        return "".join(self._lines["stderr"])

    @property
    def pid(self):
        return self.process.pid

    def target(self):
        """What grpc and ptctl connect to."""
        if self.endpoint.startswith("tcp:"):
            found = re.search(r"tcp:(\S+)", self.ready_line or "")
            return found.group(1) if found else self.endpoint[4:]
        return self.endpoint

    def channel(self, options=()):
        """A channel with a connection of its own."""
        import grpc
        channel = grpc.insecure_channel(self.target(), options=[
            ("grpc.default_authority", "localhost"), ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_http_proxy", 0), *options])
        self._channels.append(channel)
        return channel

    @staticmethod
    def pb(name):
        """Messages: pb("mapping").MapRequest."""
        return importlib.import_module(f"ptd.v1.{name}_pb2")

    def stub(self, name, service, channel=None):
        """A service's stub: stub("mapping", "MappingService")."""
        module = importlib.import_module(f"ptd.v1.{name}_pb2_grpc")
        if channel is None:
            if not hasattr(self, "_shared"):
                self._shared = self.channel()
            channel = self._shared
        return getattr(module, service + "Stub")(channel)

    def ptctl(self, *args, check=True, stdin=None):
        """Runs ptctl against this daemon; returns the finished process."""
        env = {**sanitizer_env(), "PTD_ENDPOINT": self.endpoint}
        done = subprocess.run([os.path.join(BUILD, "ptctl"), *args], env=env, input=stdin,
                              capture_output=True, text=True, timeout=120)
        if check and done.returncode != 0:
            raise AssertionError(f"ptctl {' '.join(args)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def kill(self):
        """SIGKILL: no check of anything."""
        if self.process.poll() is None:
            self.process.kill()
        self._end()

    def _end(self):
        for channel in self._channels:
            channel.close()
        self._channels = []
        self.process.wait()
        for reader in self._readers:
            reader.join(5)
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self, check=True):
        """SIGTERM; the exit status is 0 and no sanitizer has spoken."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = "no end after SIGTERM"
        self._end()
        if check and (status != 0 or REPORT.search(self.output())):
            raise AssertionError(f"ptd ended with {status}:\n{self.output()}")
        return status

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.stop()
            return
        try:
            self.stop(check=False)
        finally:
            sys.stderr.write(self.output())


class Guest:
    """A machine with one guest context: what most tests begin with."""

    def __init__(self, ptd, name="m0", memory=64 << 20, vcpus=2, granule=12, ipa_bits=40, quota=0, pa_bits=0, ds=False, start=-2,
                 **options):
        machine, context = ptd.pb("machine"), ptd.pb("context")
        common = ptd.pb("common")
        self.ptd = ptd
        self.machine = ptd.stub("machine", "MachineService").CreateMachine(machine.CreateMachineRequest(
            name=name, memory_bytes=memory, vcpus=vcpus, pa_bits=pa_bits)).machine
        self.context = ptd.stub("context", "ContextService").CreateContext(context.CreateContextRequest(
            machine=self.machine.handle, name="g0", kind=context.CONTEXT_KIND_GUEST, quota_pages=quota,
            geometry=common.Geometry(granule_shift=granule, ipa_bits=ipa_bits, ds=ds, start_level_plus_2=start + 2),
            options=context.ContextOptions(**options))).context
        self.handle = self.context.handle

    def slot(self, ipa, size, pa, id=0, flags=0, backing=0):
        pb = self.ptd.pb("context")
        return self.ptd.stub("context", "ContextService").SetSlot(pb.SetSlotRequest(
            context=self.handle, slot=pb.Slot(id=id, ipa=ipa, size=size, pa=pa, flags=flags, backing=backing)))

    def map(self, ipa, size, pa, prot=3, **more):
        pb = self.ptd.pb("mapping")
        return self.ptd.stub("mapping", "MappingService").Map(pb.MapRequest(
            context=self.handle, ipa=ipa, size=size, pa=pa, prot=prot, **more))

    def unmap(self, ipa, size, **more):
        pb = self.ptd.pb("mapping")
        return self.ptd.stub("mapping", "MappingService").Unmap(pb.UnmapRequest(
            context=self.handle, ipa=ipa, size=size, **more))

    def protect(self, ipa, size, prot, **more):
        pb = self.ptd.pb("mapping")
        return self.ptd.stub("mapping", "MappingService").Protect(pb.ProtectRequest(
            context=self.handle, ipa=ipa, size=size, prot=prot, **more))

    def access(self, ipa, access=1, vcpu=0, length=0, data=b"", **more):
        pb = self.ptd.pb("fault")
        return self.ptd.stub("fault", "FaultService").Access(pb.AccessRequest(
            context=self.handle, vcpu=vcpu, ipa=ipa, access=access, length=length, data=data, **more))

    def translate(self, ipa, access=1, **more):
        pb = self.ptd.pb("fault")
        return self.ptd.stub("fault", "FaultService").Translate(pb.TranslateRequest(
            context=self.handle, ipa=ipa, access=access, **more))

    def digest(self):
        pb = self.ptd.pb("context")
        reply = self.ptd.stub("context", "ContextService").GetDigest(pb.GetDigestRequest(
            context=self.handle, stable=True))
        return reply.digest_low, reply.digest_high


def _outcomes():
    """Numbers by name, read from the one table in lib."""
    path = os.path.join(TREE, "lib", "include", "pt", "outcome.h")
    with open(path, encoding="ascii") as header:
        return {name: int(number) for name, number in re.findall(r"X\((\w+), (\d+),", header.read())}


OUTCOME = _outcomes()
PAGE = 4096
R, W, PX, UX = 1, 2, 4, 8


def error_code(error):
    """Number in the outcome table of a failed call, from grpc-status-details-bin."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            return _detail_code(value)
    return None


def error_detail(error):
    """The ptd.v1.ErrorDetail of a failed call, or None."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            return _detail(value)
    return None


def wire_fields(data):
    """(number, value) of one protobuf message: varints and length-delimited fields are enough here."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        elif key & 7 == 2:
            size = varint()
            yield key >> 3, data[at:at + size]
            at += size
        else:
            at += 8 if key & 7 == 1 else 4


def _detail(status):
    """google.rpc.Status { code 1, message 2, repeated Any details 3 }; Any { type_url 1, value 2 }."""
    for number, value in wire_fields(status):
        if number != 3:
            continue
        item = dict(wire_fields(value))
        if item.get(1, b"").endswith(b"/ptd.v1.ErrorDetail"):
            return Daemon.pb("common").ErrorDetail.FromString(item.get(2, b""))
    return None


def _detail_code(status):
    detail = _detail(status)
    return detail.code if detail else None


def refused(name, call, /, *args, **kwargs):
    """The call fails with that row of the outcome table; returns the error."""
    import grpc
    try:
        reply = call(*args, **kwargs)
    except grpc.RpcError as error:
        code = error_code(error)
        if code != OUTCOME[name]:
            raise AssertionError(f"error {code} ({error.code()}: {error.details()}), expected {name}") from None
        return error
    raise AssertionError(f"no error, but {reply!r}; expected {name}")
