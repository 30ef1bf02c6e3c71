#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A helper that lives in one namespace for a whole test session: serves echoes, and sends when told.

Commands are JSON lines on stdin, answers JSON lines on stdout, matched by "id"; it ends with stdin.
TCP and UDP echo on PORT, both families; a TCP connection first gets a line with the client's address.
"""
import json
import os
import socket
import subprocess
import sys
import threading

PORT = 7777
TIMEOUT = 10.0
IP_PKTINFO = 8
SO_RCVBUFFORCE = 33  # what is sent to a server that stands still waits for it
IP_MTU, IPV6_MTU = 14, 24
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_DO = 10, 23, 2


def _plain(address):
    return address.removeprefix("::ffff:")


def _family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve_tcp(listener):
    while True:
        connection, peer = listener.accept()
        threading.Thread(target=_echo_tcp, args=(connection, _plain(peer[0])), daemon=True).start()


def _echo_tcp(connection, peer):
    with connection:
        try:
            connection.sendall(peer.encode() + b"\n")
            while data := connection.recv(65536):
                connection.sendall(data)
        except OSError:
            pass


def reply_from(control):
    """The control messages of an answer from the address that was asked, which a node has several of."""
    reply = []
    for level, kind, info in control:
        if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO):
            reply.append((level, kind, bytes(4) + info[4:8] + bytes(4)))
        elif (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            reply.append((level, kind, info[:16] + bytes(4)))
    return reply


def serve_udp(sock):
    while True:
        data, control, _, peer = sock.recvmsg(65536, 256)
        try:
            sock.sendmsg([data], reply_from(control), 0, peer)
        except OSError:
            pass


def ping(to):
    done = subprocess.run(
        ["ping", "-nq", "-c", "1", "-W", "10", to], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise OSError("no echo reply")
    return True


def _exchange(to, data):
    with socket.create_connection((to, PORT), TIMEOUT) as connection:
        stream = connection.makefile("rb")
        seen = stream.readline().decode().strip()
        sender = threading.Thread(target=connection.sendall, args=(data,), daemon=True)
        sender.start()
        if stream.read(len(data)) != data:
            raise OSError("the echo differs")
        return seen


def tcp(to):
    """The address that the other side saw."""
    return _exchange(to, b"hello")


def bulk(to):
    return _exchange(to, os.urandom(65536))


def udp(to):
    with socket.socket(_family(to), socket.SOCK_DGRAM) as sock:
        sock.settimeout(TIMEOUT)
        sock.connect((to, PORT))
        for size in (1, 1000, 8000):  # the last one travels in fragments
            data = os.urandom(size)
            sock.send(data)
            if sock.recv(65536) != data:
                raise OSError(f"the echo of {size} bytes differs")
    return True


def pmtu(to):
    """The path's MTU as learnt, proven by a datagram of that size with DF, there and back."""
    level, query, discover, header = (
        (socket.IPPROTO_IPV6, IPV6_MTU, IPV6_MTU_DISCOVER, 48)
        if ":" in to
        else (socket.IPPROTO_IP, IP_MTU, IP_MTU_DISCOVER, 28)
    )
    with socket.socket(_family(to), socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.5)
        sock.setsockopt(level, discover, PMTUDISC_DO)
        sock.connect((to, PORT))
        for _ in range(20):
            mtu = sock.getsockopt(level, query)
            data = os.urandom(mtu - header)
            try:
                sock.send(data)
                while (back := sock.recv(65536)) != data:
                    pass
                return mtu
            except (TimeoutError, OSError) as error:
                last = error  # the ICMP error came, or is on its way: ask for the MTU again
        raise OSError(f"no datagram of the path's MTU {mtu} came back: {last}")


def refused(to):
    """A port that nobody listens on, and the ICMP error that says so."""
    with socket.socket(_family(to), socket.SOCK_DGRAM) as sock:
        sock.settimeout(TIMEOUT)
        sock.connect((to, PORT + 1))
        sock.send(b"anybody?")
        try:
            sock.recv(100)
        except ConnectionRefusedError:
            return True
    raise OSError("somebody answered")


OPERATIONS = {f.__name__: f for f in (ping, tcp, bulk, udp, pmtu, refused)}
_output = threading.Lock()


def answer(command):
    reply = {"id": command["id"]}
    try:
        reply["value"] = OPERATIONS[command["op"]](command["to"])
    except Exception as error:
        reply["error"] = f"{type(error).__name__}: {error}"
    with _output:
        print(json.dumps(reply), flush=True)


def commands():
    print(json.dumps({"id": 0, "value": "ready"}), flush=True)
    for line in sys.stdin:
        threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()


def main():
    listener = socket.create_server(
        ("::", PORT), family=socket.AF_INET6, dualstack_ipv6=True, backlog=256
    )
    threading.Thread(target=serve_tcp, args=(listener,), daemon=True).start()
    udp_sockets = []
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
        sock.bind((address, PORT))
        udp_sockets.append(sock)
        threading.Thread(target=serve_udp, args=(sock,), daemon=True).start()
    commands()


if __name__ == "__main__":
    main()
