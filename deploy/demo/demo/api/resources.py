# SPDX-License-Identifier: Apache-2.0
"""The kinds that the server knows: built-in ones, and what CustomResourceDefinitions add."""
from dataclasses import dataclass, field

from .schema import Schema

ALL_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


@dataclass(frozen=True)
class Resource:
    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    short: tuple = ()
    sub: tuple = ()  # subresources
    categories: tuple = ()
    custom: bool = False
    # Of a CRD's version: what its objects look like, and additionalPrinterColumns.
    schema: Schema = field(default=None, compare=False)
    columns: tuple = field(default=(), compare=False)

    @property
    def api_version(self):
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def key(self):
        """Versions of one resource share their objects."""
        return (self.group, self.plural)


CRDS = ("apiextensions.k8s.io", "customresourcedefinitions")

BUILTIN = [
    Resource("", "v1", "Namespace", "namespaces", False, ("ns",), ("status", "finalize")),
    Resource("", "v1", "Node", "nodes", False, ("no",), ("status",)),
    Resource("", "v1", "Pod", "pods", True, ("po",), ("status", "binding", "log"), ("all",)),
    Resource("", "v1", "Service", "services", True, ("svc",), ("status",), ("all",)),
    Resource("", "v1", "Endpoints", "endpoints", True, ("ep",)),
    Resource("", "v1", "ConfigMap", "configmaps", True, ("cm",)),
    Resource("", "v1", "Secret", "secrets"),
    Resource("", "v1", "ServiceAccount", "serviceaccounts", True, ("sa",)),
    Resource("", "v1", "Event", "events", True, ("ev",)),
    Resource("events.k8s.io", "v1", "Event", "events", True, ("ev",)),
    Resource(
        "apps", "v1", "Deployment", "deployments", True, ("deploy",), ("status", "scale"), ("all",)
    ),
    Resource(
        "apps", "v1", "ReplicaSet", "replicasets", True, ("rs",), ("status", "scale"), ("all",)
    ),
    Resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
    Resource("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", True, ("netpol",)),
    Resource("coordination.k8s.io", "v1", "Lease", "leases"),
    Resource(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        False,
        ("crd", "crds"),
        ("status",),
    ),
]


# A CRD, for clients of the demo's own, which look kinds up in here.
CLUSTER_NETWORK_POLICY = Resource(
    "policy.networking.k8s.io",
    "v1alpha2",
    "ClusterNetworkPolicy",
    "clusternetworkpolicies",
    False,
    ("cnp",),
    ("status",),
    custom=True,
)


def from_crd(crd):
    spec = crd.get("spec", {})
    names = spec.get("names", {})
    found = []
    for version in spec.get("versions", []):
        if not version.get("served", True):
            continue
        sub = tuple(s for s in ("status", "scale") if s in (version.get("subresources") or {}))
        found.append(
            Resource(
                spec["group"],
                version["name"],
                names["kind"],
                names["plural"],
                spec.get("scope") == "Namespaced",
                tuple(names.get("shortNames") or ()),
                tuple(s for s in sub if s == "status"),
                tuple(names.get("categories") or ()),
                True,
                Schema((version.get("schema") or {}).get("openAPIV3Schema")),
                tuple(version.get("additionalPrinterColumns") or ()),
            )
        )
    return found


class Registry:
    """Looks resources up by path; replaced as a whole when a CRD comes or goes."""

    def __init__(self):
        self._all = list(BUILTIN)

    def set_crds(self, crds):
        self._all = list(BUILTIN) + [r for crd in crds for r in from_crd(crd)]

    def find(self, group, version, plural):
        for res in self._all:
            if (res.group, res.version, res.plural) == (group, version, plural):
                return res
        return None

    def by_kind(self, api_version, kind):
        for res in self._all:
            if res.api_version == api_version and res.kind == kind:
                return res
        return None

    def all(self):
        return list(self._all)

    def group_versions(self):
        """Group -> versions, in order of registration, without the core group."""
        groups = {}
        for res in self._all:
            if res.group and res.version not in groups.setdefault(res.group, []):
                groups[res.group].append(res.version)
        return groups


def core_versions():
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def _group(name, versions):
    entries = [{"groupVersion": f"{name}/{v}", "version": v} for v in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def group_list(registry):
    groups = [_group(n, v) for n, v in registry.group_versions().items()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def one_group(registry, name):
    versions = registry.group_versions().get(name)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)} if versions else None


def _sub_entry(res, sub):
    kinds = {
        "scale": {"kind": "Scale", "group": "autoscaling", "version": "v1"},
        "binding": {"kind": "Binding"},
    }
    verbs = {
        "scale": ["get", "patch", "update"],
        "binding": ["create"],
        "log": ["get"],
        "finalize": ["update"],
    }
    return {
        "name": f"{res.plural}/{sub}",
        "singularName": "",
        "namespaced": res.namespaced,
        "verbs": verbs.get(sub, ["get", "patch", "update"]),
        "kind": res.kind,
        **kinds.get(sub, {}),
    }


def resource_list(registry, group, version):
    entries = []
    for res in registry.all():
        if (res.group, res.version) != (group, version):
            continue
        entry = {
            "name": res.plural,
            "singularName": res.kind.lower(),
            "namespaced": res.namespaced,
            "kind": res.kind,
            "verbs": ALL_VERBS,
            "shortNames": list(res.short),
            "categories": list(res.categories),
        }
        entries.append({k: v for k, v in entry.items() if v != []})
        entries.extend(_sub_entry(res, s) for s in res.sub)
    if not entries:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "resources": entries,
        "groupVersion": f"{group}/{version}" if group else version,
    }
