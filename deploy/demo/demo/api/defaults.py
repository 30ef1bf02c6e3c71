# SPDX-License-Identifier: Apache-2.0
"""What the API fills in, and what it refuses, per kind."""
import base64
import copy
import re

from . import netpol
from .errors import invalid, invalid_fields

_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
_LABEL_VALUE = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")
_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}


def fill_in(obj, defaults):
    """Sets what is absent or null."""
    for key, value in defaults.items():
        if obj.get(key) is None:
            obj[key] = copy.deepcopy(value)


def _pod_spec(spec):
    fill_in(
        spec,
        {
            "restartPolicy": "Always",
            "dnsPolicy": "ClusterFirst",
            "terminationGracePeriodSeconds": 30,
            "schedulerName": "default-scheduler",
            "securityContext": {},
            "enableServiceLinks": True,
        },
    )
    for container in (spec.get("containers") or []) + (spec.get("initContainers") or []):
        fill_in(
            container,
            {
                "imagePullPolicy": "IfNotPresent",
                "resources": {},
                "terminationMessagePolicy": "File",
                "terminationMessagePath": "/dev/termination-log",
            },
        )
        for port in container.get("ports") or []:
            fill_in(port, {"protocol": "TCP"})
        for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
            if container.get(probe):
                fill_in(container[probe], _PROBE)
                if container[probe].get("httpGet"):
                    fill_in(container[probe]["httpGet"], {"path": "/", "scheme": "HTTP"})


def _pod(obj):
    _pod_spec(obj["spec"])
    fill_in(
        obj["spec"],
        {
            "serviceAccountName": "default",
            "preemptionPolicy": "PreemptLowerPriority",
            "priority": 0,
        },
    )
    fill_in(obj, {"status": {}})
    fill_in(obj["status"], {"phase": "Pending", "qosClass": "BestEffort"})


def _replica_set(obj):
    fill_in(obj["spec"], {"replicas": 1})
    _pod_spec(obj["spec"]["template"].setdefault("spec", {}))
    fill_in(obj, {"status": {"replicas": 0}})


def _deployment(obj):
    fill_in(
        obj["spec"],
        {"revisionHistoryLimit": 10, "progressDeadlineSeconds": 600, "strategy": {}, "replicas": 1},
    )
    strategy = obj["spec"]["strategy"]
    fill_in(strategy, {"type": "RollingUpdate"})
    if strategy["type"] == "RollingUpdate":
        fill_in(strategy, {"rollingUpdate": {}})
        fill_in(strategy["rollingUpdate"], {"maxSurge": "25%", "maxUnavailable": "25%"})
    _pod_spec(obj["spec"]["template"].setdefault("spec", {}))
    fill_in(obj, {"status": {}})


def _service(obj):
    spec = obj["spec"]
    fill_in(spec, {"type": "ClusterIP", "sessionAffinity": "None"})
    fill_in(obj, {"status": {"loadBalancer": {}}})
    if spec["type"] == "ExternalName":
        return
    fill_in(spec, {"internalTrafficPolicy": "Cluster"})
    if spec["type"] != "ClusterIP":
        fill_in(spec, {"externalTrafficPolicy": "Cluster"})
    if spec["sessionAffinity"] == "ClientIP":
        fill_in(spec, {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}}})
    for port in spec.get("ports") or []:
        fill_in(port, {"protocol": "TCP"})
        fill_in(port, {"targetPort": port.get("port")})


def _network_policy(obj):
    spec = obj.setdefault("spec", {})
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress"] + (["Egress"] if spec.get("egress") else [])
    fill_in(spec, {"podSelector": {}})
    for rule in (spec.get("ingress") or []) + (spec.get("egress") or []):
        for port in rule.get("ports") or []:
            fill_in(port, {"protocol": "TCP"})


def _namespace(obj):
    fill_in(obj, {"spec": {}, "status": {}})
    fill_in(obj["spec"], {"finalizers": ["kubernetes"]})
    fill_in(obj["status"], {"phase": "Active"})
    obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = obj["metadata"][
        "name"
    ]


def _node(obj):
    fill_in(obj, {"spec": {}, "status": {}})


def _secret(obj):
    fill_in(obj, {"type": "Opaque"})
    for key, value in (obj.pop("stringData", None) or {}).items():
        obj.setdefault("data", {})[key] = base64.b64encode(str(value).encode()).decode()


def _slice(obj):
    fill_in(obj, {"endpoints": []})
    for port in obj.get("ports") or []:
        fill_in(port, {"protocol": "TCP", "name": ""})


def _crd(obj):
    names = obj["spec"]["names"]
    fill_in(names, {"singular": names["kind"].lower(), "listKind": names["kind"] + "List"})
    fill_in(obj, {"status": {}})
    accepted = [
        {
            "type": t,
            "status": "True",
            "reason": r,
            "message": "",
            "lastTransitionTime": obj["metadata"].get("creationTimestamp"),
        }
        for t, r in (("NamesAccepted", "NoConflicts"), ("Established", "InitialNamesAccepted"))
    ]
    fill_in(
        obj["status"],
        {
            "acceptedNames": copy.deepcopy(names),
            "conditions": accepted,
            "storedVersions": [v["name"] for v in obj["spec"].get("versions") or []],
        },
    )


_DEFAULTS = {
    "Pod": _pod,
    "Secret": _secret,
    "ReplicaSet": _replica_set,
    "Deployment": _deployment,
    "Service": _service,
    "NetworkPolicy": _network_policy,
    "Namespace": _namespace,
    "Node": _node,
    "EndpointSlice": _slice,
    "CustomResourceDefinition": _crd,
}
_NEED_SPEC = {"Pod", "ReplicaSet", "Deployment", "Service", "CustomResourceDefinition"}


def fill(res, obj):
    if not res.custom and res.kind in _DEFAULTS:
        _DEFAULTS[res.kind](obj)


def _require(res, name, obj, path, kind):
    value = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if not isinstance(value, kind) or not value:
        word = "list" if kind is list else "object"
        raise invalid(res, name, path, f"Required value: must be a {word} that is not empty")
    return value


def check_shape(res, obj):
    """Before defaults: wrong types would trip them."""
    meta = obj.get("metadata")
    if not isinstance(meta, dict):
        raise invalid(res, "", "metadata", "Required value")
    name = meta.get("name")
    pattern = _LABEL if res.kind in ("Namespace", "Service") else _SUBDOMAIN
    if not isinstance(name, str) or not pattern.match(name) or len(name) > 253:
        raise invalid(
            res,
            name,
            "metadata.name",
            f"Invalid value: {name!r}: must be a lower case RFC 1123 name",
        )
    for field in ("labels", "annotations"):
        value = meta.get(field)
        if value is None:
            meta.pop(field, None)
        elif not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            raise invalid(res, name, f"metadata.{field}", "Invalid value: must be a map of strings")
    for key, value in (meta.get("labels") or {}).items():
        if len(value) > 63 or not _LABEL_VALUE.match(value):
            raise invalid(res, name, f"metadata.labels[{key}]", f"Invalid value: {value!r}")
    if res.custom:
        wrong = res.schema.errors(obj)
        if wrong:
            raise invalid_fields(res, name, wrong)
        return
    for field in ("spec", "status"):
        if field in obj and not isinstance(obj[field], dict):
            raise invalid(res, name, field, "Invalid value: must be an object")
    if res.kind in _NEED_SPEC:
        _require(res, name, obj, "spec", dict)
    _check_kind(res, name, obj)


def _check_containers(res, name, obj, path):
    containers = _require(res, name, obj, path, list)
    seen = set()
    for i, container in enumerate(containers):
        if not isinstance(container, dict) or not container.get("name"):
            raise invalid(res, name, f"{path}[{i}].name", "Required value")
        if container["name"] in seen:
            raise invalid(res, name, f"{path}[{i}].name", f"Duplicate value: {container['name']!r}")
        seen.add(container["name"])
        if not container.get("image"):
            raise invalid(res, name, f"{path}[{i}].image", "Required value")


def _check_kind(res, name, obj):
    if res.kind == "Pod":
        _check_containers(res, name, obj, "spec.containers")
    elif res.kind in ("Deployment", "ReplicaSet"):
        selector = _require(res, name, obj, "spec.selector", dict)
        _require(res, name, obj, "spec.template", dict)
        labels = (obj["spec"]["template"].get("metadata") or {}).get("labels") or {}
        for key, value in (selector.get("matchLabels") or {}).items():
            if labels.get(key) != value:
                raise invalid(
                    res,
                    name,
                    "spec.template.metadata.labels",
                    "Invalid value: `selector` does not match",
                )
        _check_containers(res, name, obj, "spec.template.spec.containers")
    elif res.kind == "Service":
        spec = obj["spec"]
        if spec.get("type") != "ExternalName" and spec.get("clusterIP") != "None":
            _require(res, name, obj, "spec.ports", list)
        for i, port in enumerate(spec.get("ports") or []):
            if not isinstance(port.get("port"), int) or not 0 < port["port"] < 65536:
                raise invalid(
                    res, name, f"spec.ports[{i}].port", "Invalid value: must be between 1 and 65535"
                )
    elif res.kind == "NetworkPolicy":
        wrong = netpol.errors(obj)
        if wrong:
            raise invalid_fields(res, name, wrong)
    elif res.kind == "CustomResourceDefinition":
        _require(res, name, obj, "spec.group", str)
        _require(res, name, obj, "spec.names.plural", str)
        _require(res, name, obj, "spec.names.kind", str)
        _require(res, name, obj, "spec.versions", list)


_POD_MUTABLE = (
    "activeDeadlineSeconds",
    "terminationGracePeriodSeconds",
    "tolerations",
    "ephemeralContainers",
)


def _pod_fixed(spec):
    fixed = {k: v for k, v in spec.items() if k not in _POD_MUTABLE and v not in (None, {}, [])}
    for field in ("containers", "initContainers"):
        if fixed.get(field):
            fixed[field] = [{k: v for k, v in c.items() if k != "image"} for c in fixed[field]]
    return fixed


def check_update(res, old, new):
    name = new["metadata"]["name"]
    if res.kind == "Pod" and _pod_fixed(old["spec"]) != _pod_fixed(new["spec"]):
        raise invalid(
            res,
            name,
            "spec",
            "Forbidden: pod updates may not change fields other than `spec.containers"
            "[*].image`, `spec.activeDeadlineSeconds`, `spec.tolerations`",
        )
    if (
        res.kind in ("Deployment", "ReplicaSet")
        and old["spec"]["selector"] != new["spec"]["selector"]
    ):
        raise invalid(res, name, "spec.selector", "Invalid value: field is immutable")
