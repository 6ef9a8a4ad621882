# SPDX-License-Identifier: BSD-2-Clause
"""HTTP/2 frames by hand over a socket: what a well-behaved client library would never send."""
import select
import socket
import struct

import hpack

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK = 1, 4, 1
NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 0, 1, 3, 7, 8, 11
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SECONDS = 20


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def message(payload, flag=0, length=None):
    """One gRPC message with its prefix."""
    return bytes([flag]) + struct.pack(">I", len(payload) if length is None else length) + payload


def request_headers(path, **more):
    """The header list of a gRPC call; None removes a field, `te_` style names become `te-`."""
    fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "localhost",
              "content-type": "application/grpc", "te": "trailers"}
    for name, value in more.items():
        fields[name.replace("_", "-") if not name.startswith("p_") else ":" + name[2:]] = value
    return [(n, v) for n, v in fields.items() if v is not None]


class Reply:
    """What came back on one stream."""

    def __init__(self):
        self.headers, self.body, self.reset, self.ended = [], b"", None, False

    def get(self, name):
        return next((v for n, v in self.headers if n == name), None)

    @property
    def status(self):
        value = self.get("grpc-status")
        return None if value is None else int(value)

    def messages(self):
        at, found = 0, []
        while at < len(self.body):
            length = struct.unpack(">I", self.body[at + 1:at + 5])[0]
            found.append(self.body[at + 5:at + 5 + length])
            at += 5 + length
        return found


class Connection:
    """A client connection; the server's SETTINGS are acknowledged, windows grow unless `greedy` is off; `over`: instead
    of the unix socket, something that is connected."""

    def __init__(self, ptd, preface=True, settings=b"", greedy=True, over=None):
        self.socket = over or self.connect(ptd)
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.encoder.huffman = False
        self.replies, self.buffer, self.next_stream = {}, b"", 1
        self.goaway = self.goaway_text = None
        self.granted, self.polite = {}, preface
        self.log = []  # (kind, stream) of each frame that came, in order
        self.longest = 0
        self.pings, self.closed, self.greedy, self.peer_settings = 0, False, greedy, {}
        if preface:
            self.send(PREFACE + frame(SETTINGS, 0, 0, settings) + (
                frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 24)) if greedy else b""))

    @staticmethod
    def connect(ptd):
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(SECONDS)
        made.connect(ptd.socket)
        return made

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self.closed = True

    def drain(self):
        """Reads what is there, so that neither side blocks."""
        while not self.closed and select.select([self.socket], [], [], 0)[0]:
            self.read_some()

    def new_stream(self):
        stream = self.next_stream
        self.next_stream += 2
        return stream

    def header_block(self, headers):
        # Nothing is added to the table: blocks do not depend on each other's fate.
        return b"".join(self.literal(n, v) for n, v in headers)

    @staticmethod
    def literal(name, value):
        def text(s):
            raw = s if isinstance(s, bytes) else s.encode()
            if len(raw) < 127:
                return bytes([len(raw)]) + raw
            n, out = len(raw) - 127, b"\x7f"
            while n >= 128:
                out += bytes([n & 127 | 128])
                n >>= 7
            return out + bytes([n]) + raw
        return b"\0" + text(name) + text(value)

    def open(self, path, end=False, **more):
        """Sends HEADERS; returns the stream."""
        stream = self.new_stream()
        self.send(frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream,
                        self.header_block(request_headers(path, **more))))
        return stream

    def data(self, stream, payload, end=True):
        self.send(frame(DATA, END_STREAM if end else 0, stream, payload))

    def call(self, path, payload, **more):
        """One unary call; returns its Reply."""
        stream = self.open(path, **more)
        self.data(stream, message(payload))
        return self.finish(stream)

    def reply(self, stream):
        return self.replies.setdefault(stream, Reply())

    def read_some(self):
        """Takes what the server sent; False at its end."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            self.closed = True
            return False
        self.buffer += data
        while len(self.buffer) >= 9:
            length = struct.unpack(">I", b"\0" + self.buffer[:3])[0]
            if len(self.buffer) < 9 + length:
                break
            kind, flags = self.buffer[3], self.buffer[4]
            stream = struct.unpack(">I", self.buffer[5:9])[0] & 0x7FFFFFFF
            payload, self.buffer = self.buffer[9:9 + length], self.buffer[9 + length:]
            self.take(kind, flags, stream, payload)
        return True

    def take(self, kind, flags, stream, payload):
        self.log.append((kind, stream))
        self.longest = max(self.longest, len(payload))
        if kind == HEADERS:
            self.reply(stream).headers += self.decoder.decode(payload)
            self.reply(stream).ended |= bool(flags & END_STREAM)
        elif kind == DATA:
            self.reply(stream).body += payload
            self.reply(stream).ended |= bool(flags & END_STREAM)
            if self.greedy and payload:
                grow = struct.pack(">I", len(payload))
                self.send(frame(WINDOW_UPDATE, 0, 0, grow) + frame(WINDOW_UPDATE, 0, stream, grow))
        elif kind == RST_STREAM:
            self.reply(stream).reset = struct.unpack(">I", payload)[0]
        elif kind == SETTINGS and not flags & ACK:
            self.peer_settings.update(struct.iter_unpack(">HI", payload))
            if self.polite:
                self.send(frame(SETTINGS, ACK))
        elif kind == WINDOW_UPDATE:
            self.granted[stream] = self.granted.get(stream, 0) + struct.unpack(">I", payload)[0]
        elif kind == PING:
            self.pings += 1
        elif kind == GOAWAY:
            self.goaway = struct.unpack(">I", payload[4:8])[0]
            self.goaway_text = payload[8:].decode()

    def finish(self, stream):
        """Reads until the stream ends, is reset, or the connection closes."""
        while not (self.reply(stream).ended or self.reply(stream).reset is not None):
            if not self.read_some():
                break
        return self.reply(stream)

    def wait_close(self):
        """Reads until the server closes; returns the code of its GOAWAY or None."""
        while self.read_some():
            pass
        return self.goaway

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
