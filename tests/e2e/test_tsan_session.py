# SPDX-License-Identifier: BSD-2-Clause
"""One session that 4 clients on 4 loops take from each other, in a daemon built for ThreadSanitizer.

Each goes on where the session stands; each message maps a page of its own, and says MAPPED once.
"""
import os
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import grpc  # noqa: E402

import ptdtest  # noqa: E402
from ptdtest import OUTCOME, PAGE, equal, test, true  # noqa: E402
from sessiontest import Stream  # noqa: E402

CLIENTS, LOOPS, MESSAGES, AT_ONCE = 4, 4, 500, 40
IPA, PA = 0x4000_0000, 0x20_0000
SESSION = b"one for them all"


def go_on(ptd, guest, channel, answers):
    """Opens the session and works until somebody takes it. True: all is done."""
    stream = Stream(ptd, channel)
    try:
        seq = stream.open(guest.handle, SESSION).last_seq
        while seq < MESSAGES:
            some = range(seq + 1, min(seq + AT_ONCE, MESSAGES) + 1)
            for number in some:
                stream.send(seq=number, apply=stream.ops(IPA + number * PAGE, pa=PA, want_outcomes=True))
            for number in some:
                answers.setdefault(number, set()).add(tuple(stream.receive().apply.outcome))
            seq = some[-1]
        stream.half_close()
        return True
    except grpc.RpcError as error:
        stream.queue.put(None)
        equal(ptdtest.error_code(error), OUTCOME["TAKEN_OVER"], error.details())
        return False


def client(ptd, guest, answers, rounds, failures):
    channel = ptd.channel()
    try:
        while not go_on(ptd, guest, channel, answers):
            rounds.append(1)
    except Exception as error:  # handed to the test's own thread
        failures.append(repr(error))


@test("4 clients take one session from each other: every message takes effect once")
def _():
    with ptdtest.Daemon(loops=LOOPS) as ptd:
        guest, failures, rounds = ptdtest.Guest(ptd), [], []
        answers = [{} for _ in range(CLIENTS)]
        threads = [threading.Thread(target=client, args=(ptd, guest, answers[n], rounds, failures))
                   for n in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(failures, [])
        seen = {outcome for each in answers for outcomes in each.values() for outcome in outcomes}
        equal(seen, {(OUTCOME["MAPPED"],)})
        stats = ptd.stub("server", "ServerService").GetStats(ptd.pb("server").GetStatsRequest())
        equal(sum(loop.leaves_written for loop in stats.loops), MESSAGES)
        true(len(rounds) >= CLIENTS - 1, f"taken over {len(rounds)} times")


ptdtest.main()
