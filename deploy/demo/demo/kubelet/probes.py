# SPDX-License-Identifier: Apache-2.0
"""Readiness, liveness and startup probes, run from the node as kubelet does; exec ones in the pod."""
import http.client
import socket
import subprocess
import threading


def _port(probe_port, container):
    if isinstance(probe_port, int):
        return probe_port
    for port in container.get("ports") or []:
        if port.get("name") == probe_port:
            return port["containerPort"]
    return int(probe_port)


def check(probe, container, address, exec_prefix):
    """One attempt; True when it succeeded."""
    timeout = probe.get("timeoutSeconds", 1)
    try:
        if "tcpSocket" in probe:
            socket.create_connection(
                (address, _port(probe["tcpSocket"]["port"], container)), timeout
            ).close()
            return True
        if "httpGet" in probe:
            get = probe["httpGet"]
            connection = http.client.HTTPConnection(
                get.get("host") or address, _port(get["port"], container), timeout=timeout
            )
            headers = {h["name"]: h["value"] for h in get.get("httpHeaders") or []}
            try:
                connection.request("GET", get.get("path", "/"), headers=headers)
                return 200 <= connection.getresponse().status < 400
            finally:
                connection.close()
        command = exec_prefix + probe["exec"]["command"]
        return (
            subprocess.run(
                command,
                timeout=timeout,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ).returncode
            == 0
        )
    except (OSError, ValueError, KeyError, http.client.HTTPException, subprocess.TimeoutExpired):
        return False


class Prober:
    """A thread that calls report(bool) when the probe's verdict changes, until stop()."""

    def __init__(self, probe, attempt, report):
        self.probe, self._attempt, self._report = probe, attempt, report
        self._stopped = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self):
        self._stopped.set()

    def _run(self):
        period = self.probe.get("periodSeconds", 10)
        limits = {
            True: self.probe.get("successThreshold", 1),
            False: self.probe.get("failureThreshold", 3),
        }
        verdict, last, streak = None, None, 0
        if self._stopped.wait(self.probe.get("initialDelaySeconds", 0)):
            return
        while True:
            result = self._attempt()
            streak = streak + 1 if result == last else 1
            last = result
            if self._stopped.is_set():
                return
            if result != verdict and streak >= limits[result]:
                verdict = result
                self._report(result)
            # A pod that starts is asked more often than its period says, so that it is ready soon.
            if self._stopped.wait(period if verdict is not None else min(period, 0.2)):
                return
