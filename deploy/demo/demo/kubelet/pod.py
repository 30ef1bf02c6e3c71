# SPDX-License-Identifier: Apache-2.0
"""A pod on this node, from its appearance to its end, by a thread of its own."""
import json
import os
import secrets
import shutil
import threading
import time
import uuid

from .. import netns
from ..client import Failure
from .cni import CniError, Sandbox
from .container import Container, stamp


OWN_CONDITIONS = (
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodScheduled",
)


class PodSandbox:
    """The network side of a pod: its namespace and addresses, or the node's own."""

    def __init__(self, ips, host_ips, enter, cni=None, path=None):
        self.ips, self.host_ips, self.enter, self.cni, self.path = ips, host_ips, enter, cni, path
        self.id = cni.container_id if cni else secrets.token_hex(32)


def _is_sidecar(spec):
    """An init container that the next ones do not wait for, and that runs as long as the pod."""
    return spec.get("restartPolicy") == "Always"


def _host_ports(pod):
    """As kubelet asks for them: of containers that run as long as the pod does."""
    sidecars = [c for c in pod["spec"].get("initContainers") or [] if _is_sidecar(c)]
    return [
        {
            "hostPort": p["hostPort"],
            "containerPort": p["containerPort"],
            "protocol": p.get("protocol", "TCP").lower(),
            "hostIP": p.get("hostIP", ""),
        }
        for c in sidecars + pod["spec"]["containers"]
        for p in c.get("ports") or []
        if p.get("hostPort")
    ]


class PodWorker:
    def __init__(self, kubelet, pod):
        self.kubelet, self.pod = kubelet, pod
        meta = pod["metadata"]
        self.namespace, self.name, self.uid = meta["namespace"], meta["name"], meta["uid"]
        self._changed = threading.Event()
        self._ending = threading.Event()
        self._grace = None
        self._sandbox = None
        self._init, self._containers = [], []
        self._started_at = stamp()
        self._conditions = {}
        self._sent = None
        self._file = os.path.join(kubelet.pod_dir, f"{self.namespace}_{self.name}.json")
        self._logs = os.path.join(kubelet.log_dir, self.uid)
        self._thread = threading.Thread(target=self._run, name=f"pod-{self.name}", daemon=True)

    def start(self):
        self._thread.start()

    def update(self, pod):
        """Others may have set conditions: readiness gates, and Ready while this node was away."""
        conditions = pod["status"].get("conditions")
        if self.pod["status"].get("conditions") != conditions:
            self.pod = pod
            if self._sent and self._sent["conditions"] != conditions:
                self._sent = None
            self._changed.set()

    def end(self, grace):
        self._grace = grace if self._grace is None else min(grace, self._grace)
        if self._ending.is_set():
            for container in self._init + self._containers:
                container.shorten(grace)
        self._ending.set()
        self._changed.set()

    def wait_ending(self, seconds):
        return self._ending.wait(seconds)

    def _run(self):
        try:
            self._report()
            if self._make_sandbox() and self._run_init():
                self._run_containers()
            self._ending.wait()
        finally:
            self._tear_down()

    # Sandbox.
    def _make_sandbox(self):
        delay = 0.1
        while not self._ending.is_set():
            try:
                self._sandbox = self._try_sandbox()
                self._remember()
                self._report()
                return True
            except (CniError, OSError) as error:
                self.kubelet.event(self.pod, "Warning", "FailedCreatePodSandBox", str(error))
                self._ending.wait(delay)
                delay = min(delay * 2, 3)
        return False

    def _try_sandbox(self):
        hosts = self.kubelet.addresses
        if self.pod["spec"].get("hostNetwork"):
            return PodSandbox(hosts, hosts, [])
        path = f"/var/run/netns/cni-{uuid.uuid4()}"
        netns.create(path)
        cni = Sandbox(secrets.token_hex(32), path, self.pod, _host_ports(self.pod))
        try:
            ips = cni.add()
        except CniError:
            self._delete_cni(cni, 1)
            netns.remove(path)
            raise
        return PodSandbox(ips, hosts, ["nsenter", f"--net={path}", "--"], cni, path)

    def _delete_cni(self, cni, attempts):
        delay = 0.2
        for attempt in range(attempts):
            try:
                cni.delete()
                return
            except CniError as error:
                self.kubelet.log(f"{self.namespace}/{self.name}: {error}")
                if attempt + 1 < attempts:
                    time.sleep(delay)
                    delay = min(delay * 2, 5)

    def _remember(self):
        """For `netloom-demo exec`."""
        facts = {
            "namespace": self.namespace,
            "name": self.name,
            "uid": self.uid,
            "node": self.kubelet.name,
            "netns": self._sandbox.path,
            "ips": self._sandbox.ips,
            "containerID": self._sandbox.id,
            "env": {"HOSTNAME": self.name},
        }
        with open(self._file + ".new", "w", encoding="utf-8") as file:
            json.dump(facts, file)
        os.replace(self._file + ".new", self._file)

    # Containers.
    def _new(self, spec):
        os.makedirs(self._logs, exist_ok=True)
        return Container(
            spec,
            self.pod,
            self._sandbox,
            os.path.join(self._logs, spec["name"] + ".log"),
            self._changed.set,
        )

    def _new_init(self, spec):
        policy = "Always" if _is_sidecar(spec) else "OnFailure"
        if not _is_sidecar(spec):
            spec = {k: v for k, v in spec.items() if not k.endswith("Probe")}
        container = self._new(spec)
        container.pod = {**self.pod, "spec": {**self.pod["spec"], "restartPolicy": policy}}
        return container

    def _sidecars(self):
        return [c for c in self._init if _is_sidecar(c.spec)]

    @staticmethod
    def _init_done(container):
        if _is_sidecar(container.spec):
            return "running" in container.state or bool(container.last_state)
        return container.exit_code is not None

    def _run_init(self):
        for spec in self.pod["spec"].get("initContainers") or []:
            container = self._new_init(spec)
            self._init.append(container)
            container.start()
            while not self._init_done(container) and not self._ending.is_set():
                self._changed.wait()
                self._changed.clear()
                self._report()
        return not self._ending.is_set()

    def _run_containers(self):
        self._containers = [self._new(spec) for spec in self.pod["spec"]["containers"]]
        for container in self._containers:
            container.start()
        while not self._ending.is_set():
            self._report()
            if all(c.exit_code is not None for c in self._containers):
                self._stop_sidecars(self.pod["spec"].get("terminationGracePeriodSeconds", 30))
            self._changed.wait()
            self._changed.clear()

    def _stop_sidecars(self, grace):
        """The last one first, each when the one before is gone."""
        deadline = time.monotonic() + grace
        for container in reversed(self._sidecars()):
            container.stop(max(0, deadline - time.monotonic()))

    def _tear_down(self):
        grace = self._grace or 0
        deadline = time.monotonic() + grace
        self._report()
        first = [c for c in self._init if not _is_sidecar(c.spec)] + self._containers
        stops = [threading.Thread(target=c.stop, args=(grace,)) for c in first]
        for thread in stops:
            thread.start()
        for thread in stops:
            thread.join()
        self._stop_sidecars(max(0, deadline - time.monotonic()))
        if self._sandbox and self._sandbox.cni:
            self._delete_cni(self._sandbox.cni, 10)
            netns.remove(self._sandbox.path)
        try:
            os.unlink(self._file)
        except FileNotFoundError:
            pass
        shutil.rmtree(self._logs, ignore_errors=True)
        self.kubelet.finished(self)

    # Status.
    def _phase(self):
        codes = [c.exit_code for c in self._containers]
        if self._containers and all(c is not None for c in codes) and not self._ending.is_set():
            return "Succeeded" if not any(codes) else "Failed"
        return (
            "Running"
            if any("running" in c.state or c.restarts or c.last_state for c in self._containers)
            else "Pending"
        )

    def _condition(self, kind, true, reason=""):
        before = self._conditions.get(kind)
        status = "True" if true else "False"
        if before is None or before["status"] != status:
            before = {
                "type": kind,
                "status": status,
                "lastProbeTime": None,
                "lastTransitionTime": stamp(),
            }
        before = {k: v for k, v in before.items() if k != "reason"}
        if reason and not true:
            before["reason"] = reason
        self._conditions[kind] = before
        return before

    def status(self):
        phase = self._phase()
        started = (
            bool(self._containers)
            and all(c.ready for c in self._containers + self._sidecars())
            and phase == "Running"
        )
        foreign = [
            c for c in self.pod["status"].get("conditions") or [] if c["type"] not in OWN_CONDITIONS
        ]
        true = {c["type"] for c in foreign if c["status"] == "True"}
        gates = {g["conditionType"] for g in self.pod["spec"].get("readinessGates") or []}
        ready = started and gates <= true
        initialized = all(
            self._init_done(c) if _is_sidecar(c.spec) else c.exit_code == 0 for c in self._init
        ) and len(self._init) == len(self.pod["spec"].get("initContainers") or [])
        why = "PodCompleted" if phase == "Succeeded" else "ContainersNotReady"
        not_ready = "ReadinessGatesNotReady" if started else why
        conditions = [
            self._condition("PodReadyToStartContainers", self._sandbox is not None),
            self._condition("Initialized", initialized, "ContainersNotInitialized"),
            self._condition("Ready", ready, not_ready),
            self._condition("ContainersReady", started, why),
            self._condition("PodScheduled", True),
            *foreign,
        ]
        status = {
            "phase": phase,
            "conditions": conditions,
            "startTime": self._started_at,
            "qosClass": "BestEffort",
            "hostIP": self.kubelet.addresses[0],
            "hostIPs": [{"ip": a} for a in self.kubelet.addresses],
        }
        if self._sandbox:
            status.update(podIP=self._sandbox.ips[0], podIPs=[{"ip": a} for a in self._sandbox.ips])
        waiting = {"waiting": {"reason": "ContainerCreating"}}
        blank = [
            {
                "name": c["name"],
                "image": c["image"],
                "imageID": "",
                "ready": False,
                "started": False,
                "restartCount": 0,
                "state": waiting,
                "lastState": {},
            }
            for c in self.pod["spec"]["containers"]
        ]
        status["containerStatuses"] = [c.status() for c in self._containers] or blank
        if self._init:
            status["initContainerStatuses"] = [c.status() for c in self._init]
        return status

    def _report(self):
        status = self.status()
        if status == self._sent:
            return
        if self.kubelet.patch_status(self, {"metadata": {"uid": self.uid}, "status": status}):
            self._sent = status


def delete_from_api(client, worker):
    try:
        client.delete(
            "Pod",
            worker.namespace,
            worker.name,
            gracePeriodSeconds=0,
            preconditions={"uid": worker.uid},
        )
    except Failure as error:
        if error.code not in (404, 409):
            raise
