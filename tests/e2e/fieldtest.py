# SPDX-License-Identifier: BSD-2-Clause
"""For the tests/e2e/test_fields_*.py files: tests that name the request fields they would miss if ptd ignored them."""
import contextlib
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ptdtest  # noqa: E402

_shared = {}


def covers(*fields):
    """Names fields as Message.field; tests/e2e/test_fields.py reads these names from the source."""
    del fields
    return lambda function: function


def ptd():
    """One daemon for all tests of a file."""
    if "ptd" not in _shared:
        _shared["ptd"] = ptdtest.Daemon(loops=2, args=["--allow-failpoints"])
    return _shared["ptd"]


def pb(name):
    return ptd().pb(name)


def stub(service):
    """The shared daemon's stub: stub("mapping") is MappingService's."""
    return ptd().stub(service, service.capitalize() + "Service")


_count = 0


def guest(**kwargs):
    """A machine and context of the test's own."""
    global _count
    _count += 1
    return ptdtest.Guest(ptd(), name=f"m{_count}", **kwargs)


def name():
    global _count
    _count += 1
    return f"n{_count}"


@contextlib.contextmanager
def failpoint(**fields):
    """An armed failpoint, disarmed at the end."""
    service = stub("failpoint")
    message = pb("failpoint")
    armed = service.ArmFailpoint(message.ArmFailpointRequest(failpoint=message.Failpoint(**fields)))
    try:
        yield armed.id
    finally:
        with contextlib.suppress(Exception):  # it may have ended by itself
            service.DisarmFailpoints(message.DisarmFailpointsRequest(id=armed.id))


def main():
    @ptdtest.test("the daemon that served these tests ends cleanly")
    def _():
        ptd().stop()
    ptdtest.main()
