# SPDX-License-Identifier: BSD-2-Clause
"""A proxy in front of a daemon for tests of clients: it cuts connections after so many bytes, and can speak TLS."""
import os
import select
import socket
import ssl
import subprocess
import threading

CHUNK = 65536


def certificates(folder):
    """A CA, a server's certificate for localhost and 127.0.0.1, and a client's, by openssl(1)."""
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    def key(name):
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")

    def signed(name, extension, subject=None):
        key(name)
        with open(os.path.join(folder, f"{name}.ext"), "w", encoding="ascii") as file:
            file.write(extension)
        openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={subject or name}", "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.pem")

    for name in ("ca", "other"):
        key(name)
        openssl("req", "-x509", "-new", "-key", f"{name}.key", "-subj", f"/CN=test {name}", "-days", "2",
                "-out", f"{name}.pem")
    signed("server", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    signed("nameless", "subjectAltName=DNS:elsewhere.example", "localhost")
    signed("client", "extendedKeyUsage=clientAuth")
    return lambda name: os.path.join(folder, name)


def server_context(path, name="server", alpn=("h2",), newest=None, verify=True):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path(f"{name}.pem"), path(f"{name}.key"))
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if newest:
        context.maximum_version = newest
    if verify:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(path("ca.pem"))
    return context


class Link:
    """One connection through the proxy, cut as soon as either direction has passed its bytes. One thread: a TLS socket
    does not bear two."""

    def __init__(self, near, far, up, down):
        self.near, self.far = near, far
        self.passed = {near: 0, far: 0}
        self.limit = {near: up, far: down}
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _pass(self, source, to):
        """False: the connection is over."""
        limit, passed = self.limit[source], self.passed[source]
        data = source.recv(CHUNK if limit is None else min(CHUNK, limit - passed))
        to.sendall(data)
        self.passed[source] += len(data)
        return data and self.passed[source] != limit

    def _run(self):
        go_on = 0 not in self.limit.values()
        try:
            while go_on:
                waiting = [self.near] if getattr(self.near, "pending", int)() else \
                    select.select([self.near, self.far], [], [])[0]
                go_on = all(self._pass(end, self.far if end is self.near else self.near) for end in waiting)
        except (OSError, ValueError):
            pass
        self.cut()

    def cut(self):
        for end in (self.near, self.far):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def join(self):
        self.thread.join(10)
        self.near.close()
        self.far.close()


class Proxy:
    """Listens on 127.0.0.1, passes on to a unix socket. `limits` gives (up, down) byte limits for each connection in
    turn; None: no limit; after the last entry: no limits."""

    def __init__(self, target, limits=(), tls=None):
        self.target, self.limits, self.tls = target, list(limits), tls
        self.links, self.handshakes, self.failures = [], [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.endpoint = f"{'tls' if tls else 'tcp'}:127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                near, _address = self.listener.accept()
            except OSError:
                return
            up, down = self.limits.pop(0) if self.limits else (None, None)
            if self.tls:
                try:
                    near = self.tls.wrap_socket(near, server_side=True)
                    self.handshakes.append((near.version(), near.session_reused))
                except (ssl.SSLError, OSError) as error:
                    self.failures.append(error)
                    near.close()
                    continue
            far = socket.socket(socket.AF_UNIX)
            far.connect(self.target)
            self.links.append(Link(near, far, up, down))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.thread.join(10)
        for link in self.links:
            link.cut()
            link.join()
