# SPDX-License-Identifier: Apache-2.0
"""What goes when something else goes: dependents of deleted owners, and the content of namespaces."""
from ..client import WorkQueue, path

OWNERS = ("Service", "Deployment", "ReplicaSet")
DEPENDENTS = ("ReplicaSet", "Pod", "EndpointSlice")


class GarbageCollector:
    def __init__(self, client, informers):
        self.client, self.informers = client, informers
        self.queue = WorkQueue("gc", self.reconcile)
        for kind in OWNERS:
            informers[kind].listen(lambda old, new, kind=kind: self._owner(kind, old, new))
        for kind in DEPENDENTS:
            informers[kind].listen(lambda old, new, kind=kind: self._dependent(kind, old, new))

    def start(self):
        self.queue.start()

    def _owner(self, kind, old, new):
        meta = (new or old)["metadata"]
        if new is None or meta.get("deletionTimestamp"):
            self.queue.add((kind, meta["namespace"], meta["name"], meta["uid"]))

    def _dependent(self, kind, old, new):
        """A dependent may outlive its owner's deletion event (created late, or we were away)."""
        meta = (new or old)["metadata"]
        for ref in meta.get("ownerReferences") or []:
            if ref["kind"] in OWNERS and (new is None or old is None):
                self.queue.add((ref["kind"], meta["namespace"], ref["name"], ref["uid"]))

    def _dependents(self, namespace, uid):
        for kind in DEPENDENTS:
            for obj in self.client.list(kind, namespace):
                if any(r["uid"] == uid for r in obj["metadata"].get("ownerReferences") or []):
                    yield kind, obj

    def reconcile(self, key):
        kind, namespace, name, uid = key
        owner = self.client.get(kind, namespace, name)
        if owner is not None and owner["metadata"]["uid"] == uid:
            finalizers = owner["metadata"].get("finalizers") or []
            if not owner["metadata"].get("deletionTimestamp") or not {
                "orphan",
                "foregroundDeletion",
            } & set(finalizers):
                return None
            orphan = "orphan" in finalizers
            left = list(self._dependents(namespace, uid))
            for dependent, obj in left:
                self._release(dependent, obj, uid) if orphan else self._delete(
                    dependent, obj, "Foreground"
                )
            if left and not orphan:
                return 0.2
            rest = [f for f in finalizers if f not in ("orphan", "foregroundDeletion")]
            self.client.patch(kind, namespace, name, {"metadata": {"finalizers": rest or None}})
            return None
        for dependent, obj in self._dependents(namespace, uid):
            self._delete(dependent, obj, "Background")
        return None

    def _delete(self, kind, obj, policy):
        meta = obj["metadata"]
        if not meta.get("deletionTimestamp"):
            self.client.delete(
                kind,
                meta["namespace"],
                meta["name"],
                propagationPolicy=policy,
                preconditions={"uid": meta["uid"]},
            )

    def _release(self, kind, obj, uid):
        meta = obj["metadata"]
        rest = [r for r in meta["ownerReferences"] if r["uid"] != uid]
        self.client.patch(
            kind, meta["namespace"], meta["name"], {"metadata": {"ownerReferences": rest or None}}
        )


class Namespaces:
    """Empties a namespace that is being deleted, then lets it go."""

    def __init__(self, client, informers):
        self.client = client
        self.queue = WorkQueue("namespaces", self.reconcile)
        informers["Namespace"].listen(
            lambda old, new: new and self.queue.add(new["metadata"]["name"])
        )

    def start(self):
        self.queue.start()

    def _resources(self):
        groups = [("/api/v1", "")]
        for group in self.client.request("GET", "/apis")["groups"]:
            groups.append((f"/apis/{group['preferredVersion']['groupVersion']}", group["name"]))
        for base, _ in groups:
            for res in self.client.request("GET", base)["resources"]:
                if res["namespaced"] and "list" in res["verbs"]:
                    yield base, res["name"]

    def reconcile(self, name):
        namespace = self.client.get("Namespace", None, name)
        if namespace is None or not namespace["metadata"].get("deletionTimestamp"):
            return None
        left = 0
        for base, plural in self._resources():
            target = f"{base}/namespaces/{name}/{plural}"
            items = self.client.request("GET", target)["items"]
            if any(not i["metadata"].get("deletionTimestamp") for i in items):
                self.client.request("DELETE", target, {"propagationPolicy": "Background"})
            left += len(items)
        if left:
            return 0.3
        namespace["spec"]["finalizers"] = []
        namespace["metadata"].pop("resourceVersion")
        self.client.request("PUT", path("Namespace", None, name, "finalize"), namespace)
        return None
