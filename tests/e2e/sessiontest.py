# SPDX-License-Identifier: BSD-2-Clause
"""A client of MappingService.Session over grpcio: one stream, messages by hand, answers one by one."""
import os
import queue
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ptdtest  # noqa: E402

ATOMIC, STOP, BEST = 1, 2, 3
MAP, UNMAP, PROTECT = 1, 2, 3
READ, WRITE, EXEC, AT = 1, 2, 3, 4


class Bidi:
    """A stream both ways of `method`: messages into `queue`, out of `answers`."""

    def __init__(self, method):
        self.queue = queue.Queue()
        self.answers = method(iter(self.queue.get, None), timeout=30)

    def half_close(self):
        """Ends what the client sends; the answers that are left."""
        self.queue.put(None)
        return list(self.answers)

    def cancel(self):
        self.answers.cancel()
        self.queue.put(None)

    def end(self, name):
        """The stream ends with that row of the outcome table; returns the error's text."""
        error = ptdtest.refused(name, lambda: list(self.answers))
        self.queue.put(None)
        return error.details()


class Stream(Bidi):
    """A stream of sessions."""

    def __init__(self, ptd, channel=None):
        self.pb = ptd.pb("mapping")
        super().__init__(ptd.stub("mapping", "MappingService", channel).Session)

    def send(self, **fields):
        self.queue.put(self.pb.SessionRequest(**fields))

    def receive(self):
        return next(self.answers)

    def ask(self, **fields):
        self.send(**fields)
        return self.receive()

    def open(self, context, session_id=b"", seq=0):
        answer = self.ask(seq=seq, open=self.pb.SessionOpen(context=context, session_id=session_id))
        assert answer.WhichOneof("what") == "opened", answer
        return answer.opened

    def ops(self, ipa, kind=MAP, pa=None, size=ptdtest.PAGE, prot=3, mode=STOP, **more):
        """An ApplyRequest of some pages."""
        pages = [ipa] if isinstance(ipa, int) else list(ipa)
        pas = ([pa] if isinstance(pa, int) else list(pa)) if pa is not None else []
        return self.pb.ApplyRequest(mode=mode, ops=self.pb.Ops(ipa=pages, size=[size], pa=pas, kind=[kind], prot=[prot]),
                                    **more)

    def accesses(self, ipa, access, vcpu=()):
        return self.pb.Accesses(ipa=ipa, access=access, vcpu=vcpu)
