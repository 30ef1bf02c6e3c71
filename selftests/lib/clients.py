#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A client of services, for the whole life of a test; commands as of peer.py, backends are whoami.py.

Where an operation wants a place it is [protocol, address, port] or [protocol, address, port, own address].
"""
import asyncio
import errno
import itertools
import random
import socket
import struct
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

sys.dont_write_bytecode = True
import peer  # noqa: E402

AT_ONCE = 64
BEHIND_S = 0.05  # a load that falls behind by more goes on from there
SLOW_S = 10.0  # so long a program may stand still
_numbers = itertools.count(1)
_open = {}


def _name(error):
    if isinstance(error, TimeoutError):
        return "timeout"
    return errno.errorcode.get(getattr(error, "errno", None), f"{type(error).__name__}: {error}")


def _socket(place, timeout):
    protocol, address, port, *own = place
    kind = socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    sock.settimeout(timeout)
    try:
        if own and own[0]:
            sock.bind((own[0], 0))
        sock.connect((address, port))
    except OSError:
        sock.close()
        raise
    return sock


def _hello(sock):
    """[name, address that it sees, port that it sees]"""
    if sock.type == socket.SOCK_DGRAM:
        sock.send(b"who?")
    data = sock.recv(200)
    if not data:
        raise ConnectionResetError(errno.ECONNRESET, "closed at once")
    name, address, port = data.decode().split()
    return [name, address, int(port)]


def ask(place, timeout=10.0):
    """[name, address, port] of a backend or the name of an error, and how many ms that took.

    Who is not let in meets silence within `timeout`; a server that took the connection may be slow.
    """
    began = time.monotonic()
    try:
        with _socket(place, timeout) as sock:
            if sock.type == socket.SOCK_STREAM:
                sock.settimeout(max(timeout, SLOW_S))
            found = _hello(sock)
    except OSError as error:
        found = _name(error)
    return [found, (time.monotonic() - began) * 1000]


def batch(to):
    """ask() for each place of a list; `timeout` is of all, or a list too."""
    timeout = to.get("timeout", 10.0)
    timeouts = timeout if isinstance(timeout, list) else [timeout] * len(to["places"])
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(ask, to["places"], timeouts))


def connect(to):
    """Opens a flow and keeps it: {id, name, seen}."""
    sock = _socket(to["place"], to.get("timeout", 10.0))
    name, seen, _ = _hello(sock)
    number = next(_numbers)
    _open[number] = sock
    return {"id": number, "name": name, "seen": seen}


def again(to):
    """A flow that is open asks once more: the name of the backend, or of the error.

    `to` is its number, or {id, timeout}.
    """
    number, timeout = (to["id"], to["timeout"]) if isinstance(to, dict) else (to, 10.0)
    sock = _open[number]
    sock.settimeout(timeout)
    try:
        if sock.type == socket.SOCK_DGRAM:
            return _hello(sock)[0]
        sock.send(b"hello")
        return "echo" if sock.recv(200) == b"hello" else "end"
    except OSError as error:
        return _name(error)


def ended(to):
    """Sends on a TCP flow 20 times a second until it ends: how, or "timeout"."""
    sock, deadline = _open[to["id"]], time.monotonic() + to["seconds"]
    sock.settimeout(0.05)
    while time.monotonic() < deadline:
        try:
            sock.send(b"hello")
            while sock.recv(200):
                pass
            return "end"
        except TimeoutError:
            pass
        except OSError as error:
            return _name(error)
    return "timeout"


def close(numbers):
    for number in numbers:
        _open.pop(number).close()


class Load:
    """Requests at a steady rate, each a connection of its own, whatever the earlier ones do.

    What a machine that is slow or away for a while has missed is not made up for: a burst, or more and
    more requests at a time, would fail for want of a machine.
    """

    IN_FLIGHT = 256

    def __init__(self, to):
        self.place, self.rate, self.timeout = to["place"], to["rate"], to.get("timeout", 10.0)
        self.sent, self.failed, self.names, self.worst = 0, [], {}, 0.0
        self._stop = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()

    async def _run(self):
        tasks, due = set(), self._began
        while not self._stop.is_set():
            now = time.monotonic()
            due = max(due, now - BEHIND_S)
            while due < now:
                due += 1 / self.rate
                if len(tasks) < self.IN_FLIGHT:
                    self.sent += 1
                    task = asyncio.create_task(self._one())
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
            await asyncio.sleep(1 / self.rate)
        await asyncio.gather(*tasks)

    async def _one(self):
        began = time.monotonic()
        writer = None
        try:
            async with asyncio.timeout(self.timeout):
                reader, writer = await asyncio.open_connection(self.place[1], self.place[2])
                name = (await reader.readline()).decode().split()
                if not name:
                    raise ConnectionResetError(errno.ECONNRESET, "closed at once")
                self.names[name[0]] = self.names.get(name[0], 0) + 1
                self.worst = max(self.worst, time.monotonic() - began)
        except (OSError, TimeoutError) as error:
            self.failed.append([round(began - self._began, 3), _name(error)])
        finally:
            if writer:
                writer.transport.abort()

    def seconds(self):
        """Since it began; failures say when their requests began by this clock."""
        return time.monotonic() - self._began

    def end(self):
        self._stop.set()
        self._thread.join()
        return {
            "sent": self.sent,
            "failed": self.failed,
            "names": self.names,
            "worst_ms": self.worst * 1000,
        }


class Stream:
    """Datagrams at a steady rate on one flow, each of which wants an answer.

    Never more than `WINDOW` are on their way, so that nothing overflows where a program stands still.
    """

    WINDOW = 64

    def __init__(self, to):
        self.pause, self.sent, self.answered = 1 / to["rate"], 0, 0
        self._sock = _socket(to["place"], None)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _answer(self, seconds):
        self._sock.settimeout(max(seconds, 1e-6))
        try:
            self._sock.recv(200)
            self.answered += 1
        except TimeoutError:
            return False
        return True

    def _run(self):
        due = time.monotonic()
        while not self._stop.is_set():
            left = due - time.monotonic()
            if left > 0 or self.sent - self.answered >= self.WINDOW:
                self._answer(left if left > 0 else SLOW_S)
                continue
            self._sock.send(b"who?")
            self.sent += 1
            due = max(due + self.pause, time.monotonic())
        while self.answered < self.sent and self._answer(SLOW_S):
            pass
        self._sock.close()

    def end(self):
        self._stop.set()
        self._thread.join()
        return {"sent": self.sent, "answered": self.answered}


def stream(to):
    """Begins a Stream; stream_state() says how many were sent, stream_end() how many were answered."""
    number = next(_numbers)
    _open[number] = Stream(to)
    return number


def stream_state(number):
    return _open[number].sent


def stream_end(number):
    return _open.pop(number).end()


def load(to):
    number = next(_numbers)
    _open[number] = Load(to)
    return number


def load_state(number):
    running = _open[number]
    return {
        "seconds": running.seconds(),
        "sent": running.sent,
        "failed": len(running.failed),
        "names": running.names,
    }


def load_end(number):
    return _open.pop(number).end()


def _checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def syn_flood(to):
    """`count` SYNs to an IPv4 place from sources that do not exist, of 198.18.0.0/15."""
    target, port = socket.inet_aton(to["place"][1]), to["place"][2]
    random.seed(1)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        for _ in range(to["count"]):
            source = struct.pack("!I", (198 << 24 | 18 << 16) + random.randrange(1 << 17))
            fields = [random.randrange(1024, 65536), port, random.getrandbits(32)]
            fields += [0, 5 << 12 | 2, 64240]  # no data, SYN
            pseudo = source + target + struct.pack("!HH", 6, 20)
            total = _checksum(pseudo + struct.pack("!HHIIHHHH", *fields, 0, 0))
            segment = struct.pack("!HHIIHHHH", *fields, total, 0)
            header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, source, target)
            raw.sendto(header + segment, (to["place"][1], 0))
    return to["count"]


peer.OPERATIONS.update(
    {
        f.__name__: f
        for f in (
            *(ask, batch, connect, again, ended, close, syn_flood),
            *(load, load_state, load_end, stream, stream_state, stream_end),
        )
    }
)

if __name__ == "__main__":
    peer.commands()
