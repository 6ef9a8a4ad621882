# SPDX-License-Identifier: BSD-2-Clause
"""The matrix: every field of every request that ptd offers is named by a test that would miss it."""
import ast
import glob
import importlib
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ptdtest  # noqa: E402
from ptdtest import equal, test, true  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
# Of messages that a reply uses, too: what only a reply fills.
REPLY_ONLY = {"Failpoint.hits", "Failpoint.failures"}


def modules():
    for path in sorted(glob.glob(os.path.join(ptdtest.TREE, "proto", "ptd", "v1", "*.proto"))):
        yield importlib.import_module(f"ptd.v1.{os.path.basename(path)[:-6]}_pb2")


def fields_of(message, seen):
    """Message.field of a message and of all it holds."""
    if message.full_name in seen:
        return
    seen.add(message.full_name)
    for field in message.fields:
        if field.message_type:
            yield from fields_of(field.message_type, seen)
        else:
            yield f"{message.name}.{field.name}"


def requests():
    seen = set()
    for module in modules():
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                yield from fields_of(method.input_type, seen)


def covered(source):
    """What the calls of covers() in a Python source name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "covers":
            yield from (a.value for a in node.args if isinstance(a, ast.Constant))


def all_covered():
    names = set()
    for path in glob.glob(os.path.join(HERE, "test_*.py")):
        with open(path, encoding="utf-8") as file:
            names |= set(covered(file.read()))
    return names


@test("every field of every request has a test")
def _():
    wanted = set(requests()) - REPLY_ONLY
    true(len(wanted) > 100, f"only {len(wanted)} fields were found")
    equal(sorted(wanted - all_covered()), [], "fields without a test")


@test("no test names a field that is not there")
def _():
    equal(sorted(all_covered() - set(requests())), [])


@test("the matrix sees a field that no test names")
def _():
    equal(set(covered("@covers('A.b', 'A.c')\ndef f(): pass\nx.covers('D.e')")), {"A.b", "A.c", "D.e"})
    true("MapRequest.ipa" in set(requests()))


ptdtest.main()
