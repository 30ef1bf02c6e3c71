# SPDX-License-Identifier: Apache-2.0
"""metav1.Table: the columns that `kubectl get` prints, the second half of them only with -o wide."""
from datetime import datetime, timezone


def age(stamp):
    if not stamp:
        return "<unknown>"
    then = datetime.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    seconds = max(0, int((datetime.now(timezone.utc) - then).total_seconds()))
    if seconds < 120:
        return f"{seconds}s"
    if seconds < 600:
        return f"{seconds // 60}m{seconds % 60}s" if seconds % 60 else f"{seconds // 60}m"
    if seconds < 3 * 3600:
        return f"{seconds // 60}m"
    if seconds < 8 * 3600:
        return f"{seconds // 3600}h{seconds % 3600 // 60}m"
    return f"{seconds // 3600}h" if seconds < 48 * 3600 else f"{seconds // 86400}d"


def _age(obj):
    return age(obj["metadata"].get("creationTimestamp"))


def _name(obj):
    return obj["metadata"]["name"]


def _get(obj, *path, default="<none>"):
    for part in path:
        obj = obj.get(part) if isinstance(obj, dict) else None
    return default if obj in (None, "", []) else obj


def _labels(selector):
    return ",".join(f"{k}={v}" for k, v in sorted((selector or {}).items())) or "<none>"


def pod_ready(obj):
    statuses = _get(obj, "status", "containerStatuses", default=[])
    ready = sum(1 for s in statuses if s.get("ready"))
    return f"{ready}/{len(obj['spec'].get('containers', []))}"


def pod_state(obj):
    state = _get(obj, "status", "reason", default=_get(obj, "status", "phase", default="Unknown"))
    for status in _get(obj, "status", "containerStatuses", default=[]):
        for kind in ("waiting", "terminated"):
            reason = _get(status, "state", kind, "reason", default="")
            state = reason or state
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return state


def _restarts(obj):
    return str(
        sum(s.get("restartCount", 0) for s in _get(obj, "status", "containerStatuses", default=[]))
    )


def _pod_ip(obj):
    return _get(obj, "status", "podIP")


def _node_state(obj):
    ready = [
        c["status"] for c in _get(obj, "status", "conditions", default=[]) if c["type"] == "Ready"
    ]
    state = {"True": "Ready", "False": "NotReady"}.get(ready[0] if ready else "", "Unknown")
    return state + (",SchedulingDisabled" if obj.get("spec", {}).get("unschedulable") else "")


def _addresses(obj, kind):
    found = [
        a["address"] for a in _get(obj, "status", "addresses", default=[]) if a["type"] == kind
    ]
    return ",".join(found) or "<none>"


def _service_ports(obj):
    parts = []
    for port in _get(obj, "spec", "ports", default=[]):
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        parts.append(f"{port['port']}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(parts) or "<none>"


def _external(obj):
    ips = list(_get(obj, "spec", "externalIPs", default=[]))
    ips += [
        i.get("ip", i.get("hostname"))
        for i in _get(obj, "status", "loadBalancer", "ingress", default=[])
    ]
    if obj["spec"].get("type") == "ExternalName":
        return obj["spec"].get("externalName", "<none>")
    return ",".join(ips) or ("<pending>" if obj["spec"].get("type") == "LoadBalancer" else "<none>")


def _slice_ports(obj):
    return ",".join(str(p.get("port", "<unset>")) for p in obj.get("ports") or []) or "<unset>"


def _slice_endpoints(obj):
    found = [a for e in obj.get("endpoints") or [] for a in e.get("addresses", [])]
    more = f" + {len(found) - 3} more..." if len(found) > 3 else ""
    return ",".join(found[:3]) + more or "<unset>"


def _endpoints(obj):
    found = [
        f"{a['ip']}:{p['port']}"
        for s in obj.get("subsets") or []
        for a in s.get("addresses") or []
        for p in s.get("ports") or []
    ]
    return ",".join(found) or "<none>"


def _containers(field, path=("spec", "template", "spec")):
    def read(obj):
        return ",".join(c[field] for c in _get(obj, *path, "containers", default=[]))

    return read


def _count(*path):
    return lambda obj: str(_get(obj, *path, default=0))


def _selector(obj):
    return _labels(_get(obj, "spec", "selector", "matchLabels", default={}))


NAME, AGE = ("Name", _name, 0), ("Age", _age, 0)
_EVENT = [
    ("Last Seen", lambda o: age(o.get("lastTimestamp") or o.get("eventTime")), 0),
    ("Type", lambda o: _get(o, "type"), 0),
    ("Reason", lambda o: _get(o, "reason"), 0),
    (
        "Object",
        lambda o: "/".join(
            _get(o, k, default={}).get(f, "") for k in ("involvedObject",) for f in ("kind", "name")
        ).lower(),
        0,
    ),
    ("Message", lambda o: _get(o, "message", default=_get(o, "note")), 0),
]

COLUMNS = {
    "Pod": [
        NAME,
        ("Ready", pod_ready, 0),
        ("Status", pod_state, 0),
        ("Restarts", _restarts, 0),
        AGE,
        ("IP", _pod_ip, 1),
        ("Node", lambda o: _get(o, "spec", "nodeName"), 1),
        ("Nominated Node", lambda o: _get(o, "status", "nominatedNodeName"), 1),
    ],
    "Node": [
        NAME,
        ("Status", _node_state, 0),
        ("Roles", lambda o: "<none>", 0),
        AGE,
        ("Version", lambda o: _get(o, "status", "nodeInfo", "kubeletVersion"), 0),
        ("Internal-IP", lambda o: _addresses(o, "InternalIP"), 1),
        ("Pod-CIDRs", lambda o: ",".join(_get(o, "spec", "podCIDRs", default=[])) or "<none>", 1),
    ],
    "Namespace": [NAME, ("Status", lambda o: _get(o, "status", "phase"), 0), AGE],
    "Service": [
        NAME,
        ("Type", lambda o: _get(o, "spec", "type"), 0),
        (
            "Cluster-IP",
            lambda o: ",".join(_get(o, "spec", "clusterIPs", default=[])) or "<none>",
            0,
        ),
        ("External-IP", _external, 0),
        ("Port(s)", _service_ports, 0),
        AGE,
        ("Selector", lambda o: _labels(o["spec"].get("selector")), 1),
    ],
    "Endpoints": [NAME, ("Endpoints", _endpoints, 0), AGE],
    "EndpointSlice": [
        NAME,
        ("AddressType", lambda o: _get(o, "addressType"), 0),
        ("Ports", _slice_ports, 0),
        ("Endpoints", _slice_endpoints, 0),
        AGE,
    ],
    "NetworkPolicy": [
        NAME,
        (
            "Pod-Selector",
            lambda o: _labels(_get(o, "spec", "podSelector", "matchLabels", default={})),
            0,
        ),
        AGE,
    ],
    "Deployment": [
        NAME,
        (
            "Ready",
            lambda o: f"{_get(o, 'status', 'readyReplicas', default=0)}/"
            f"{o['spec'].get('replicas', 0)}",
            0,
        ),
        ("Up-to-date", _count("status", "updatedReplicas"), 0),
        ("Available", _count("status", "availableReplicas"), 0),
        AGE,
        ("Containers", _containers("name"), 1),
        ("Images", _containers("image"), 1),
        ("Selector", _selector, 1),
    ],
    "ReplicaSet": [
        NAME,
        ("Desired", _count("spec", "replicas"), 0),
        ("Current", _count("status", "replicas"), 0),
        ("Ready", _count("status", "readyReplicas"), 0),
        AGE,
        ("Containers", _containers("name"), 1),
        ("Images", _containers("image"), 1),
        ("Selector", _selector, 1),
    ],
    "Lease": [NAME, ("Holder", lambda o: _get(o, "spec", "holderIdentity", default=""), 0), AGE],
    "ConfigMap": [NAME, ("Data", lambda o: str(len(o.get("data") or {})), 0), AGE],
    "Secret": [
        NAME,
        ("Type", lambda o: _get(o, "type"), 0),
        ("Data", lambda o: str(len(o.get("data") or {})), 0),
        AGE,
    ],
    "CustomResourceDefinition": [
        NAME,
        ("Created At", lambda o: o["metadata"].get("creationTimestamp"), 0),
    ],
    "Event": _EVENT,
}


def _custom_columns(res):
    """additionalPrinterColumns, whose JSON paths are plain fields."""

    def reader(column):
        path = column["jsonPath"].strip(".").split(".")
        if column.get("type") == "date":
            return lambda o: age(_get(o, *path, default=None))
        return lambda o: _get(o, *path, default="")

    found = [(c["name"], reader(c), c.get("priority", 0)) for c in res.columns]
    return [NAME, *(found or [AGE])]


def table(res, objects, version, include="Metadata"):
    columns = _custom_columns(res) if res.custom else COLUMNS.get(res.kind, [NAME, AGE])
    definitions = [
        {
            "name": n,
            "type": "string",
            "format": "name" if n == "Name" else "",
            "description": n,
            "priority": p,
        }
        for n, _, p in columns
    ]
    rows = []
    for obj in objects:
        row = {"cells": [str(read(obj)) for _, read, _ in columns]}
        if include == "Object":
            row["object"] = obj
        elif include != "None":
            row["object"] = {
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": obj["metadata"],
            }
        rows.append(row)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": str(version)},
        "columnDefinitions": definitions,
        "rows": rows,
    }
