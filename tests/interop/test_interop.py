# SPDX-License-Identifier: BSD-2-Clause
"""gRPC's interoperability cases against ptd-interop: the official Ruby client, in clear and over TLS with a client
certificate; the cases that this client lacks, and what compression meets here, with grpcio."""
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))
import ptdtest  # noqa: E402
from ptdtest import BUILD, TREE, equal, main, test, true  # noqa: E402

import grpc  # noqa: E402
grpc.__path__.append(os.path.join(BUILD, "interop", "python", "grpc"))
from grpc.testing import empty_pb2, messages_pb2, test_pb2_grpc  # noqa: E402

CASES = ("empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
         "custom_metadata", "status_code_and_message", "unimplemented_method", "unimplemented_service",
         "cancel_after_begin", "cancel_after_first_response", "timeout_on_sleeping_server")
# Identity is all that ptd speaks, and it has no part in anybody's cloud.
NOT_OURS = ("client_compressed_unary", "client_compressed_streaming", "service_account_creds", "jwt_token_creds",
            "compute_engine_creds", "oauth2_auth_token", "per_rpc_creds", "all")
LARGE_REQUEST, LARGE_RESPONSE = 271828, 314159
SECONDS = 20


def official():
    found = glob.glob("/usr/lib/*/rubygems-integration/*/gems/grpc-*/src/ruby/pb/test/client.rb")
    true(found, "the package ruby-grpc has no client.rb")
    return found[-1]


def daemon(listen, *args):
    return ptdtest.Daemon(loops=2, listen=listen, program="ptd-interop", args=["--allow-clear-tcp", *args])


def address(ptd):
    """Host and port that the daemon said it listens on."""
    return re.search(r"(?:tcp|tls):(\S+):(\d+)", ptd.ready_line).groups()


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


CLEAR = daemon("tcp:127.0.0.1:0")


def run_case(case):
    host, port = address(CLEAR)
    status, text = run(["ruby", official(), f"--server_host={host}", f"--server_port={port}", "--use_tls=false",
                        f"--test_case={case}"])
    return status == 0 and f'"OK: {case}"' in text, text


with concurrent.futures.ThreadPoolExecutor(4) as POOL:
    RESULTS = dict(zip(CASES, POOL.map(run_case, CASES)))


def report(case):
    @test(f"{case}: the official client")
    def _():
        passed, text = RESULTS[case]
        true(passed, text)


for CASE in CASES:
    report(CASE)


@test("no case of the official client is left out but those of compression and cloud credentials")
def _():
    with open(official(), encoding="utf-8") as file:
        text = file.read()
    begin, end = text.index("class NamedTests"), text.index("\n  private\n")
    cases = set(re.findall(r"^  def (\w+)", text[begin:end], re.M)) - {"initialize"}
    equal(cases, set(CASES + NOT_OURS))


@test("the official client's cases over TLS with a client certificate")
def _():
    folder = tempfile.mkdtemp(prefix="ptd-interop-")
    done = subprocess.run([os.path.join(BUILD, "ptctl"), "tls", "init", "--dir", folder], capture_output=True, text=True)
    equal(done.returncode, 0, done.stderr)
    ca, crt, key = (os.path.join(folder, n) for n in ("ca.crt", "trial.crt", "trial.key"))
    with daemon("tls:127.0.0.1:0", "--tls-certificate", os.path.join(folder, "server.crt"),
                "--tls-key", os.path.join(folder, "server.key"), "--tls-ca", ca) as ptd:
        host, port = address(ptd)
        status, text = run(["ruby", os.path.join(TREE, "tests", "interop", "tls_client.rb"), official(), ca, crt, key,
                            f"--server_host={host}", f"--server_port={port}", "--use_tls=true", ",".join(CASES)])
        equal([c for c in CASES if f'"OK: {c}"' not in text], [], text)
        equal(status, 0, text)
    shutil.rmtree(folder)


def stub(channel=None):
    return test_pb2_grpc.TestServiceStub(channel or CLEAR.channel())


def large(response=LARGE_RESPONSE):
    return messages_pb2.SimpleRequest(response_size=response,
                                      payload=messages_pb2.Payload(body=bytes(LARGE_REQUEST)))


def failed(call, *args, **kwargs):
    """The error that the call must end with."""
    try:
        reply = call(*args, timeout=kwargs.pop("timeout", SECONDS), **kwargs)
        if hasattr(reply, "__next__"):
            list(reply)
    except grpc.RpcError as error:
        return error
    raise AssertionError("no error")


@test("special_status_message: white space and characters beyond the basic plane come back")
def _():
    text = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"
    error = failed(stub().UnaryCall, messages_pb2.SimpleRequest(
        response_status=messages_pb2.EchoStatus(code=2, message=text)))
    equal((error.code(), error.details()), (grpc.StatusCode.UNKNOWN, text))


@test("rpc_soak: 200 large calls, one after the other, on one channel")
def _():
    one = stub()
    for _i in range(200):
        equal(len(one.UnaryCall(large(), timeout=SECONDS).payload.body), LARGE_RESPONSE)


@test("channel_soak: 100 large calls, each on a channel of its own")
def _():
    for _i in range(100):
        with CLEAR.channel() as channel:
            equal(len(stub(channel).UnaryCall(large(), timeout=SECONDS).payload.body), LARGE_RESPONSE)


@test("concurrent_large_unary: 100 large calls at once")
def _():
    one = stub()
    calls = [one.UnaryCall.future(large(), timeout=60) for _i in range(100)]
    equal([len(c.result().payload.body) for c in calls], [LARGE_RESPONSE] * 100)


@test("responses keep their intervals, and a deadline ends the wait for one")
def _():
    def wanted(*intervals):
        return messages_pb2.StreamingOutputCallRequest(response_parameters=[
            messages_pb2.ResponseParameters(size=n + 1, interval_us=us) for n, us in enumerate(intervals)])
    began = time.monotonic()
    sizes = [len(r.payload.body) for r in stub().StreamingOutputCall(wanted(0, 60000, 60000), timeout=SECONDS)]
    equal(sizes, [1, 2, 3])
    true(time.monotonic() - began >= 0.12, "too early")
    duplex = stub().FullDuplexCall(iter([wanted(30000, 30000), wanted(1)]), timeout=SECONDS)
    equal([len(r.payload.body) for r in duplex], [1, 2, 1])
    for call in (stub().StreamingOutputCall, lambda r, timeout: stub().FullDuplexCall(iter([r]), timeout=timeout)):
        error = failed(call, wanted(0, 60_000_000), timeout=0.3)
        equal(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)


@test("a response larger than the stream's window and queue comes through, many of them, to a slow reader")
def _():
    request = messages_pb2.StreamingOutputCallRequest(response_parameters=[
        messages_pb2.ResponseParameters(size=3_000_000), *(messages_pb2.ResponseParameters(size=200_000),) * 50])
    for call in (stub().StreamingOutputCall(request, timeout=SECONDS),
                 stub().FullDuplexCall(iter([request]), timeout=SECONDS)):
        equal(sum(len(r.payload.body) for r in call), 13_000_000)


@test("a cancel while a response waits for its time leaves nothing behind")
def _():
    wait = messages_pb2.StreamingOutputCallRequest(response_parameters=[
        messages_pb2.ResponseParameters(size=1), messages_pb2.ResponseParameters(size=1, interval_us=60_000_000)])
    one = stub()
    calls = [one.StreamingOutputCall(wait, timeout=60) for _i in range(50)]
    for call in calls:
        next(call)
        call.cancel()
    equal(one.EmptyCall(empty_pb2.Empty(), timeout=SECONDS), empty_pb2.Empty())


@test("who expects a compressed message is told that it was not; a compressed one is UNIMPLEMENTED, and names identity")
def _():
    yes = messages_pb2.BoolValue(value=True)
    error = failed(stub().UnaryCall, messages_pb2.SimpleRequest(expect_compressed=yes))
    equal(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
    error = failed(stub().StreamingInputCall, iter([messages_pb2.StreamingInputCallRequest(expect_compressed=yes)]))
    equal(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
    error = failed(stub().UnaryCall, large(), compression=grpc.Compression.Gzip)
    equal(error.code(), grpc.StatusCode.UNIMPLEMENTED)
    reply = stub().UnaryCall(messages_pb2.SimpleRequest(response_size=9, response_compressed=yes), timeout=SECONDS)
    equal(len(reply.payload.body), 9)


@test("sizes that cannot be are refused, and the connection goes on")
def _():
    one = stub()
    equal(failed(one.UnaryCall, messages_pb2.SimpleRequest(response_size=-1)).code(), grpc.StatusCode.INVALID_ARGUMENT)
    equal(failed(one.UnaryCall, messages_pb2.SimpleRequest(response_size=2**31 - 1)).code(),
          grpc.StatusCode.RESOURCE_EXHAUSTED)
    equal(one.EmptyCall(empty_pb2.Empty(), timeout=SECONDS), empty_pb2.Empty())


@test("the tests' service is in the reflection of this build, and not in that of ptd")
def _():
    with ptdtest.Daemon(loops=1) as ptd:
        info = ptd.stub("server", "ServerService").GetInfo(ptd.pb("server").GetInfoRequest())
        equal([s for s in info.services if "testing" in s], [])
        error = failed(test_pb2_grpc.TestServiceStub(ptd.channel()).EmptyCall, empty_pb2.Empty())
        equal(error.code(), grpc.StatusCode.UNIMPLEMENTED)
    info = CLEAR.stub("server", "ServerService").GetInfo(CLEAR.pb("server").GetInfoRequest())
    true("grpc.testing.TestService" in info.services, info.services)


@test("ptd-interop ends well after all of it")
def _():
    CLEAR.stop()


try:
    main()
finally:
    CLEAR.kill()
