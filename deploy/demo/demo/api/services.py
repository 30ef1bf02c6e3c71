# SPDX-License-Identifier: Apache-2.0
"""Services: address families, cluster IPs and node ports."""
import ipaddress

from .defaults import fill_in
from .errors import invalid


class ServiceAllocator:
    """Cluster IPs and node ports. `taken` is read anew for each request: there is nothing to leak."""

    def __init__(self, cidrs, services):
        self._networks = [ipaddress.ip_network(c) for c in cidrs]
        self._services = services

    def _taken(self, skip):
        ips, ports = set(), set()
        for svc in self._services():
            if (svc["metadata"]["namespace"], svc["metadata"]["name"]) == skip:
                continue
            ips.update(svc["spec"].get("clusterIPs") or [])
            for port in svc["spec"].get("ports") or []:
                ports.add(port.get("nodePort"))
            ports.add(svc["spec"].get("healthCheckNodePort"))
        return ips, ports

    def allocate(self, res, obj, old):
        spec, meta = obj["spec"], obj["metadata"]
        if spec["type"] == "ExternalName":
            return
        if old and old["spec"].get("clusterIPs"):
            fill_in(
                spec,
                {
                    k: old["spec"][k]
                    for k in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
                    if k in old["spec"]
                },
            )
        ips, ports = self._taken((meta["namespace"], meta["name"]))
        self._families(res, obj)
        if spec.get("clusterIP") == "None":
            spec["clusterIPs"] = ["None"]
        elif not spec.get("clusterIPs"):
            spec["clusterIPs"] = [
                self._address(res, obj, f, ips, spec.get("clusterIP") if i == 0 else None)
                for i, f in enumerate(spec["ipFamilies"])
            ]
            spec["clusterIP"] = spec["clusterIPs"][0]
        if spec["type"] in ("NodePort", "LoadBalancer"):
            self._node_ports(res, obj, old, ports)
        else:
            for port in spec.get("ports") or []:
                port.pop("nodePort", None)

    def _families(self, res, obj):
        spec = obj["spec"]
        have = [f"IPv{n.version}" for n in self._networks]
        fill_in(
            spec,
            {
                "ipFamilyPolicy": "SingleStack"
                if len(spec.get("ipFamilies") or []) < 2
                else "RequireDualStack"
            },
        )
        if spec["ipFamilyPolicy"] == "RequireDualStack" and len(have) < 2:
            raise invalid(
                res,
                obj["metadata"]["name"],
                "spec.ipFamilyPolicy",
                "this cluster has one address family",
            )
        if not spec.get("ipFamilies"):
            spec["ipFamilies"] = have[:1] if spec["ipFamilyPolicy"] == "SingleStack" else list(have)
        elif spec["ipFamilyPolicy"] != "SingleStack" and len(spec["ipFamilies"]) == 1:
            spec["ipFamilies"] += [f for f in have if f not in spec["ipFamilies"]]
        for family in spec["ipFamilies"]:
            if family not in have:
                raise invalid(
                    res, obj["metadata"]["name"], "spec.ipFamilies", f"{family} is not configured"
                )

    def _address(self, res, obj, family, taken, asked):
        network = next(n for n in self._networks if f"IPv{n.version}" == family)
        if asked:
            if asked in taken or ipaddress.ip_address(asked) not in network:
                raise invalid(
                    res,
                    obj["metadata"]["name"],
                    "spec.clusterIP",
                    f"Invalid value: {asked!r}: " f"not in {network} or already allocated",
                )
            return asked
        for offset in range(10, min(network.num_addresses - 1, 65000)):
            address = str(network[offset])
            if address not in taken:
                return address
        raise invalid(res, obj["metadata"]["name"], "spec.clusterIP", "no address is free")

    @staticmethod
    def _node_ports(res, obj, old, taken):
        before = {
            p.get("port"): p.get("nodePort")
            for p in ((old or {}).get("spec") or {}).get("ports") or []
        }
        free = (p for p in range(30000, 32768) if p not in taken)
        spec = obj["spec"]
        for port in spec.get("ports") or []:
            if not port.get("nodePort"):
                port["nodePort"] = before.get(port["port"]) or next(free)
                continue
            if port["nodePort"] in taken:
                raise invalid(
                    res,
                    obj["metadata"]["name"],
                    "spec.ports[].nodePort",
                    f"{port['nodePort']}: allocated",
                )
        if spec["type"] == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local":
            fill_in(spec, {"healthCheckNodePort": next(free)})
