# SPDX-License-Identifier: Apache-2.0
"""Deletion: grace periods, finalizers, and what lets an object go for good."""
from datetime import datetime, timedelta, timezone

from . import errors
from .resources import CRDS
from .selectors import compile_selectors
from .store import mutable

NAMESPACES = ("", "namespaces")
# The garbage collector looks after the dependents of these.
OWNERS = {"Deployment", "ReplicaSet", "Service"}


def now(offset=0):
    return (datetime.now(timezone.utc) + timedelta(seconds=offset)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Deletion:
    """The half of Rest (rest.py) that deletes."""

    def delete(self, res, namespace, name, options, query):
        with self.store.lock:
            old = self.get(res, namespace, name)
            meta = old["metadata"]
            for field, want in (options.get("preconditions") or {}).items():
                if want and meta.get(field) != want:
                    raise errors.conflict(
                        res,
                        name,
                        f"Precondition failed: {field} in precondition: {want}, "
                        f"{field} in object meta: {meta.get(field)}",
                    )
            if query.get("dryRun") or options.get("dryRun"):
                return old
            new = mutable(old)
            self._mark(res, new, options, query)
            if self._finished(res, new):
                return self._remove(res, new)
            return old if new == old else self.store.put(res.key, new)

    def _mark(self, res, obj, options, query):
        """Sets what keeps a deleted object until others are done with it."""
        meta = obj["metadata"]
        grace = options.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
        if res.key == ("", "pods"):
            grace = (
                obj["spec"].get("terminationGracePeriodSeconds", 30)
                if grace is None
                else int(grace)
            )
            if not obj["spec"].get("nodeName") or obj["status"].get("phase") in (
                "Succeeded",
                "Failed",
            ):
                grace = 0
            grace = min(grace, meta.get("deletionGracePeriodSeconds", grace))
        else:
            grace = 0
        policy = options.get("propagationPolicy") or query.get("propagationPolicy")
        if options.get("orphanDependents") or query.get("orphanDependents") == "true":
            policy = "Orphan"
        finalizer = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(policy)
        if res.kind in OWNERS and finalizer and finalizer not in meta.get("finalizers", []):
            meta["finalizers"] = meta.get("finalizers", []) + [finalizer]
        if not meta.get("deletionTimestamp") or grace < meta.get(
            "deletionGracePeriodSeconds", grace
        ):
            meta.update(deletionTimestamp=now(grace), deletionGracePeriodSeconds=grace)
        if res.key == NAMESPACES:
            obj["status"]["phase"] = "Terminating"

    @staticmethod
    def _finished(res, obj):
        if obj["metadata"].get("finalizers"):
            return False
        if res.key == NAMESPACES and obj["spec"].get("finalizers"):
            return False
        return not obj["metadata"].get("deletionGracePeriodSeconds")

    def _remove(self, res, obj):
        removed = self.store.remove(
            res.key, obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
        )
        if res.key == CRDS:
            group, plural = obj["spec"]["group"], obj["spec"]["names"]["plural"]
            for item in self.store.list((group, plural))[1]:
                self.store.remove(
                    (group, plural), item["metadata"].get("namespace", ""), item["metadata"]["name"]
                )
            self.refresh_crds()
        return self.present(res, removed)

    def delete_collection(self, res, namespace, options, query):
        match = compile_selectors(query.get("labelSelector"), query.get("fieldSelector"))
        for obj in self.store.list(res.key, namespace)[1]:
            if match is None or match(obj):
                try:
                    self.delete(
                        res,
                        obj["metadata"].get("namespace", ""),
                        obj["metadata"]["name"],
                        options,
                        query,
                    )
                except errors.ApiError as error:
                    if error.code != 404:
                        raise
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "code": 200,
        }
