# SPDX-License-Identifier: BSD-2-Clause
"""Certificates good and bad, and TLS clients whose records a test can hold back, cut and change."""
import os
import re
import socket
import ssl
import subprocess
import tempfile

import ptdtest
import rawh2
from ptdtest import BUILD

SECONDS = 20
CHECK = "/grpc.health.v1.Health/Check"
TRUST = "spiffe://ptd.local"


def openssl(*args, text=None):
    return subprocess.run(["openssl", *args], check=True, capture_output=True, input=text, text=True).stdout


class Files:
    """A folder that `ptctl tls init` filled, with more certificates made by openssl as they are asked for."""

    def __init__(self, clients="trial,other"):
        self.holder = tempfile.TemporaryDirectory(prefix="ptd-tls-")
        self.folder = os.path.join(self.holder.name, "pki")
        self.init = subprocess.run([os.path.join(BUILD, "ptctl"), "tls", "init", "--dir", self.folder, "--client", clients],
                                   check=True, capture_output=True, text=True, env=ptdtest.sanitizer_env())
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=client",
                "-keyout", self("any.key"), "-out", self("any.csr"))

    def __call__(self, name):
        return os.path.join(self.folder, name)

    def read(self, name):
        with open(self(name), "rb") as file:
            return file.read()

    def make(self, name, san=f"URI:{TRUST}/trial", usage="clientAuth", days=2, issuer="ca", subject="/CN=client", ca=False):
        """A certificate over the key any.key: returns what pair() takes."""
        lines = [f"basicConstraints=critical,CA:{'TRUE' if ca else 'FALSE'}"]
        if ca:
            lines.append("keyUsage=critical,keyCertSign,digitalSignature")
        lines += [f"subjectAltName={san}"] if san else []
        lines += [f"extendedKeyUsage={usage}"] if usage else []
        with open(self(f"{name}.ext"), "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
        signer = ["-signkey", self("any.key")] if issuer is None else \
            ["-CA", self(f"{issuer}.crt"), "-CAkey", self("ca.key" if issuer == "ca" else "any.key"), "-set_serial", str(abs(hash(name)))]
        openssl("x509", "-req", "-in", self("any.csr"), *signer, "-days", str(days), "-extfile", self(f"{name}.ext"),
                "-subj", subject, "-out", self(f"{name}.crt"))
        return self(f"{name}.crt"), self("any.key")

    def pair(self, name):
        """The files of a client that tls init made."""
        return self(f"{name}.crt"), self(f"{name}.key")

    def bundle(self, name, *certificates, times=1):
        """Several certificates in one file."""
        with open(self(f"{name}.crt"), "wb") as file:
            for one in certificates:
                file.write(self.read(f"{one}.crt") * times)
        return self(f"{name}.crt"), self("any.key")

    def server_options(self, key="server.key"):
        return ["--tls-certificate", self("server.crt"), "--tls-key", self(key), "--tls-ca", self("ca.crt")]


class Daemon(ptdtest.Daemon):
    """A ptd that listens on TLS, and on a unix socket beside it."""

    def __init__(self, files, loops=1, args=(), **more):
        self.files = files
        self.clear = os.path.join(files.holder.name, f"s{os.getpid()}-{id(self)}")
        super().__init__(loops=loops, listen="tls:127.0.0.1:0",
                         args=["--listen", f"unix:{self.clear}", *files.server_options(), *args], **more)
        self.port = int(re.search(r"tls:127\.0\.0\.1:(\d+)", self.ready_line).group(1))
        self.socket = self.clear

    def grpc(self, client):
        """A grpcio channel with that client's certificate and a connection of its own."""
        import grpc
        certificate, key = client
        with open(certificate, "rb") as crt, open(key, "rb") as private:
            credentials = grpc.ssl_channel_credentials(self.files.read("ca.crt"), private.read(), crt.read())
        channel = grpc.secure_channel(f"127.0.0.1:{self.port}", credentials, options=[
            ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)])
        self._channels.append(channel)
        return channel

    def connect(self, receive_bytes=None):
        """A TCP connection to the TLS port."""
        plain = socket.socket()
        plain.settimeout(SECONDS)
        if receive_bytes:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        plain.connect(("127.0.0.1", self.port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return plain

    def wait_line(self, pattern, start=0):
        """Until that has been said on stderr, from there on; the match."""
        import time
        until = time.monotonic() + SECONDS
        while True:
            found = re.compile(pattern).search(self.stderr, start)
            if found:
                return found
            if time.monotonic() > until:
                raise AssertionError(f"no line like {pattern!r} in:\n{self.stderr}")
            time.sleep(0.01)


def context(files, client=None, alpn=("h2",), newest=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(files("ca.crt"))
    if client:
        made.load_cert_chain(*client)
    if alpn:
        made.set_alpn_protocols(list(alpn))
    if newest:
        made.maximum_version = newest
    return made


class Client:
    """TLS over memory: what leaves and what arrives passes through the hands of the test."""

    def __init__(self, ptd, client=None, plain=None, made=None, session=None, **options):
        self.plain = plain or ptd.connect()
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (made or context(ptd.files, client, **options)).wrap_bio(
            self.incoming, self.outgoing, server_hostname="localhost", session=session)

    def records(self):
        """What is to be sent."""
        return self.outgoing.read()

    def flush(self):
        data = self.records()
        if data:
            self.plain.sendall(data)

    def feed(self):
        """Waits for bytes; False at the end."""
        try:
            data = self.plain.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            data = b""
        if data:
            self.incoming.write(data)
        return bool(data)

    def step(self, function, *args):
        """Runs `function` until it has its bytes."""
        while True:
            try:
                result = function(*args)
                self.flush()
                return result
            except ssl.SSLWantReadError:
                self.flush()
                if not self.feed():
                    raise EOFError("the server closed") from None
            except ssl.SSLError:
                try:
                    self.flush()
                except OSError:
                    pass
                raise

    def handshake(self):
        self.step(self.tls.do_handshake)
        return self

    # What rawh2.Connection needs of a socket.
    def sendall(self, data):
        while data:
            data = data[self.tls.write(data):]
        self.flush()

    def recv(self, room):
        try:
            return self.step(self.tls.read, room)
        except (EOFError, ssl.SSLZeroReturnError, BrokenPipeError, ConnectionResetError):
            return b""

    def fileno(self):
        return self.plain.fileno()

    def close(self):
        self.plain.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def h2(ptd, client, preface=True, **options):
    """rawh2.Connection over TLS, its handshake done."""
    return rawh2.Connection(ptd, preface=preface, over=Client(ptd, client, **options).handshake())


def outcome(ptd, client=None, **options):
    """How a connection attempt ends: "served", or the name of the alert or of the error that the client sees."""
    try:
        with Client(ptd, client, **options) as c:
            c.handshake()
            with rawh2.Connection(ptd, over=c) as wire:
                reply = wire.call(CHECK, b"")
                return "served" if reply.status == 0 else "closed"
    except ssl.SSLError as error:
        said = re.search(r"\[SSL[^]]*\] ([a-z0-9 ]+)", str(error)) # python does not know every alert
        return error.reason or said.group(1).strip().upper().replace(" ", "_")
    except (EOFError, ConnectionResetError, BrokenPipeError):
        return "closed"
