# SPDX-License-Identifier: Apache-2.0
"""Keeps as many pods of a ReplicaSet as it asks for, and its status."""
import copy
from urllib.parse import quote

from ..client import WorkQueue, path
from .endpointslices import pod_is_ready


def owner_of(obj):
    return next(
        (r for r in obj["metadata"].get("ownerReferences") or [] if r.get("controller")), None
    )


def selector_text(selector):
    return ",".join(f"{k}={v}" for k, v in sorted((selector.get("matchLabels") or {}).items()))


class ReplicaSets:
    def __init__(self, client, informers):
        self.client, self.sets, self.pods = client, informers["ReplicaSet"], informers["Pod"]
        self.queue = WorkQueue("replicasets", self.reconcile)
        self.sets.listen(lambda old, new: self.queue.add(self._key(new or old)))
        self.pods.listen(self._pod)

    def start(self):
        self.queue.start()

    @staticmethod
    def _key(obj):
        return (obj["metadata"]["namespace"], obj["metadata"]["name"])

    def _pod(self, old, new):
        ref = owner_of(new or old)
        if ref and ref["kind"] == "ReplicaSet":
            self.queue.add(((new or old)["metadata"]["namespace"], ref["name"]))

    def _own_pods(self, rs):
        """Asked of the API: an informer that lags would make us create too many."""
        query = "?labelSelector=" + quote(selector_text(rs["spec"]["selector"]))
        items = self.client.request("GET", path("Pod", rs["metadata"]["namespace"]) + query)[
            "items"
        ]
        return [
            p
            for p in items
            if (owner_of(p) or {}).get("uid") == rs["metadata"]["uid"]
            and p["status"].get("phase") not in ("Succeeded", "Failed")
        ]

    def reconcile(self, key):
        rs = self.client.get("ReplicaSet", *key)
        if rs is None:
            return
        pods = [p for p in self._own_pods(rs) if not p["metadata"].get("deletionTimestamp")]
        missing = rs["spec"]["replicas"] - len(pods)
        if not rs["metadata"].get("deletionTimestamp"):
            for _ in range(max(0, missing)):
                pods.append(self.client.create("Pod", key[0], self._new_pod(rs)))
            if missing < 0:
                pods = self._remove(pods, -missing)
        self._status(rs, pods)

    @staticmethod
    def _new_pod(rs):
        template = copy.deepcopy(rs["spec"]["template"])
        meta = template.get("metadata") or {}
        owner = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": rs["metadata"]["name"],
            "uid": rs["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "spec": template["spec"],
            "metadata": {
                "generateName": rs["metadata"]["name"] + "-",
                "labels": meta.get("labels") or {},
                "annotations": meta.get("annotations") or {},
                "ownerReferences": [owner],
            },
        }

    def _remove(self, pods, count):
        """Pods that serve least go first: unscheduled, not ready, youngest."""
        order = sorted(pods, key=lambda p: p["metadata"]["creationTimestamp"], reverse=True)
        order.sort(key=lambda p: (bool(p["spec"].get("nodeName")), pod_is_ready(p)))
        for pod in order[:count]:
            self.client.delete("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"])
        return order[count:]

    def _status(self, rs, pods):
        ready = sum(pod_is_ready(p) for p in pods)
        status = {
            "replicas": len(pods),
            "fullyLabeledReplicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "observedGeneration": rs["metadata"]["generation"],
        }
        if rs.get("status") != status:
            self.client.update("ReplicaSet", {**rs, "status": status}, "status")
