# SPDX-License-Identifier: Apache-2.0
"""The stand-in of kubelet, as a process inside of a node's network and mount namespaces."""
import argparse
import http.client
import os
import platform
import signal
import threading
import time

from ..client import Client, Failure, Informer, WorkQueue
from .cni import find_config
from .container import stamp
from .pod import PodWorker, delete_from_api

LEASE_SECONDS = 40
UNREACHABLE = (Failure, OSError, http.client.HTTPException)


class Kubelet:
    def __init__(self, client, name, zone, addresses, pod_dir, log_dir):
        self.client, self.name, self.zone, self.addresses = client, name, zone, addresses
        self.pod_dir, self.log_dir = pod_dir, log_dir
        self._workers = {}
        self._lock = threading.Lock()
        self._gone = WorkQueue("finished", self._finish)
        self._node_ready = None

    @staticmethod
    def log(text):
        print(text, flush=True)

    def run(self):
        os.makedirs(self.pod_dir, exist_ok=True)
        os.makedirs(self.log_dir, exist_ok=True)
        self._retry(self._register)
        threading.Thread(target=self._lease_loop, daemon=True).start()
        self._gone.start()
        Informer(self.client, "Pod", fieldSelector=f"spec.nodeName={self.name}").listen(
            self._pod
        ).start()
        while True:
            self._node_status()
            time.sleep(0.25)

    def _retry(self, function):
        while True:
            try:
                return function()
            except UNREACHABLE as error:
                self.log(f"{function.__name__}: {error}")
                time.sleep(0.5)

    # The node.
    def _register(self):
        labels = {
            "kubernetes.io/hostname": self.name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "topology.kubernetes.io/zone": self.zone,
        }
        try:
            self.client.create(
                "Node", None, {"metadata": {"name": self.name, "labels": labels}, "spec": {}}
            )
        except Failure as error:
            if error.reason != "AlreadyExists":
                raise

    def _node_status(self):
        ready = find_config() is not None
        if ready == self._node_ready:
            return
        addresses = [{"type": "InternalIP", "address": a} for a in self.addresses]
        addresses.append({"type": "Hostname", "address": self.name})
        why = (
            ("KubeletReady", "kubelet is posting ready status")
            if ready
            else (
                "KubeletNotReady",
                "container runtime network not ready: cni config uninitialized",
            )
        )
        capacity = {"cpu": str(os.cpu_count()), "memory": "4Gi", "pods": "250"}
        status = {
            "addresses": addresses,
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True" if ready else "False",
                    "reason": why[0],
                    "message": why[1],
                    "lastHeartbeatTime": stamp(),
                    "lastTransitionTime": stamp(),
                }
            ],
            "nodeInfo": {
                "kubeletVersion": "v1.32.0+netloom-demo",
                "operatingSystem": "linux",
                "architecture": "amd64",
                "kernelVersion": platform.release(),
                "osImage": "network namespace",
                "containerRuntimeVersion": "demo://1",
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
                "kubeProxyVersion": "",
            },
        }
        try:
            self.client.patch("Node", None, self.name, {"status": status}, "status")
            self._node_ready = ready
        except UNREACHABLE as error:
            self.log(f"node status: {error}")

    def _lease_loop(self):
        while True:
            now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
            spec = {
                "holderIdentity": self.name,
                "leaseDurationSeconds": LEASE_SECONDS,
                "renewTime": now,
            }
            try:
                self.client.patch("Lease", "kube-node-lease", self.name, {"spec": spec})
            except Failure:
                try:
                    self.client.create(
                        "Lease", "kube-node-lease", {"metadata": {"name": self.name}, "spec": spec}
                    )
                except UNREACHABLE as error:
                    self.log(f"lease: {error}")
            except UNREACHABLE:
                pass
            time.sleep(LEASE_SECONDS / 4)

    # Pods.
    def _pod(self, old, new):
        pod = new or old
        with self._lock:
            worker = self._workers.get(pod["metadata"]["uid"])
            if new is None:
                if worker:
                    worker.end(0)
                return
            if old and old["metadata"]["uid"] != new["metadata"]["uid"]:
                replaced = self._workers.get(old["metadata"]["uid"])
                if replaced:
                    replaced.end(0)
            if worker is None:
                worker = self._workers[pod["metadata"]["uid"]] = PodWorker(self, new)
                worker.start()
            else:
                worker.update(new)
            if new["metadata"].get("deletionTimestamp"):
                worker.end(new["metadata"].get("deletionGracePeriodSeconds", 30))

    def finished(self, worker):
        self._gone.add(worker.uid)

    def _finish(self, uid):
        worker = self._workers.get(uid)
        if worker:
            delete_from_api(self.client, worker)
            with self._lock:
                self._workers.pop(uid, None)

    def patch_status(self, worker, change):
        """Retried with the newest status while the API server is away, until the pod ends. False: not written."""
        delay = 0.1
        while True:
            try:
                self.client.patch("Pod", worker.namespace, worker.name, change, "status")
                return True
            except Failure as error:
                if error.code in (404, 409, 422):
                    return True  # the pod is gone or another one has its name: the informer tells
                self.log(f"{worker.namespace}/{worker.name}: status: {error}")
            except UNREACHABLE:
                pass
            if worker.wait_ending(delay):
                return False
            delay = min(delay * 2, 2)
            change = {**change, "status": worker.status()}

    def event(self, pod, kind, reason, message):
        self.log(f"{pod['metadata']['namespace']}/{pod['metadata']['name']}: {reason}: {message}")
        meta = pod["metadata"]
        now = stamp()
        try:
            self.client.create(
                "Event",
                meta["namespace"],
                {
                    "metadata": {"generateName": meta["name"] + "."},
                    "type": kind,
                    "reason": reason,
                    "message": message,
                    "count": 1,
                    "firstTimestamp": now,
                    "lastTimestamp": now,
                    "source": {"component": "kubelet", "host": self.name},
                    "involvedObject": {
                        "kind": "Pod",
                        "apiVersion": "v1",
                        "namespace": meta["namespace"],
                        "name": meta["name"],
                        "uid": meta["uid"],
                    },
                },
            )
        except UNREACHABLE:
            pass


def main(argv):
    parser = argparse.ArgumentParser(prog="netloom-demo-kubelet")
    parser.add_argument("--name", required=True)
    parser.add_argument("--zone", required=True)
    parser.add_argument("--address", action="append", required=True)
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--pod-dir", required=True, help="a file per pod, for `netloom-demo exec`")
    parser.add_argument("--log-dir", required=True)
    args = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    client = Client(args.kubeconfig, "kubelet")
    Kubelet(client, args.name, args.zone, args.address, args.pod_dir, args.log_dir).run()
