# SPDX-License-Identifier: BSD-2-Clause
"""A client that takes its time: answers wait in the daemon for the client's window, and the window is heard of."""
import fcntl
import struct
import termios
import time

import ptdtest
from ptdtest import equal, test, true
from rawh2 import (DATA, END_HEADERS, END_STREAM, HEADERS, PING, SECONDS, WINDOW_UPDATE, Connection, frame, message,
                   request_headers)

READ = "/ptd.v1.MachineService/ReadMemory"
# Two answers are more than the daemon queues before it starts no other call; the window ends in the first.
MIB, KIB = 1 << 20, 1 << 10
ANSWER, WINDOW, CALLS = 1000 * KIB, 400 * KIB, 4


def taken(connection, seconds):
    """The daemon has read what was sent; False: not in that time."""
    deadline = time.monotonic() + seconds
    while struct.unpack("i", fcntl.ioctl(connection.socket, termios.TIOCOUTQ, bytes(4)))[0]:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


@test("answers that fill the connection's window do not keep the daemon from reading that it has grown")
def _():
    with ptdtest.Daemon(loops=1) as ptd:
        guest = ptdtest.Guest(ptd)
        request = ptd.pb("machine").ReadMemoryRequest(machine=guest.machine.handle, address=0, length=ANSWER)
        with Connection(ptd, settings=struct.pack(">HI", 4, 4 * MIB), greedy=False) as c:
            c.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW)))
            streams = list(range(1, 2 * CALLS, 2))
            c.send(b"".join(  # all at once: they are read at once
                frame(HEADERS, END_HEADERS, stream, c.header_block(request_headers(READ))) +
                frame(DATA, END_STREAM, stream, message(request.SerializeToString())) for stream in streams))
            true(taken(c, SECONDS), "the requests are not read")
            # If it has not stopped reading before, it does with this frame.
            c.send(frame(PING, 0, 0, bytes(8)))
            taken(c, 0.2)
            while sum(len(c.reply(s).body) for s in streams) < WINDOW + 65535:
                true(c.read_some(), "closed")
            c.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 16 * MIB)))
            for stream in streams:
                equal(c.finish(stream).status, 0)
                true(len(c.reply(stream).body) > ANSWER, len(c.reply(stream).body))


ptdtest.main()
