#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A backend that says who it is and whom it sees, by TCP and UDP, on both families.

usage: whoami.py NAME PORT[,PORT...] [DRAIN]

A TCP connection gets the line "NAME CLIENT-ADDRESS CLIENT-PORT", then its own bytes back. A datagram
gets such a line, from the address that was asked. SIGTERM ends it after DRAIN seconds (0), in which it
goes on serving.
"""
import os
import selectors
import signal
import socket
import sys
import threading

sys.dont_write_bytecode = True
from peer import SO_RCVBUFFORCE, reply_from  # noqa: E402

NAME, PORTS = sys.argv[1], [int(p) for p in sys.argv[2].split(",")]
DRAIN = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
loop = selectors.DefaultSelector()


def line(peer):
    return f"{NAME} {peer[0].removeprefix('::ffff:')} {peer[1]}\n".encode()


def on_accept(listener):
    connection, peer = listener.accept()
    connection.setblocking(False)
    try:
        connection.send(line(peer))
        loop.register(connection, selectors.EVENT_READ, on_data)
    except OSError:
        connection.close()


def on_data(connection):
    try:
        data = connection.recv(65536)
        if data:
            connection.send(data)
            return
    except OSError:
        pass
    loop.unregister(connection)
    connection.close()


def on_datagram(sock):
    _, control, _, peer = sock.recvmsg(65536, 256)
    try:
        sock.sendmsg([line(peer)], reply_from(control), 0, peer)
    except OSError:
        pass


def datagrams(family, address, port):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
    sock.bind((address, port))
    loop.register(sock, selectors.EVENT_READ, on_datagram)


def on_term(*_):
    timer = threading.Timer(DRAIN, os._exit, (0,))
    timer.daemon = True
    timer.start()


def main():
    signal.signal(signal.SIGTERM, on_term)
    for port in PORTS:
        datagrams(socket.AF_INET, "0.0.0.0", port)
        datagrams(socket.AF_INET6, "::", port)
        listener = socket.create_server(
            ("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024
        )
        listener.setblocking(False)
        loop.register(listener, selectors.EVENT_READ, on_accept)
    while True:
        for key, _ in loop.select():
            try:
                key.data(key.fileobj)
            except OSError:
                pass  # the client has gone meanwhile


if __name__ == "__main__":
    main()
