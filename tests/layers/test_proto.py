# SPDX-License-Identifier: BSD-2-Clause
"""The RPC surface: what was once recorded keeps its meaning, and no message can contain itself."""
import glob
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rules  # noqa: E402
from google.protobuf import descriptor_pb2  # noqa: E402
from tap import TREE, equal, main, test, true  # noqa: E402

os.chdir(TREE)
RECORD = "tests/layers/ptd.fields"


def compiled(folder, *paths):
    with tempfile.NamedTemporaryFile(suffix=".fds") as out:
        subprocess.run(["protoc", f"-I{folder}", "--include_imports", f"--descriptor_set_out={out.name}", *paths],
                       check=True)
        return descriptor_pb2.FileDescriptorSet.FromString(out.read())


def current():
    return compiled("proto", *sorted(glob.glob("proto/**/*.proto", recursive=True)))


def of_text(text):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "bad.proto")
        with open(path, "w", encoding="ascii") as file:
            file.write('syntax = "proto3";\npackage ptd.v1;\n' + text)
        return compiled(folder, path)


def none(found):
    true(not found, "\n".join(found))


@test("field numbers, types and methods are as recorded")
def _():
    with open(RECORD, encoding="ascii") as file:
        recorded = [line for line in file.read().splitlines() if not line.startswith("#")]
    true(len(recorded) > 100, "the record is empty")
    none(rules.check_fields(recorded, rules.field_lines(current())))


@test("no message type is recursive")
def _():
    none([c for c in rules.check_recursion(current()) if ".ptd.v1." in c or ".grpc." in c])


@test("every rpc has messages of its own name")
def _():
    none(rules.check_request_names(current()))


@test("the checks see bad examples")
def _():
    before = rules.field_lines(of_text("message A { uint32 a = 1; string b = 2; }"))
    equal(rules.check_fields(before, before), [])
    for text in ("message A { uint32 a = 2; string b = 1; }", "message A { uint64 a = 1; string b = 2; }",
                 "message A { uint32 a = 1; }", "message A { repeated uint32 a = 1; string b = 2; }",
                 "message A { uint32 a = 1; string b = 2; bool c = 3; }"):
        true(rules.check_fields(before, rules.field_lines(of_text(text))), f"not seen: {text}")
    true(rules.check_recursion(of_text("message A { B b = 1; } message B { repeated A a = 1; }")))
    true(rules.check_recursion(of_text("message A { message C { A a = 1; } C c = 1; }")))
    equal(rules.check_recursion(of_text("message A { B b = 1; B c = 2; } message B { }")), [])
    true(rules.check_request_names(of_text("message A {} service S { rpc X(A) returns (A); }")))


if sys.argv[1:] == ["--record"]:
    with open(RECORD, "w", encoding="ascii") as out:
        out.write("# Every field, enum value and method of ptd.v1, as it was promised. Written by tests/layers/record.\n")
        out.write("\n".join(rules.field_lines(current())) + "\n")
else:
    main()
