# SPDX-License-Identifier: Apache-2.0
"""Deployments by ReplicaSets: a template's hash names its set; rolling updates and Recreate."""
import copy
import hashlib
import json
import math
from datetime import datetime, timezone

from ..client import WorkQueue
from .replicasets import owner_of

REVISION = "deployment.kubernetes.io/revision"


def _amount(value, total, up):
    if isinstance(value, str) and value.endswith("%"):
        share = total * int(value[:-1]) / 100
        return math.ceil(share) if up else math.floor(share)
    return int(value)


def _essence(value):
    """Without what says nothing: clients that roll back send nulls where there was nothing."""
    if isinstance(value, dict):
        return {k: _essence(v) for k, v in value.items() if v not in (None, {}, [])}
    return [_essence(v) for v in value] if isinstance(value, list) else value


def _revision(obj):
    return int((obj["metadata"].get("annotations") or {}).get(REVISION, 0))


class Deployments:
    def __init__(self, client, informers):
        self.client, self.deployments, self.sets = (
            client,
            informers["Deployment"],
            informers["ReplicaSet"],
        )
        self.queue = WorkQueue("deployments", self.reconcile)
        self.deployments.listen(lambda old, new: self._add(new or old))
        self.sets.listen(self._set)

    def start(self):
        self.queue.start()

    def _add(self, obj):
        self.queue.add((obj["metadata"]["namespace"], obj["metadata"]["name"]))

    def _set(self, old, new):
        ref = owner_of(new or old)
        if ref and ref["kind"] == "Deployment":
            self.queue.add(((new or old)["metadata"]["namespace"], ref["name"]))

    def reconcile(self, key):
        deployment = self.client.get("Deployment", *key)
        if deployment is None or deployment["metadata"].get("deletionTimestamp"):
            return
        sets = [
            s
            for s in self.client.list("ReplicaSet", key[0])
            if (owner_of(s) or {}).get("uid") == deployment["metadata"]["uid"]
        ]
        new = self._current_set(deployment, sets)
        old = [s for s in sets if s["metadata"]["uid"] != new["metadata"]["uid"]]
        if not deployment["spec"].get("paused"):
            if deployment["spec"]["strategy"]["type"] == "Recreate":
                self._recreate(deployment, new, old)
            else:
                self._roll(deployment, new, old)
        self._clean(deployment, old)
        self._status(deployment, new, old)

    def _current_set(self, deployment, sets):
        template = deployment["spec"]["template"]
        digest = hashlib.sha1(json.dumps(_essence(template), sort_keys=True).encode()).hexdigest()[
            :10
        ]
        meta = deployment["metadata"]
        top = max([_revision(s) for s in sets] or [0])
        for found in sets:
            if found["metadata"]["name"] == f"{meta['name']}-{digest}":
                if _revision(found) < top:  # rolled back to it
                    found = self._annotate(found, top + 1)
                return found
        labels = {
            **((template.get("metadata") or {}).get("labels") or {}),
            "pod-template-hash": digest,
        }
        template = copy.deepcopy(template)
        template.setdefault("metadata", {})["labels"] = labels
        selector = copy.deepcopy(deployment["spec"]["selector"])
        selector.setdefault("matchLabels", {})["pod-template-hash"] = digest
        owner = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": meta["name"],
            "uid": meta["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        created = self.client.create(
            "ReplicaSet",
            meta["namespace"],
            {
                "metadata": {
                    "name": f"{meta['name']}-{digest}",
                    "labels": labels,
                    "ownerReferences": [owner],
                    "annotations": {REVISION: str(top + 1)},
                },
                "spec": {"replicas": 0, "selector": selector, "template": template},
            },
        )
        sets.append(created)
        return created

    def _annotate(self, rs, revision):
        meta = rs["metadata"]
        return self.client.patch(
            "ReplicaSet",
            meta["namespace"],
            meta["name"],
            {"metadata": {"annotations": {REVISION: str(revision)}}},
        )

    def _scale(self, rs, replicas):
        if rs["spec"]["replicas"] != replicas:
            meta = rs["metadata"]
            changed = self.client.patch(
                "ReplicaSet", meta["namespace"], meta["name"], {"spec": {"replicas": replicas}}
            )
            rs["spec"], rs["metadata"] = changed["spec"], changed["metadata"]

    def _recreate(self, deployment, new, old):
        for rs in old:
            self._scale(rs, 0)
        if not any(rs["status"].get("replicas") for rs in old):
            self._scale(new, deployment["spec"]["replicas"])

    def _roll(self, deployment, new, old):
        want = deployment["spec"]["replicas"]
        limits = deployment["spec"]["strategy"]["rollingUpdate"]
        surge, unavailable = _amount(limits["maxSurge"], want, True), _amount(
            limits["maxUnavailable"], want, False
        )
        if surge == 0 and unavailable == 0:
            unavailable = 1
        total = new["spec"]["replicas"] + sum(s["spec"]["replicas"] for s in old)
        if new["spec"]["replicas"] > want:
            self._scale(new, want)
        elif new["spec"]["replicas"] < want:
            room = want + surge - total if old else want
            self._scale(new, min(want, new["spec"]["replicas"] + max(0, room)))
        self._shrink(new, old, want - unavailable)

    def _shrink(self, new, old, minimum):
        """Old pods that are not available go first, then as many others as leave the minimum."""

        def available(rs):
            return rs["status"].get("availableReplicas", 0)

        total = sum(s["spec"]["replicas"] for s in [new, *old])
        spare = total - minimum - max(0, new["spec"]["replicas"] - available(new))
        for rs in old:
            take = min(max(0, rs["spec"]["replicas"] - available(rs)), max(0, spare))
            self._scale(rs, rs["spec"]["replicas"] - take)
            spare -= take
        spare = min(spare, sum(available(s) for s in [new, *old]) - minimum)
        for rs in old:
            take = min(rs["spec"]["replicas"], max(0, spare))
            self._scale(rs, rs["spec"]["replicas"] - take)
            spare -= take

    def _clean(self, deployment, old):
        idle = sorted(
            (s for s in old if not s["spec"]["replicas"] and not s["status"].get("replicas")),
            key=_revision,
        )
        for rs in idle[: max(0, len(idle) - deployment["spec"]["revisionHistoryLimit"])]:
            self.client.delete("ReplicaSet", rs["metadata"]["namespace"], rs["metadata"]["name"])

    def _status(self, deployment, new, old):
        def total(field, sets):
            return sum(s["status"].get(field, 0) for s in sets)

        want = deployment["spec"]["replicas"]
        everything = [new, *old]
        status = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": total("replicas", everything),
            "updatedReplicas": new["status"].get("replicas", 0),
            "readyReplicas": total("readyReplicas", everything),
            "availableReplicas": total("availableReplicas", everything),
        }
        status["unavailableReplicas"] = max(0, want - status["availableReplicas"])
        available = status["availableReplicas"] >= want - _amount(
            (deployment["spec"]["strategy"].get("rollingUpdate") or {}).get("maxUnavailable", 0),
            want,
            False,
        )
        done = (
            status["updatedReplicas"] == want == status["availableReplicas"] == status["replicas"]
        )
        wanted = [
            (
                "Available",
                available,
                "MinimumReplicasAvailable" if available else "MinimumReplicasUnavailable",
            ),
            ("Progressing", True, "NewReplicaSetAvailable" if done else "ReplicaSetUpdated"),
        ]
        before = {c["type"]: c for c in (deployment.get("status") or {}).get("conditions") or []}
        status["conditions"] = [
            self._condition(before.get(t), t, "True" if ok else "False", r) for t, ok, r in wanted
        ]
        if deployment.get("status") != status:
            deployment = self.client.update(
                "Deployment", {**deployment, "status": status}, "status"
            )
        if _revision(deployment) != _revision(new):
            self.client.patch(
                "Deployment",
                deployment["metadata"]["namespace"],
                deployment["metadata"]["name"],
                {"metadata": {"annotations": {REVISION: str(_revision(new))}}},
            )

    @staticmethod
    def _condition(before, kind, status, reason):
        if before and before["status"] == status and before["reason"] == reason:
            return before
        stamp = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": "",
            "lastUpdateTime": stamp,
            "lastTransitionTime": stamp,
        }
