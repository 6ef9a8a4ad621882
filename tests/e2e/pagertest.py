# SPDX-License-Identifier: BSD-2-Clause
"""A client of PagerService.ServePages over grpcio: one stream, messages by hand."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ptdtest import PAGE  # noqa: E402
from sessiontest import Bidi  # noqa: E402

DATA, ZERO, AS_IS, FAILED = 1, 2, 3, 4


class Pager(Bidi):
    """One stream over [ipa, ipa + size) of a context, opened unless `open` is False."""

    def __init__(self, ptd, context, ipa, size, window=0, open=True, channel=None):
        self.pb = ptd.pb("pager")
        self.ipa, self.size = ipa, size
        super().__init__(ptd.stub("pager", "PagerService", channel).ServePages)
        if open:
            self.queue.put(self.pb.ServePagesRequest(open=self.pb.PagerOpen(
                context=context, ipa=ipa, size=size, window=window)))

    def next(self, what):
        answer = next(self.answers)
        assert answer.WhichOneof("what") == what, answer
        return getattr(answer, what)

    def opened(self):
        return self.next("opened")

    def wanted(self):
        return self.next("wanted")

    def send(self, ipa, content=ZERO, size=PAGE, data=b""):
        self.queue.put(self.pb.ServePagesRequest(supply=self.pb.PageSupply(ipa=ipa, size=size, content=content, data=data)))

    def supply(self, *args, **kwargs):
        """Sends, and takes what comes next: the answer, when nothing else is due."""
        self.send(*args, **kwargs)
        return self.next("supplied")

    def fill(self, byte, ipa, size=PAGE):
        return self.supply(ipa, DATA, size, bytes([byte]) * size)
