# SPDX-License-Identifier: Apache-2.0
"""The verbs on objects: create, update, patch, delete and their subresources, with admission."""
import json
import random
import string
import uuid

import yaml

from . import apply, defaults, errors, patch
from .deletion import NAMESPACES, Deletion, now
from .resources import CRDS
from .services import ServiceAllocator
from .store import mutable

NO_STATUS = {
    "Event",
    "Lease",
    "EndpointSlice",
    "Endpoints",
    "ConfigMap",
    "Secret",
    "ServiceAccount",
}


class Rest(Deletion):
    def __init__(self, store, registry, service_cidrs):
        self.store, self.registry = store, registry
        self._services = ServiceAllocator(service_cidrs, lambda: store.list(("", "services"))[1])
        self.refresh_crds()

    def refresh_crds(self):
        self.registry.set_crds(self.store.list(CRDS)[1])

    def get(self, res, namespace, name):
        obj = self.store.get(res.key, namespace, name)
        if obj is None:
            raise errors.not_found(res, name)
        return self.present(res, obj)

    @staticmethod
    def present(res, obj):
        """In the version asked for: versions of one resource share their objects."""
        if obj.get("apiVersion") == res.api_version and obj.get("kind") == res.kind:
            return obj
        return {**obj, "apiVersion": res.api_version, "kind": res.kind}

    # Create.
    def create(self, res, namespace, obj, query, manager=None):
        obj = self._incoming(res, namespace, obj)
        meta = obj["metadata"]
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = meta["generateName"] + "".join(
                random.choices(string.ascii_lowercase + "2456789", k=5)
            )
        if "status" in res.sub and res.custom:
            obj.pop("status", None)
        self._prune(res, obj, query)
        defaults.check_shape(res, obj)
        with self.store.lock:
            if self.store.get(res.key, namespace, meta["name"]):
                raise errors.exists(res, meta["name"])
            self._check_namespace(res, namespace, meta["name"])
            if meta.get("resourceVersion"):
                raise errors.bad_request(
                    "resourceVersion should not be set on objects to be created"
                )
            meta.update(uid=str(uuid.uuid4()), creationTimestamp=now())
            for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
                meta.pop(field, None)
            if res.kind not in NO_STATUS:
                if res.kind != "Node":
                    obj.pop("status", None)
                meta["generation"] = 1
            if not res.custom and manager is None:
                meta.pop("managedFields", None)
            defaults.fill(res, obj)
            if res.kind == "Service":
                self._services.allocate(res, obj, None)
            return self._commit(res, obj, query)

    def _incoming(self, res, namespace, obj):
        if not isinstance(obj, dict):
            raise errors.bad_request("the body is not an object")
        obj = mutable(obj)
        if obj.get("kind", res.kind) != res.kind:
            raise errors.bad_request(
                f"{obj['kind']} in version {obj.get('apiVersion')!r} cannot be handled as a {res.kind}"
            )
        obj.update(apiVersion=res.api_version, kind=res.kind)
        meta = obj.setdefault("metadata", {})
        if not isinstance(meta, dict):
            raise errors.bad_request("metadata is not an object")
        if res.namespaced:
            if meta.get("namespace", namespace) != namespace:
                raise errors.bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request"
                )
            meta["namespace"] = namespace
        else:
            meta.pop("namespace", None)
        return obj

    @staticmethod
    def _prune(res, obj, query):
        """Fields that a CRD's schema does not have are dropped, or refused for who asks for that."""
        dropped = res.schema.prune(obj) if res.custom else []
        if dropped and query.get("fieldValidation") == "Strict":
            unknown = ", ".join(f'unknown field "{path}"' for path in dropped)
            raise errors.bad_request(f"strict decoding error: {unknown}")

    def _check_namespace(self, res, namespace, name):
        if not res.namespaced:
            return
        owner = self.store.get(NAMESPACES, "", namespace)
        if owner is None:
            raise errors.not_found(self.registry.find("", "v1", "namespaces"), namespace)
        if owner["metadata"].get("deletionTimestamp"):
            raise errors.forbidden(
                res,
                name,
                f"unable to create new content in namespace {namespace} "
                "because it is being terminated",
            )

    def _commit(self, res, obj, query):
        if query.get("dryRun"):
            return obj
        stored = self.store.put(res.key, obj)
        if res.key == CRDS:
            self.refresh_crds()
        return stored

    # Update and patch.
    def update(self, res, namespace, name, obj, query, sub="", manager=None):
        obj = self._incoming(res, namespace, obj)
        if obj["metadata"].setdefault("name", name) != name:
            raise errors.bad_request("the name of the object does not match the name on the URL")
        with self.store.lock:
            old = self.get(res, namespace, name)
            wanted = obj["metadata"].get("resourceVersion")
            if wanted and wanted != old["metadata"]["resourceVersion"]:
                raise errors.stale(res, name)
            return self._replace(res, old, obj, query, sub, manager)

    def _replace(self, res, old, new, query, sub="", manager=None, applied=False):
        name = old["metadata"]["name"]
        if new["metadata"].get("uid", old["metadata"]["uid"]) != old["metadata"]["uid"]:
            raise errors.conflict(
                res, name, "Precondition failed: UID in precondition does not match"
            )
        new = self._merge_sub(res, old, new, sub)
        for field in (
            "uid",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
        ):
            if field in old["metadata"]:
                new["metadata"][field] = old["metadata"][field]
            else:
                new["metadata"].pop(field, None)
        self._prune(res, new, query)
        defaults.check_shape(res, new)
        defaults.fill(res, new)
        if not sub:
            if res.kind == "Service":
                self._services.allocate(res, new, old)
            defaults.check_update(res, old, new)
        if not applied:
            apply.updated(old, new, manager or "unknown", sub)
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        if new.get("spec") != old.get("spec") and "generation" in old["metadata"]:
            new["metadata"]["generation"] = old["metadata"]["generation"] + 1
        if new == old:
            return old
        if new["metadata"].get("deletionTimestamp") and self._finished(res, new):
            return self._remove(res, new)
        return self._commit(res, new, query)

    @staticmethod
    def _merge_sub(res, old, new, sub):
        """What a write to this subresource may change, the rest as it was."""
        if sub == "status":
            return {**mutable(old), "status": new.get("status", {})}
        if sub == "finalize":
            return {**mutable(old), "spec": new.get("spec", {})}
        if res.kind not in NO_STATUS and (not res.custom or "status" in res.sub):
            new = {k: v for k, v in new.items() if k != "status"}
            if "status" in old:
                new["status"] = mutable(old["status"])
        return new

    def patch(self, res, namespace, name, body, content_type, query, sub="", manager=None):
        if content_type == "application/apply-patch+yaml":
            return self._apply(res, namespace, name, body, query, sub)
        try:
            change = json.loads(body)
        except ValueError as error:
            raise errors.bad_request(f"error decoding patch: {error}")
        with self.store.lock:
            old = self.get(res, namespace, name)
            if sub == "scale":
                return self.put_scale(
                    res,
                    namespace,
                    name,
                    self._patched(res, self.scale(old), change, content_type),
                    query,
                )
            new = self._patched(res, old, change, content_type)
            if new["metadata"].get("resourceVersion") != old["metadata"]["resourceVersion"]:
                raise errors.stale(res, name)
            new = self._incoming(res, namespace, new)
            return self._replace(res, old, new, query, sub, manager)

    @staticmethod
    def _patched(res, old, change, content_type):
        if content_type == "application/json-patch+json":
            return patch.json_patch(old, change)
        if not isinstance(change, dict):
            raise errors.bad_request("the patch is not an object")
        if content_type == "application/merge-patch+json":
            return mutable(patch.json_merge(old, change))
        if content_type == "application/strategic-merge-patch+json" and not res.custom:
            return mutable(patch.strategic_merge(old, change))
        raise errors.ApiError(
            415,
            "UnsupportedMediaType",
            f"the body of the request was in an unknown format: {content_type}",
        )

    def _apply(self, res, namespace, name, body, query, sub):
        manager = query.get("fieldManager")
        if not manager:
            raise errors.bad_request("fieldManager is required for apply patch")
        try:
            config = yaml.load(body, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except yaml.YAMLError as error:
            raise errors.bad_request(f"error decoding YAML: {error}")
        config = self._incoming(res, namespace, config)
        config["metadata"].setdefault("name", name)
        with self.store.lock:
            old = self.store.get(res.key, namespace, name)
            new = apply.apply(old, config, manager, query.get("force") == "true", sub)
            if old is None:
                return self.create(res, namespace, new, query, manager), True
            return self._replace(
                res, self.present(res, old), new, query, sub, manager, applied=True
            )

    # Scale.
    @staticmethod
    def scale(obj):
        meta = obj["metadata"]
        selector = (obj["spec"].get("selector") or {}).get("matchLabels") or {}
        return {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {
                k: meta.get(k)
                for k in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
            },
            "spec": {"replicas": obj["spec"].get("replicas", 1)},
            "status": {
                "replicas": (obj.get("status") or {}).get("replicas", 0),
                "selector": ",".join(f"{k}={v}" for k, v in sorted(selector.items())),
            },
        }

    def put_scale(self, res, namespace, name, scale, query):
        replicas = (scale.get("spec") or {}).get("replicas", 0)
        if not isinstance(replicas, int) or replicas < 0:
            raise errors.invalid(
                res, name, "spec.replicas", "Invalid value: must be greater than or equal to 0"
            )
        with self.store.lock:
            old = self.get(res, namespace, name)
            wanted = scale["metadata"].get("resourceVersion")
            if wanted and wanted != old["metadata"]["resourceVersion"]:
                raise errors.stale(res, name)
            new = mutable(old)
            new["spec"]["replicas"] = replicas
            return self.scale(self._replace(res, old, new, query))

    def bind(self, namespace, name, binding):
        """pods/binding: what a scheduler writes."""
        res = self.registry.find("", "v1", "pods")
        with self.store.lock:
            old = self.get(res, namespace, name)
            if old["spec"].get("nodeName"):
                raise errors.conflict(
                    res, name, f"pod {name} is already assigned to node {old['spec']['nodeName']!r}"
                )
            new = mutable(old)
            new["spec"]["nodeName"] = binding["target"]["name"]
            condition = {
                "type": "PodScheduled",
                "status": "True",
                "lastProbeTime": None,
                "lastTransitionTime": now(),
            }
            new["status"] = patch.strategic_merge(new["status"], {"conditions": [condition]})
            self.store.put(res.key, new)
            return {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Success",
                "code": 201,
            }
