#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""usage: xdp_pass.py LINK...

Puts an XDP program that passes everything on links of this network namespace, in native mode. What the
other end of a veth sends back by XDP_TX waits in this end's ring until somebody looks there, and the kernel
tells this end to do so only when it has an XDP program itself (GRO is not enough, as it is for redirects).
"""
import ctypes
import os
import socket
import struct
import sys

SYS_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
BPF_PROG_LOAD, BPF_PROG_TYPE_XDP = 5, 6
RTM_SETLINK, NLM_F_REQUEST, NLM_F_ACK = 19, 1, 4
IFLA_XDP, IFLA_XDP_FD, IFLA_XDP_FLAGS, NLA_F_NESTED = 43, 1, 3, 0x8000
XDP_FLAGS_DRV_MODE = 4
PASS = struct.pack("<BBhi", 0xB7, 0, 0, 2) + struct.pack("<BBhi", 0x95, 0, 0, 0)  # r0 = XDP_PASS; exit


def load():
    code = ctypes.create_string_buffer(PASS, len(PASS))
    licence = ctypes.create_string_buffer(b"GPL")
    attr = struct.pack(
        "<IIQQIIQII16s", BPF_PROG_TYPE_XDP, len(PASS) // 8, ctypes.addressof(code),
        ctypes.addressof(licence), 0, 0, 0, 0, 0, b"demo_pass",
    )  # fmt: skip
    buffer = ctypes.create_string_buffer(attr, len(attr))
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(SYS_BPF, BPF_PROG_LOAD, buffer, len(attr))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "bpf(BPF_PROG_LOAD)")
    return fd


def attribute(kind, payload):
    return struct.pack("<HH", 4 + len(payload), kind) + payload


def attach(fd, link):
    xdp = attribute(IFLA_XDP_FD, struct.pack("<i", fd))
    xdp += attribute(IFLA_XDP_FLAGS, struct.pack("<I", XDP_FLAGS_DRV_MODE))
    body = struct.pack("<BxHiII", 0, 0, socket.if_nametoindex(link), 0, 0)
    body += attribute(IFLA_XDP | NLA_F_NESTED, xdp)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        head = struct.pack("<IHHII", 16 + len(body), RTM_SETLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0)
        netlink.send(head + body)
        error = struct.unpack_from("<i", netlink.recv(8192), 16)[0]
    if error:
        raise OSError(-error, f"{link}: {os.strerror(-error)}")


def main():
    fd = load()
    for link in sys.argv[1:]:
        attach(fd, link)


if __name__ == "__main__":
    main()
