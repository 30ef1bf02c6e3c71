#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""SCTP packets by raw sockets, where the kernel has no SCTP: one packet there, one back, summed up here.

    rawsctp.py            a helper; commands as of peer.py: ask, batch, serve
    rawsctp.py NAME PORT  a server
"""
import itertools
import os
import select
import socket
import struct
import sys
import threading
import time

sys.dont_write_bytecode = True
import peer  # noqa: E402

SCTP = 132
HEADER = struct.Struct("!HHI")  # ports, verification tag; the checksum is little-endian
# Type, flags, length; initiate tag, window, streams out and in, first TSN (RFC 9260, 3.3.2).
INIT = struct.pack("!BBHIIHHI", 1, 0, 20, 0x1234, 65536, 1, 1, 1)
_numbers = itertools.count()


def _table():
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        yield crc


_TABLE = list(_table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def build(sport, dport, payload, zero=False):
    head = HEADER.pack(sport, dport, 0 if payload is INIT else 0x1234)
    total = 0 if zero else crc32c(head + bytes(4) + payload)
    return head + struct.pack("<I", total) + payload


def take(packet, address):
    """(source port, destination port, how its checksum is, payload); None when it is no such packet."""
    if ":" not in address:  # IPv4 comes with its header
        packet = packet[(packet[0] & 15) * 4 :]
    if len(packet) < 12:
        return None
    sport, dport, _ = HEADER.unpack_from(packet)
    (have,) = struct.unpack_from("<I", packet, 8)
    right = crc32c(packet[:8] + bytes(4) + packet[12:])
    return sport, dport, "good" if have == right else "bad" if have else "none", packet[12:]


def _serve(sock, name, ports):
    while True:
        packet, (source, *_) = sock.recvfrom(65536)
        found = take(packet, source)
        if not found or found[1] not in ports:
            continue
        sport, port, checksum, payload = found
        text = f"{name} {source} {sport} {checksum} ".encode().ljust(len(payload), b".")
        sock.sendto(build(port, sport, text, checksum == "none"), (source, 0))


def serve(to):
    for family in (socket.AF_INET, socket.AF_INET6):
        sock = socket.socket(family, socket.SOCK_RAW, SCTP)
        args = (sock, to["name"], to["ports"])
        threading.Thread(target=_serve, args=args, daemon=True).start()
    return True


def ask(to):
    """[name, address and port that it sees, checksum there, checksum here] of who answers."""
    address, port, sport = to["place"][1], to["place"][2], to["sport"]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_RAW, SCTP) as sock:
        sock.settimeout(to.get("timeout", 10.0))
        sock.connect((address, 0))
        sock.send(build(sport, port, b"x" * to.get("size", 64), to.get("zero", False)))
        while True:
            found = take(sock.recv(65536), address)
            if found and found[:2] == (port, sport):
                name, seen, seen_port, there, *_ = found[3].decode().split(" ")
                return [name, seen, int(seen_port), there, found[2]]


def batch(to):
    """Who answers an INIT at each place, all at once: [name], or "timeout"; in a list like clients.py's.

    `timeout` is of all, or a list too.
    """
    timeout, began = to.get("timeout", 10.0), time.monotonic()
    timeouts = timeout if isinstance(timeout, list) else [timeout] * len(to["places"])
    socks = {f: socket.socket(f, socket.SOCK_RAW, SCTP) for f in (socket.AF_INET, socket.AF_INET6)}
    waiting, found = {}, [["timeout", 0] for _ in to["places"]]
    for i, (_, address, port) in enumerate(to["places"]):
        sport = 20000 + next(_numbers) % 40000
        waiting[address, port, sport] = i
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        socks[family].sendto(build(sport, port, INIT), (address, 0))
    left_of = lambda: began + max(timeouts[i] for i in waiting.values()) - time.monotonic()  # noqa: E731
    while waiting and (left := left_of()) > 0:
        for sock in select.select([*socks.values()], [], [], left)[0]:
            packet, (source, *_) = sock.recvfrom(65536)
            sport, port, _, payload = take(packet, source) or (0, 0, None, b"")
            i = waiting.pop((source, sport, port), None)
            if i is not None:
                found[i][0] = payload.decode(errors="replace").split(" ")[:1]
    for sock in socks.values():
        sock.close()
    return found


peer.OPERATIONS.update({"ask": ask, "batch": batch, "serve": serve})

if __name__ == "__main__":
    if len(sys.argv) == 3:
        serve({"name": sys.argv[1], "ports": [int(sys.argv[2])]})
        threading.Event().wait()
    else:
        peer.commands()
        os._exit(0)
