# SPDX-License-Identifier: Apache-2.0
"""Supervised processes: each in a session of its own, with a file that says how it was started, its
pid and the time the kernel started it, so that a reused pid is never taken for it."""
import json
import os
import signal
import subprocess
import time

from .errors import DemoError


def start_time(pid):
    """The process's start in clock ticks since boot, or None when it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def identity(pid):
    return {"pid": pid, "started": start_time(pid)}


def is_alive(who):
    return bool(who) and who["started"] is not None and start_time(who["pid"]) == who["started"]


def wait_until(condition, seconds, what, interval=0.05):
    """Returns the condition's first true value; DemoError at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise DemoError(f"{what}: not within {seconds:g} s")
        time.sleep(interval)


class Processes:
    def __init__(self, instance):
        self.dir = instance.path("proc")

    def _file(self, name):
        return os.path.join(self.dir, name + ".json")

    def names(self):
        try:
            return sorted(n[:-5] for n in os.listdir(self.dir) if n.endswith(".json"))
        except FileNotFoundError:
            return []

    def read(self, name):
        try:
            with open(self._file(name), encoding="utf-8") as file:
                return json.load(file)
        except (FileNotFoundError, ValueError):
            return None

    def log(self, name):
        return os.path.join(self.dir, name + ".log")

    def alive(self, name):
        return is_alive(self.read(name))

    def define(self, name, argv, cgroup=None, env=None):
        """Says how `name` is started; start() may then be called any number of times."""
        os.makedirs(self.dir, exist_ok=True)
        self._write(
            name, {"argv": argv, "cgroup": cgroup, "env": env or {}, "pid": 0, "started": None}
        )

    def _write(self, name, entry):
        with open(self._file(name) + ".new", "w", encoding="utf-8") as file:
            json.dump(entry, file)
        os.replace(self._file(name) + ".new", self._file(name))

    def start(self, name):
        entry = self.read(name)
        if entry is None:
            raise DemoError(f"no process '{name}'")
        if is_alive(entry):
            raise DemoError(f"{name} runs already (pid {entry['pid']})")

        def enter_cgroup():
            if entry["cgroup"]:
                with open(
                    os.path.join(entry["cgroup"], "cgroup.procs"), "w", encoding="ascii"
                ) as file:
                    file.write("0")

        with open(self.log(name), "ab") as log:
            child = subprocess.Popen(
                entry["argv"],
                env={**os.environ, **entry["env"]},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=enter_cgroup,
            )
        entry.update(identity(child.pid))
        self._write(name, entry)

    def stop(self, name, number=signal.SIGTERM, seconds=15):
        """Signals and waits for the end. True when it had been alive."""
        entry = self.read(name)
        if not is_alive(entry):
            return False
        os.kill(entry["pid"], number)
        try:
            wait_until(
                lambda: self._reaped(entry),
                seconds,
                f"{name} (pid {entry['pid']}): the end after signal {number}",
                0.01,
            )
        except DemoError:
            if number == signal.SIGKILL:
                raise
            os.kill(entry["pid"], signal.SIGKILL)
            raise
        return True

    @staticmethod
    def _reaped(entry):
        try:
            os.waitpid(entry["pid"], os.WNOHANG)  # ours, when it was started by this very command
        except ChildProcessError:
            pass
        return not is_alive(entry)

    def tail(self, name, lines=15):
        try:
            with open(self.log(name), encoding="utf-8", errors="replace") as file:
                return "".join(file.readlines()[-lines:])
        except FileNotFoundError:
            return ""
