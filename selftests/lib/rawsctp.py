#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""SCTP packets by raw sockets, where the kernel has no SCTP: one packet there, one back, summed up here.

    rawsctp.py            a helper; commands as of peer.py: ask, serve
    rawsctp.py NAME PORT  a server
"""
import os
import socket
import struct
import sys
import threading

sys.dont_write_bytecode = True
import peer  # noqa: E402

SCTP = 132
HEADER = struct.Struct("!HHI")  # ports, verification tag; the checksum is little-endian


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
    head = HEADER.pack(sport, dport, 0x1234)
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


def _serve(sock, name, port):
    while True:
        packet, (source, *_) = sock.recvfrom(65536)
        found = take(packet, source)
        if not found or found[1] != port:
            continue
        sport, _, checksum, payload = found
        text = f"{name} {source} {sport} {checksum} ".encode().ljust(len(payload), b".")
        sock.sendto(build(port, sport, text, checksum == "none"), (source, 0))


def serve(to):
    for family in (socket.AF_INET, socket.AF_INET6):
        sock = socket.socket(family, socket.SOCK_RAW, SCTP)
        args = (sock, to["name"], to["port"])
        threading.Thread(target=_serve, args=args, daemon=True).start()
    return True


def ask(to):
    """[name, address and port that it sees, checksum there, checksum here] of who answers."""
    address, port, sport = to["place"][1], to["place"][2], to["sport"]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_RAW, SCTP) as sock:
        sock.settimeout(to.get("timeout", 3.0))
        sock.connect((address, 0))
        sock.send(build(sport, port, b"x" * to.get("size", 64), to.get("zero", False)))
        while True:
            found = take(sock.recv(65536), address)
            if found and found[:2] == (port, sport):
                name, seen, seen_port, there, *_ = found[3].decode().split(" ")
                return [name, seen, int(seen_port), there, found[2]]


peer.OPERATIONS.update({"ask": ask, "serve": serve})

if __name__ == "__main__":
    if len(sys.argv) == 3:
        serve({"name": sys.argv[1], "port": int(sys.argv[2])})
        threading.Event().wait()
    else:
        peer.commands()
        os._exit(0)
