# SPDX-License-Identifier: Apache-2.0
"""A demo cluster for tests: brought up under a name of its own, and taken down whatever happens.

Helpers (`peer()`, `client()`) are long-lived processes in a pod, on a node, or outside; see peer.py
and clients.py.
"""
import base64
import itertools
import json
import os
import queue
import shutil
import subprocess
import threading
import time

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.dirname(os.path.dirname(HERE))
DEMO = os.path.join(REPO, "deploy", "demo", "netloom-demo")
PYTHON = "/usr/bin/python3"
_numbers = itertools.count(1)
_never = threading.Event()


def build_dir():
    return os.path.abspath(
        os.environ.get("O") or os.environ.get("NETLOOM_BUILD") or os.path.join(REPO, "build")
    )


def missing():
    """Why no cluster can be had here, or None."""
    if os.geteuid() != 0:
        return "needs root: network namespaces"
    for program in ("etcd", "kubectl", "ip", "nsenter", "openssl", "curl"):
        if not shutil.which(program):
            return f"needs {program}"
    for binary in ("netloom-agent", "netloom-ksr", "netloom-cni", "netloom"):
        if not os.access(os.path.join(build_dir(), binary), os.X_OK):
            return f"{binary} is not built in {build_dir()}"
    return None


def poll(condition, seconds, what, every=0.05):
    """The condition's first true value, or an AssertionError that says what did not happen."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert (
            time.monotonic() < deadline
        ), f"not within {seconds} s: {what() if callable(what) else what}"
        _never.wait(every)
    return value


class Peer:
    """A helper process. call() returns a future-like that result() waits for."""

    def __init__(self, argv):
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._numbers = itertools.count(1)
        self._answers = {0: queue.Queue()}
        self._lock = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()
        self.result(0)

    def _read(self):
        for line in self._process.stdout:
            answer = json.loads(line)
            self._answers[answer["id"]].put(answer)

    def call(self, op, to):
        with self._lock:
            number = next(self._numbers)
            self._answers[number] = queue.Queue()
            self._process.stdin.write(json.dumps({"id": number, "op": op, "to": to}) + "\n")
        return number

    def result(self, number, seconds=60):
        """(value, None) or (None, error)."""
        try:
            answer = self._answers[number].get(timeout=seconds)
        except queue.Empty:
            return None, "the helper gave no answer"
        del self._answers[number]
        return answer.get("value"), answer.get("error")

    def ask(self, op, to):
        return self.result(self.call(op, to))

    def close(self):
        self._process.stdin.close()
        self._process.kill()
        self._process.wait()


class Cluster:
    def __init__(self, *up_options):
        self.name = f"t{os.getpid()}-{next(_numbers)}"
        self._options = up_options
        self._peers = {}
        self._processes = []

    def demo(self, *args, check=True, stdin=None, timeout=300):
        done = subprocess.run(
            [DEMO, "--name", self.name, *args],
            input=stdin,
            text=True,
            check=False,
            timeout=timeout,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
        )
        assert (
            not check or done.returncode == 0
        ), f"netloom-demo {' '.join(args)}: {done.stdout}{done.stderr}"
        return done

    def start(self, *args):
        """A command of netloom-demo in the background; ended with the cluster."""
        process = subprocess.Popen(
            [DEMO, "--name", self.name, *args],
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._processes.append(process)
        return process

    def __enter__(self):
        if reason := missing():
            pytest.skip(reason)
        try:
            self.demo("up", "--timeout", "240", *self._options)
        except BaseException:
            self.demo("down", check=False)
            raise
        return self

    def __exit__(self, *exc):
        for peer in self._peers.values():
            peer.close()
        for process in self._processes:
            process.kill()
            process.communicate()
        self.demo("down")

    def kubectl(self, *args, check=True, stdin=None):
        return self.demo("kubectl", *args, check=check, stdin=stdin).stdout

    def get(self, kind, *args):
        return json.loads(self.kubectl("get", kind, *args, "-o", "json"))

    def apply(self, *objects):
        self.kubectl(
            "apply",
            "-f",
            "-",
            stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
        )

    def node(self, node, *argv, check=True):
        return self.demo("node", node, "--", *argv, check=check).stdout

    def exec(self, pod, *argv, check=True):
        return self.demo("exec", f"default/{pod}", "--", *argv, check=check).stdout

    def pods(self, *pods, seconds=120):
        """Creates (name, node) pods and waits until they are ready."""
        self.apply(*(pod(name, node) for name, node in pods))
        self.ready(*(name for name, _ in pods), seconds=seconds)

    def ready(self, *names, seconds=120, namespace="default"):
        """Waits for pods; those that are not ready in time are told with what their containers said."""
        wait = ["--for=condition=Ready", f"--timeout={seconds}s", *(f"pod/{n}" for n in names)]
        try:
            self.kubectl("wait", "-n", namespace, *wait)
        except AssertionError as error:
            pods = [self.get("pod", "-n", namespace, name) for name in names]
            late = [p for p in pods if not is_ready(p)]
            states = [(p["metadata"]["name"], p["status"], self._pod_logs(p)) for p in late]
            raise AssertionError(f"{error}\n{json.dumps(states)}") from None

    def _pod_logs(self, one):
        """The last of what its containers wrote, by container."""
        folder = f"/run/netloom-demo/{self.name}/logs/{one['metadata']['uid']}"
        texts = {}
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as log:
                texts[name] = log.read()[-2000:]
        return texts

    def delete(self, *names):
        self.kubectl("delete", "pod", "--grace-period=0", "--wait", *names)

    def ips(self, name):
        return [i["ip"] for i in self.get("pod", name)["status"].get("podIPs", [])]

    def peer(self, where, program="peer.py"):
        """The helper on a node ("node1"), outside ("external"), or in a pod (any other name, also
        "namespace/name")."""
        if (where, program) not in self._peers:
            if where == "external":
                prefix = ["external", "--"]
            elif where.startswith("node"):
                prefix = ["node", where, "--"]
            else:
                prefix = ["exec", where if "/" in where else f"default/{where}", "--"]
            self._peers[where, program] = Peer(
                [DEMO, "--name", self.name, *prefix, PYTHON, os.path.join(HERE, program)]
            )
        return self._peers[where, program]

    def part(self, where):
        """Ends the helpers there, of a pod that goes."""
        for key in [key for key in self._peers if key[0] == where]:
            self._peers.pop(key).close()

    def client(self, where):
        """The helper that asks services; see clients.py."""
        return self.peer(where, "clients.py")

    def services(self, node):
        """What the node's agent says of its services: (namespace, name) -> object."""
        socket = ["--unix-socket", "/run/netloom/agent.sock"]
        out = self.node(node, "curl", "-fsS", "-m30", *socket, "http://agent/v1/services")
        return {(s["namespace"], s["name"]): s for s in json.loads(out)}

    def etcd(self, prefix):
        """Keys below `prefix` as they are in etcd: name -> object."""
        out = self.node("control", "etcdctl", "get", "--prefix", prefix, "-w", "json")
        return {
            base64.b64decode(kv["key"]).decode(): json.loads(base64.b64decode(kv["value"]))
            for kv in json.loads(out).get("kvs", [])
        }


def is_ready(one):
    found = one["status"].get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in found)


def pod(name, node=None, **spec):
    """A pod with nothing but an address."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            **({"nodeName": node} if node else {}),
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": "pause"}],
            **spec,
        },
    }


def backend(name, node=None, port=8080, drain=0, **spec):
    """A pod that serves whoami.py."""
    command = [PYTHON, os.path.join(HERE, "whoami.py"), name, str(port), str(drain)]
    probe = {"tcpSocket": {"port": port}, "periodSeconds": 1, "timeoutSeconds": 10}
    container = {"name": "main", "image": "python", "command": command, "readinessProbe": probe}
    container["ports"] = [{"name": "web", "containerPort": port}]
    return pod(name, node, **{"containers": [container], **spec})


def service(name, selector=None, ports=None, **spec):
    """Dual stack, TCP and UDP port 80 to 8080 of the pods with the label app=NAME."""
    if ports is None:
        ports = [
            {"name": p.lower(), "protocol": p, "port": 80, "targetPort": 8080}
            for p in ("TCP", "UDP")
        ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {
            "selector": {"app": name} if selector is None else selector,
            "ipFamilyPolicy": "RequireDualStack",
            "ports": ports,
            **spec,
        },
    }
