# SPDX-License-Identifier: BSD-2-Clause
"""A client that takes its time: answers wait in the daemon for the client's window, and the window is heard of."""
import fcntl
import struct
import termios
import time

import ptdtest
from ptdtest import equal, test, true
from rawh2 import PING, SECONDS, WINDOW_UPDATE, Connection, frame

READ = "/ptd.v1.MachineService/ReadMemory"
MIB = 1 << 20
CALLS = 4


def taken(connection):
    """The daemon has read what was sent."""
    deadline = time.monotonic() + SECONDS
    while struct.unpack("i", fcntl.ioctl(connection.socket, termios.TIOCOUTQ, bytes(4)))[0]:
        true(time.monotonic() < deadline, "the daemon does not read")
        time.sleep(0.001)


@test("answers that fill the connection's window do not keep the daemon from reading that it has grown")
def _():
    with ptdtest.Daemon(loops=1) as ptd:
        guest = ptdtest.Guest(ptd)
        request = ptd.pb("machine").ReadMemoryRequest(machine=guest.machine.handle, address=0, length=MIB)
        with Connection(ptd, settings=struct.pack(">HI", 4, 4 * MIB), greedy=False) as c:
            c.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", MIB)))
            streams = [c.open(READ) for _i in range(CALLS)]
            for stream in streams:
                payload = request.SerializeToString()
                c.data(stream, b"\0" + struct.pack(">I", len(payload)) + payload)
            taken(c)
            c.send(frame(PING, 0, 0, bytes(8)))
            taken(c)  # now the daemon has seen a full queue, and stopped reading
            while sum(len(c.reply(s).body) for s in streams) < MIB + 65535:
                true(c.read_some(), "closed")
            c.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 16 * MIB)))
            for stream in streams:
                equal(c.finish(stream).status, 0)
                true(len(c.reply(stream).body) > MIB, len(c.reply(stream).body))


ptdtest.main()
