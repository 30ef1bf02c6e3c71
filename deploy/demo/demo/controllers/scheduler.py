# SPDX-License-Identifier: Apache-2.0
"""Binds pods to nodes: nodeSelector, taints, readiness; then fewest pods of the same owner, then fewest pods."""
from ..client import WorkQueue, path


def _owner(pod):
    refs = pod["metadata"].get("ownerReferences") or []
    return refs[0]["uid"] if refs else None


def _tolerates(pod, taint):
    for tol in pod["spec"].get("tolerations") or []:
        if tol.get("effect") not in (None, "", taint["effect"]):
            continue
        if tol.get("operator") == "Exists" and tol.get("key") in (None, "", taint["key"]):
            return True
        if tol.get("key") == taint["key"] and tol.get("value", "") == taint.get("value", ""):
            return True
    return False


class Scheduler:
    def __init__(self, client, informers):
        self.client, self.pods, self.nodes = client, informers["Pod"], informers["Node"]
        self.queue = WorkQueue("scheduler", self.reconcile)
        self.pods.listen(self._pod)
        self.nodes.listen(lambda old, new: self._all())
        self._assumed = {}  # uid -> node, until the informer shows it

    def start(self):
        self.queue.start()

    def _pod(self, old, new):
        if new is None or new["spec"].get("nodeName"):
            self._assumed.pop((new or old)["metadata"]["uid"], None)
        elif new["spec"].get("schedulerName", "default-scheduler") == "default-scheduler":
            self.queue.add((new["metadata"]["namespace"], new["metadata"]["name"]))

    def _all(self):
        for pod in list(self.pods.objects.values()):
            if not pod["spec"].get("nodeName"):
                self._pod(None, pod)

    @staticmethod
    def _fits(pod, node):
        ready = any(
            c["type"] == "Ready" and c["status"] == "True"
            for c in node["status"].get("conditions") or []
        )
        labels = node["metadata"].get("labels") or {}
        if not ready or node["spec"].get("unschedulable"):
            return False
        if any(labels.get(k) != v for k, v in (pod["spec"].get("nodeSelector") or {}).items()):
            return False
        return all(
            _tolerates(pod, t)
            for t in node["spec"].get("taints") or []
            if t["effect"] != "PreferNoSchedule"
        )

    def reconcile(self, key):
        pod = self.pods.objects.get(key)
        if pod is None or pod["spec"].get("nodeName") or pod["metadata"]["uid"] in self._assumed:
            return
        nodes = [n for n in self.nodes.objects.values() if self._fits(pod, n)]
        if not nodes:
            self._unschedulable(pod)
            return
        load = {n["metadata"]["name"]: [0, 0] for n in nodes}
        for other in list(self.pods.objects.values()):
            node = other["spec"].get("nodeName") or self._assumed.get(other["metadata"]["uid"])
            if node in load and not other["metadata"].get("deletionTimestamp"):
                load[node][1] += 1
                load[node][0] += _owner(other) is not None and _owner(other) == _owner(pod)
        best = min(load, key=lambda name: (load[name], name))
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": key[1]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": best},
        }
        self._assumed[pod["metadata"]["uid"]] = best
        try:
            self.client.request("POST", path("Pod", key[0], key[1], "binding"), binding)
        except Exception:
            self._assumed.pop(pod["metadata"]["uid"], None)
            raise

    def _unschedulable(self, pod):
        conditions = pod["status"].get("conditions") or []
        if any(c["type"] == "PodScheduled" for c in conditions):
            return
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "no node is ready and matches",
            "lastTransitionTime": pod["metadata"]["creationTimestamp"],
        }
        self.client.patch(
            "Pod",
            pod["metadata"]["namespace"],
            pod["metadata"]["name"],
            {"status": {"conditions": [condition]}},
            "status",
        )
