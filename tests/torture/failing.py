# SPDX-License-Identifier: BSD-2-Clause
"""Failpoints that are armed in turn, and the moment at which a daemon knows that a client was killed."""
import os
import time

from ptdtest import true


def sockets(ptd):
    """Connections that the daemon has open, and its listener."""
    folder, count = f"/proc/{ptd.pid}/fd", 0
    for fd in os.listdir(folder):
        try:
            count += os.readlink(os.path.join(folder, fd)).startswith("socket:")
        except FileNotFoundError:  # closed meanwhile
            pass
    return count


def await_sockets(ptd, most):
    """The daemon has seen that the client is gone: none of its calls begins any more."""
    until = time.monotonic() + 30
    while sockets(ptd) > most:
        true(time.monotonic() < until, "a connection whose client was killed stays")


POINTS = (
    {"name": "pool.reserve", "action": 1, "probability_ppm": 200_000},
    {"name": "rpc.reply", "action": 2, "probability_ppm": 100_000},                   # dropped
    {"name": "rpc.reply", "action": 3, "probability_ppm": 200_000, "delay_ms": 30},   # late
    {"name": "rpc.reply", "action": 1, "probability_ppm": 100_000, "grpc_status": 14},
    {"name": "cas.lose", "action": 1, "probability_ppm": 300_000},
    {"name": "tlbi.delay", "action": 3, "probability_ppm": 50_000, "delay_ms": 5},
    {"name": "free.delay", "action": 1, "probability_ppm": 900_000},
    {"name": "section.long", "action": 3, "probability_ppm": 20_000, "delay_ms": 10},
)
NO_CONTEXT = ("free.delay",)


class Failures:
    def __init__(self, ptd, context):
        self.stub, self.pb = ptd.stub("failpoint", "FailpointService"), ptd.pb("failpoint")
        self.context, self.armed, self.failed = context, None, [0] * len(POINTS)

    def end(self):
        if self.armed is None:
            return
        for point in self.stub.ListFailpoints(self.pb.ListFailpointsRequest()).failpoints:
            self.failed[self.armed] += point.failures
        self.stub.DisarmFailpoints(self.pb.DisarmFailpointsRequest())
        self.armed = None

    def arm(self, which, seed):
        point = POINTS[which]
        self.armed = which
        self.stub.ArmFailpoint(self.pb.ArmFailpointRequest(failpoint=self.pb.Failpoint(
            **point, context=0 if point["name"] in NO_CONTEXT else self.context, seed=seed)))
