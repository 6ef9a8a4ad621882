# SPDX-License-Identifier: BSD-2-Clause
"""Pagers that come and go while 4 clients on 4 loops read, in a daemon built for ThreadSanitizer.

Each page is supplied with one byte value, over and over; whatever an access reads is all of one round. PTD_SEED replays what is drawn.
"""
import contextlib
import os
import random
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import grpc  # noqa: E402

import ptdtest  # noqa: E402
from pagertest import DATA, Pager  # noqa: E402
from ptdtest import OUTCOME, PAGE, SEED, equal, test, true  # noqa: E402

CLIENTS, LOOPS, ROUNDS, PAGES = 4, 4, 3, 64
IPA, PA = 0x4000_0000, 0x20_0000


class World:
    def __init__(self, ptd):
        self.ptd, self.guest = ptd, ptdtest.Guest(ptd)
        self.guest.slot(IPA, PAGES * PAGE, PA)
        self.round, self.over = 0, False
        self.failures, self.reads, self.absent, self.takeovers = [], 0, 0, 0


def read(world, rng, access, pb):
    """One access: whole of a round that was under way meanwhile, or ABSENT."""
    page, before = rng.randrange(PAGES), world.round
    request = pb.AccessRequest(context=world.guest.handle, ipa=IPA + page * PAGE + rng.choice((0, 1024, PAGE - 64)),
                               access=1, length=64)
    try:
        reply = access(request, timeout=rng.choice((0.002, 20)))
    except grpc.RpcError as error:
        equal(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        return
    if reply.outcome == OUTCOME["ABSENT"]:
        world.absent += 1
        return
    equal(reply.outcome, 0)
    due = {bytes([r * PAGES + page]) * 64 for r in range(max(before - 1, 0), world.round + 1)}
    true(reply.data in due, f"page {page} of round {before} to {world.round}: {reply.data.hex()}")
    world.reads += 1


def client(world, number):
    rng = random.Random(SEED * CLIENTS + number)
    pb, channel = world.ptd.pb("fault"), world.ptd.channel()
    access = world.ptd.stub("fault", "FaultService", channel).Access
    try:
        while not world.over:
            read(world, rng, access, pb)
    except Exception as error:  # handed to the test's own thread
        world.failures.append(repr(error))


def serve(world, rng):
    """One stream, for a while. True: all pages are there."""
    p = Pager(world.ptd, world.guest.handle, IPA, PAGES * PAGE, window=rng.choice((1, 4, 0)), channel=world.ptd.channel())
    left = p.opened().absent_pages
    for _ in range(rng.randrange(PAGES)):
        pushed = rng.randrange(PAGES)
        for page in {pushed, (pushed + 1) % PAGES}:
            p.send(IPA + page * PAGE, DATA, PAGE, bytes([world.round * PAGES + page]) * PAGE)
        answers = len({pushed, (pushed + 1) % PAGES})
        while answers:
            message = next(p.answers)
            if message.WhichOneof("what") == "wanted":
                page = (message.wanted.ipa - IPA) // PAGE
                p.send(message.wanted.ipa, DATA, PAGE, bytes([world.round * PAGES + page]) * PAGE)
                answers += 1
            else:
                equal(message.supplied.outcome, 0)
                answers -= 1
                left = message.supplied.absent_pages
            if not left:
                return list(p.answers) is not None
    p.cancel()
    return False


def open_again(world, rng):
    """The stream before may still be on its way out."""
    while True:
        with contextlib.suppress(grpc.RpcError):
            return serve(world, rng)


@test("whatever an access reads is a whole page of its round, and who waits is let go")
def _():
    with ptdtest.Daemon(loops=LOOPS) as ptd:
        world, rng = World(ptd), random.Random(SEED)
        ptd.stub("machine", "MachineService").WriteMemory(ptd.pb("machine").WriteMemoryRequest(
            machine=world.guest.machine.handle, address=PA,
            data=b"".join(bytes([page]) * PAGE for page in range(PAGES))))
        threads = [threading.Thread(target=client, args=(world, n)) for n in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for world.round in range(1, ROUNDS + 1):
            while not open_again(world, rng) and not world.failures:
                world.takeovers += 1
        world.over = True
        for thread in threads:
            thread.join()
        equal(world.failures, [])
        true(world.reads > 0, "nothing was read")
        print(f"# reads {world.reads}, absent {world.absent}, streams that were left {world.takeovers}")


ptdtest.main()
