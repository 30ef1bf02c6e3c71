# SPDX-License-Identifier: Apache-2.0
"""Network namespaces kept by a bind mount, as containerd and `ip netns` keep them."""
import ctypes
import http.client
import os
import socket
import threading
from urllib.parse import urlsplit

CLONE_NEWNET = 0x40000000
MS_BIND = 0x1000
MNT_DETACH = 2
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def create(path):
    """A new network namespace, kept at `path`. A thread of its own enters it, so the caller stays."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "x", encoding="ascii"):
        pass
    failure = []

    def work():
        try:
            _check(_libc.unshare(CLONE_NEWNET), "unshare")
            source = f"/proc/self/task/{threading.get_native_id()}/ns/net".encode()
            _check(_libc.mount(source, path.encode(), None, MS_BIND, None), f"bind {path}")
        except OSError as error:
            failure.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failure:
        os.unlink(path)
        raise failure[0]


def remove(path):
    """No matter whether it is there, or mounted."""
    _libc.umount2(path.encode(), MNT_DETACH)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


class NetnsConnection(http.client.HTTPSConnection):
    """HTTPS whose socket belongs to another network namespace; the caller stays in its own."""

    def __init__(self, netns, server, context, timeout):
        url = urlsplit(server)
        super().__init__(url.hostname, url.port, context=context, timeout=timeout)
        self._netns, self._tls = netns, context

    def connect(self):
        self.sock = self._tls.wrap_socket(
            connect_in(self._netns, (self.host, self.port), self.timeout), server_hostname=self.host
        )


def connect_in(netns, address, timeout):
    """A connected TCP socket of namespace `netns`: made by a thread that has entered it."""
    outcome = []

    def work():
        try:
            with open(netns, "rb") as file:
                _check(_libc.setns(file.fileno(), CLONE_NEWNET), f"enter {netns}")
            outcome.append(socket.create_connection(address, timeout))
        except OSError as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if isinstance(outcome[0], OSError):
        raise outcome[0]
    return outcome[0]
