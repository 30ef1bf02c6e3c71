# SPDX-License-Identifier: Apache-2.0
"""EndpointSlices of services that have a selector: ready, serving and terminating as Kubernetes keeps them."""
import hashlib

from ..client import Failure, WorkQueue

MANAGED = "endpointslice-controller.k8s.io"
PER_SLICE = 100


def pod_is_ready(pod):
    return any(
        c["type"] == "Ready" and c["status"] == "True"
        for c in (pod.get("status") or {}).get("conditions") or []
    )


def _target_port(port, pod):
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target
    for container in pod["spec"].get("containers") or []:
        for named in container.get("ports") or []:
            if named.get("name") == target and named.get("protocol", "TCP") == port.get(
                "protocol", "TCP"
            ):
                return named["containerPort"]
    return None


def _ports(service, pod):
    """The slice's ports for this pod; named target ports may differ from pod to pod."""
    found = []
    for port in service["spec"].get("ports") or []:
        number = _target_port(port, pod)
        if number is not None:
            entry = {
                "name": port.get("name", ""),
                "port": number,
                "protocol": port.get("protocol", "TCP"),
            }
            if port.get("appProtocol"):
                entry["appProtocol"] = port["appProtocol"]
            found.append(entry)
    return found


def _endpoint(service, pod, address, zone):
    ready, terminating = pod_is_ready(pod), bool(pod["metadata"].get("deletionTimestamp"))
    published = service["spec"].get("publishNotReadyAddresses", False)
    meta = pod["metadata"]
    endpoint = {
        "addresses": [address],
        "conditions": {
            "ready": published or (ready and not terminating),
            "serving": ready,
            "terminating": terminating,
        },
        "nodeName": pod["spec"]["nodeName"],
        "targetRef": {
            "kind": "Pod",
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
        },
    }
    if zone:
        endpoint["zone"] = zone
    if pod["spec"].get("hostname") and pod["spec"].get("subdomain") == service["metadata"]["name"]:
        endpoint["hostname"] = pod["spec"]["hostname"]
    return endpoint


def _hint(service, endpoint):
    """With trafficDistribution PreferClose an endpoint is for its own zone."""
    spec = service["spec"]
    close = spec.get("trafficDistribution") in ("PreferClose", "PreferSameZone", "PreferSameNode")
    if close and endpoint["conditions"]["ready"] and endpoint.get("zone"):
        endpoint["hints"] = {"forZones": [{"name": endpoint["zone"]}]}
        if spec["trafficDistribution"] == "PreferSameNode":
            endpoint["hints"]["forNodes"] = [{"name": endpoint["nodeName"]}]


def wanted_slices(service, pods, zones):
    """The slices that a service should have; pure. `zones`: of nodes."""
    groups = {}
    for family in service["spec"].get("ipFamilies") or []:
        groups.setdefault((family, "", 0), ([], []))
        for pod in pods:
            address = next(
                (
                    i["ip"]
                    for i in pod["status"].get("podIPs") or []
                    if (":" in i["ip"]) == (family == "IPv6")
                ),
                None,
            )
            if (
                not address
                or pod["status"].get("phase") in ("Succeeded", "Failed")
                or not pod["spec"].get("nodeName")
            ):
                continue
            ports = _ports(service, pod)
            part = 0
            while len(groups.setdefault((family, repr(ports), part), ([], ports))[0]) >= PER_SLICE:
                part += 1
            endpoint = _endpoint(service, pod, address, zones.get(pod["spec"]["nodeName"]))
            _hint(service, endpoint)
            groups[family, repr(ports), part][0].append(endpoint)
        if any(k[0] == family and groups[k][0] for k in groups):
            del groups[family, "", 0]
    meta = service["metadata"]
    owner = {
        "apiVersion": "v1",
        "kind": "Service",
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    slices = []
    for key, (endpoints, ports) in groups.items():
        suffix = hashlib.sha1(repr((meta["uid"], key)).encode()).hexdigest()[:5]
        labels = {
            **(meta.get("labels") or {}),
            "kubernetes.io/service-name": meta["name"],
            "endpointslice.kubernetes.io/managed-by": MANAGED,
        }
        if service["spec"].get("clusterIP") == "None":
            labels["service.kubernetes.io/headless"] = ""
        slices.append(
            {
                "metadata": {
                    "name": f"{meta['name']}-{suffix}",
                    "namespace": meta["namespace"],
                    "labels": labels,
                    "ownerReferences": [owner],
                },
                "addressType": key[0],
                "endpoints": endpoints,
                "ports": ports,
            }
        )
    return slices


class EndpointSlices:
    def __init__(self, client, informers):
        self.client = client
        self.services, self.pods, self.slices, self.nodes = (
            informers[k] for k in ("Service", "Pod", "EndpointSlice", "Node")
        )
        self.queue = WorkQueue("endpointslices", self.reconcile)
        self.services.listen(lambda old, new: self._add(new or old))
        self.pods.listen(self._pod)
        self.slices.listen(self._slice)
        self.nodes.listen(self._node)

    def start(self):
        self.queue.start()

    def _add(self, service):
        self.queue.add((service["metadata"]["namespace"], service["metadata"]["name"]))

    def _pod(self, old, new):
        namespace = (new or old)["metadata"]["namespace"]
        for service in list(self.services.objects.values()):
            if service["metadata"]["namespace"] == namespace and any(
                p and self._selects(service, p) for p in (old, new)
            ):
                self._add(service)

    @staticmethod
    def _zone(node):
        return (node["metadata"].get("labels") or {}).get("topology.kubernetes.io/zone")

    def _node(self, old, new):
        if (old and self._zone(old)) != (new and self._zone(new)):
            for service in list(self.services.objects.values()):
                self._add(service)

    def _slice(self, old, new):
        meta = (new or old)["metadata"]
        labels = meta.get("labels") or {}
        if (
            labels.get("endpointslice.kubernetes.io/managed-by") == MANAGED
            and "kubernetes.io/service-name" in labels
        ):
            self.queue.add((meta["namespace"], labels["kubernetes.io/service-name"]))

    @staticmethod
    def _selects(service, pod):
        selector, labels = service["spec"].get("selector"), pod["metadata"].get("labels") or {}
        return bool(selector) and all(labels.get(k) == v for k, v in selector.items())

    def reconcile(self, key):
        service = self.services.objects.get(key)
        if (
            service is None
            or not service["spec"].get("selector")
            or service["spec"].get("type") == "ExternalName"
        ):
            return  # the garbage collector takes the slices of a service that is gone
        pods = [
            p
            for k, p in sorted(self.pods.objects.items())
            if k[0] == key[0] and self._selects(service, p)
        ]
        zones = {n: self._zone(node) for (_, n), node in list(self.nodes.objects.items())}
        have = {
            s["metadata"]["name"]: s
            for s in list(self.slices.objects.values())
            if s["metadata"]["namespace"] == key[0]
            and (s["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == key[1]
            and s["metadata"]["labels"].get("endpointslice.kubernetes.io/managed-by") == MANAGED
        }
        for wanted in wanted_slices(service, pods, zones):
            self._write(key[0], wanted, have.pop(wanted["metadata"]["name"], None))
        for name in have:
            self.client.delete("EndpointSlice", key[0], name)

    def _write(self, namespace, wanted, have):
        if have is None:
            try:
                self.client.create("EndpointSlice", namespace, wanted)
            except Failure as error:
                if error.reason != "AlreadyExists":  # the informer is about to show it
                    raise
        elif (
            any(have.get(f) != wanted[f] for f in ("endpoints", "ports"))
            or have["metadata"].get("labels") != wanted["metadata"]["labels"]
        ):
            wanted["metadata"]["resourceVersion"] = have["metadata"]["resourceVersion"]
            self.client.update("EndpointSlice", wanted)
