# SPDX-License-Identifier: Apache-2.0
"""Ports of loopback that stay one's own while nobody listens there: before a server starts, and
while it is away. Without that the kernel gives them to any client that connects meanwhile."""
import socket


class Port:
    """A free TCP port of 127.0.0.1, held for as long as the object lives.

    It is bound with SO_REUSEADDR and does not listen, so servers that set SO_REUSEADDR, as all of ours
    and etcd do, listen on it, and nobody is given it who does not ask for it by its number.
    """

    def __init__(self):
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number = self._socket.getsockname()[1]
