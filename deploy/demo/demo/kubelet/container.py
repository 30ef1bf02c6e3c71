# SPDX-License-Identifier: Apache-2.0
"""A container: a process in the pod's network namespace, restarted as its pod asks, with probes."""
import os
import re
import signal
import subprocess
import threading
import time
from datetime import datetime, timezone

from .probes import Prober, check

PAUSE = ["/bin/sleep", "infinity"]


def stamp():
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _field(path, pod, ips, host_ips):
    known = {
        "status.podIP": ips[0] if ips else "",
        "status.podIPs": ",".join(ips),
        "metadata.name": pod["metadata"]["name"],
        "status.hostIP": host_ips[0],
        "status.hostIPs": ",".join(host_ips),
        "metadata.uid": pod["metadata"]["uid"],
        "metadata.namespace": pod["metadata"]["namespace"],
        "spec.nodeName": pod["spec"]["nodeName"],
    }
    found = re.match(r"metadata\.(labels|annotations)\['(.*)'\]$", path)
    if found:
        return (pod["metadata"].get(found[1]) or {}).get(found[2], "")
    return known.get(path, "")


def environment(container, pod, ips, host_ips):
    env = {"PATH": os.environ["PATH"], "HOME": "/root", "HOSTNAME": pod["metadata"]["name"]}
    for entry in container.get("env") or []:
        source = (entry.get("valueFrom") or {}).get("fieldRef")
        value = (
            _field(source["fieldPath"], pod, ips, host_ips) if source else entry.get("value", "")
        )
        env[entry["name"]] = _expand(value, env)
    return env


def _expand(text, env):
    return re.sub(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)", lambda m: env.get(m[1], m[0]), text)


class Container:
    """`changed` is called, from any thread, whenever the status may differ."""

    def __init__(self, spec, pod, sandbox, log_path, changed):
        self.spec, self.pod, self.sandbox, self._log_path, self._changed = (
            spec,
            pod,
            sandbox,
            log_path,
            changed,
        )
        self.ready = False
        self.restarts = 0
        self.state = {"waiting": {"reason": "ContainerCreating"}}
        self.last_state = {}
        self.exit_code = None  # set once it will not be started again
        self._process = None
        self._probers = []
        self._stopping = threading.Event()
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self._thread.start()

    def wait(self):
        self._thread.join()

    def _command(self):
        env = environment(self.spec, self.pod, self.sandbox.ips, self.sandbox.host_ips)
        own = (self.spec.get("command") or []) + (self.spec.get("args") or [])
        own = [_expand(part, env) for part in own] if self.spec.get("command") else PAUSE
        return self.sandbox.enter + own, env

    def _run(self):
        delay, policy = 1, self.pod["spec"]["restartPolicy"]
        while not self._stopping.is_set():
            began = time.monotonic()
            code = self._once()
            if self._stopping.is_set() or policy == "Never" or policy == "OnFailure" and code == 0:
                self.exit_code = code
                self._changed()
                return
            delay = 1 if time.monotonic() - began > 60 else delay
            self.last_state, self.state = self.state, {"waiting": {"reason": "CrashLoopBackOff"}}
            self._changed()
            self._stopping.wait(delay)
            delay = min(delay * 2, 30)
            self.restarts += 1

    def _once(self):
        command, env = self._command()
        try:
            with open(self._log_path, "ab") as log:
                self._process = subprocess.Popen(
                    command,
                    env=env,
                    cwd=self.spec.get("workingDir") or "/",
                    stdout=log,
                    stderr=log,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
        except OSError as error:
            self.state = {
                "terminated": {
                    "exitCode": 128,
                    "reason": "StartError",
                    "message": str(error),
                    "finishedAt": stamp(),
                }
            }
            return 128
        started = stamp()
        self.state = {"running": {"startedAt": started}}
        self.ready = not self.spec.get("readinessProbe")
        self._changed()
        self._start_probes()
        if self._stopping.is_set():  # stop() may have come before there was a process
            self._signal(signal.SIGTERM)
        code = self._process.wait()
        for prober in self._probers:
            prober.stop()
        self.ready = False
        code = 128 - code if code < 0 else code
        self.state = {
            "terminated": {
                "exitCode": code,
                "reason": "Completed" if code == 0 else "Error",
                "startedAt": started,
                "finishedAt": stamp(),
            }
        }
        return code

    def _start_probes(self):
        self._probers = []
        for name, report in (
            ("readinessProbe", self._set_ready),
            ("livenessProbe", self._set_live),
        ):
            probe = self.spec.get(name)
            if probe:
                self._probers.append(
                    Prober(
                        probe,
                        lambda probe=probe: check(
                            probe, self.spec, self.sandbox.ips[0], self.sandbox.enter
                        ),
                        report,
                    )
                )

    def _set_ready(self, ready):
        self.ready = ready
        self._changed()

    def _set_live(self, live):
        if not live:
            self._signal(signal.SIGKILL)

    def _signal(self, number):
        process = self._process
        if process and process.poll() is None:
            try:
                os.killpg(process.pid, number)
            except ProcessLookupError:
                pass

    def shorten(self, grace):
        """Whoever deletes a pod once more may have less patience."""
        self._deadline = min(self._deadline, time.monotonic() + grace)

    def _wait_until(self, deadline):
        """For the end of the process; the deadline for all may come nearer meanwhile."""
        while self._thread.is_alive():
            left = min(deadline, self._deadline) - time.monotonic()
            if left <= 0:
                return
            self._thread.join(min(left, 0.1))

    def _pre_stop(self, seconds):
        hook = (self.spec.get("lifecycle") or {}).get("preStop")
        if not hook or "running" not in self.state:
            return
        if "sleep" in hook:
            self._wait_until(time.monotonic() + hook["sleep"].get("seconds", 0))
        else:
            check(
                {**hook, "timeoutSeconds": seconds},
                self.spec,
                self.sandbox.ips[0],
                self.sandbox.enter,
            )

    def stop(self, grace):
        """The preStop hook, SIGTERM, and SIGKILL after `grace` seconds; returns when it is gone."""
        self.shorten(grace)
        self._stopping.set()
        if grace:
            self._pre_stop(grace)
        self._signal(signal.SIGTERM)
        self._wait_until(self._deadline)
        if self._thread.is_alive():
            self._signal(signal.SIGKILL)
            self._thread.join()
        self._signal(signal.SIGKILL)

    def status(self):
        return {
            "name": self.spec["name"],
            "image": self.spec["image"],
            "imageID": "",
            "ready": self.ready,
            "started": "running" in self.state,
            "restartCount": self.restarts,
            "state": self.state,
            "lastState": self.last_state,
            "containerID": f"demo://{self.sandbox.id}-{self.spec['name']}",
        }
