#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""docs/owners.svg: a machine with four guests after a run of transfers that a seed draws.

Prints the picture, which `ptctl own map -o svg` draws of a daemon of its own: tests/e2e/own_picture.py > docs/owners.svg
"""
import os
import random
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ptdtest  # noqa: E402

HOST, HYP, GUEST, OTHER = 1, 2, 3, 4
SHARE, UNSHARE, DONATE, FORCE_RECLAIM = 1, 2, 3, 8
PAGE, MEMORY = 4096, 64 << 20
GUESTS = ("web", "database", "keys", "build")


class Run:
    """Transfers of one machine; each guest has a frame where its address is that of the frame."""

    def __init__(self, ptd, seed=1):
        machines, contexts = ptd.stub("machine", "MachineService"), ptd.stub("context", "ContextService")
        self.pb, self.stub = ptd.pb("ownership"), ptd.stub("ownership", "OwnershipService")
        self.draw = random.Random(seed)
        self.machine = machines.CreateMachine(ptd.pb("machine").CreateMachineRequest(
            name="picture", memory_bytes=MEMORY, vcpus=1, owners=True)).machine.handle
        self.guest = {}
        for its_name in ("host", *GUESTS):
            self.guest[its_name] = contexts.CreateContext(ptd.pb("context").CreateContextRequest(
                machine=self.machine, name=its_name, kind=2 if its_name == "host" else 1,
                options=ptd.pb("context").ContextOptions(protected=its_name != "host", identity=its_name == "host"))).context.handle
        self.host = self.guest.pop("host")

    def below(self, n):
        """Of random() alone the numbers stay what they are in other versions of Python."""
        return int(self.draw.random() * n)

    def party(self, who):
        return self.pb.Party(kind=GUEST, context=self.guest[who]) if who in self.guest else self.pb.Party(kind=who)

    def transfer(self, kind, giver, receiver, pa, size):
        """Refused or not: what comes of it is the daemon's to say."""
        import grpc
        by_guest = giver in self.guest
        item = self.pb.TransferItem(kind=kind, to=self.party(receiver), size=size, pa=0 if by_guest else pa,
                                    ipa=pa if by_guest or receiver in self.guest else 0)
        getattr(item, "from").CopyFrom(self.party(giver))
        try:
            self.stub.Transfer(self.pb.TransferRequest(machine=self.machine, items=[item]))
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.PERMISSION_DENIED,
                                    grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE):
                raise

    def step(self):
        size = PAGE << self.below(10)
        pa = self.below(MEMORY // size) * size
        who = GUESTS[self.below(4)]
        kind = self.below(8)
        if kind < 3:
            self.transfer(DONATE, HOST, who, pa, size)
        elif kind == 3:
            self.transfer(DONATE, HOST, HYP, pa, size)
        elif kind == 4:
            self.transfer(SHARE, HOST, (HYP, OTHER)[self.below(2)], pa, size)
        elif kind == 5:
            self.transfer(UNSHARE, HOST, (HYP, OTHER)[self.below(2)], pa, size)
        elif kind == 6:
            self.transfer(SHARE, who, HOST, pa, size)
        else:
            self.transfer(FORCE_RECLAIM, GUEST, HOST, pa, size)


def picture(ptd, seed=1, steps=400):
    run = Run(ptd, seed)
    for _ in range(steps):
        run.step()
    drawn = ptd.ptctl("own", "map", "picture", "-o", "svg").stdout
    ptd.ptctl("machine", "delete", "picture", "--force")
    return drawn


if __name__ == "__main__":
    with ptdtest.Daemon(loops=1) as daemon:
        sys.stdout.write(picture(daemon))
