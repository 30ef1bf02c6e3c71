# SPDX-License-Identifier: Apache-2.0
"""Services: address families, cluster IPs, node ports and health check ports, as the API server gives them."""
import ipaddress

from .defaults import fill_in
from .errors import invalid

NODE_PORTS = range(30000, 32768)
TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")


class ServiceAllocator:
    """Cluster IPs and node ports. What is taken is read anew for each request: there is nothing to leak."""

    def __init__(self, cidrs, services):
        self._networks = {f"IPv{n.version}": n for n in map(ipaddress.ip_network, cidrs)}
        self._services = services

    def _taken(self, skip):
        """Addresses, and (protocol, port) of node ports, of all services but one."""
        ips, ports = set(), set()
        for svc in self._services():
            if (svc["metadata"]["namespace"], svc["metadata"]["name"]) == skip:
                continue
            ips.update(svc["spec"].get("clusterIPs") or [])
            for port in svc["spec"].get("ports") or []:
                if port.get("nodePort"):
                    ports.add((port["protocol"], port["nodePort"]))
            if svc["spec"].get("healthCheckNodePort"):
                ports.add(("TCP", svc["spec"]["healthCheckNodePort"]))
        return ips, ports

    def allocate(self, res, obj, old):
        spec, meta = obj["spec"], obj["metadata"]
        before = (old or {}).get("spec") or {}
        if spec["type"] not in TYPES:
            self._refuse(res, obj, "spec.type", f"Unsupported value: {spec['type']!r}")
        if spec["type"] == "ExternalName":
            for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                spec.pop(field, None)
            return
        self._adopt(res, obj, before)
        ips, ports = self._taken((meta["namespace"], meta["name"]))
        self._families(res, obj)
        self._cluster_ips(res, obj, ips)
        self._node_ports(res, obj, before, ports)
        if spec["type"] != "LoadBalancer":
            obj["status"] = {**obj.get("status", {}), "loadBalancer": {}}

    @staticmethod
    def _refuse(res, obj, field, why):
        raise invalid(res, obj["metadata"]["name"], field, why)

    def _adopt(self, res, obj, before):
        """What an update leaves out stays as it was; the first address may not change."""
        spec = obj["spec"]
        if spec.get("clusterIP") and not spec.get("clusterIPs"):
            spec["clusterIPs"] = [spec["clusterIP"]]
        if before.get("clusterIPs"):
            policy = spec.get("ipFamilyPolicy")
            fields = ["clusterIP", "clusterIPs", "ipFamilies"]
            if spec.get("clusterIPs") == before["clusterIPs"][:1] and policy != "SingleStack":
                spec.pop("clusterIPs")  # only the first one was said
            fill_in(spec, {k: before[k] for k in fields if k in before})
            fill_in(spec, {"ipFamilyPolicy": before.get("ipFamilyPolicy")})
            if spec["clusterIPs"][0] != before["clusterIPs"][0]:
                self._refuse(res, obj, "spec.clusterIPs[0]", "Invalid value: field is immutable")
        fill_in(spec, {"clusterIPs": []})

    def _families(self, res, obj):
        spec = obj["spec"]
        have = list(self._networks)
        asked = spec.get("ipFamilies") or []
        addresses = [a for a in spec["clusterIPs"] if a != "None"]
        if not spec.get("ipFamilyPolicy"):
            both = len(asked) > 1 or len(addresses) > 1
            spec["ipFamilyPolicy"] = "RequireDualStack" if both else "SingleStack"
        if spec["ipFamilyPolicy"] == "RequireDualStack" and len(have) < 2:
            self._refuse(res, obj, "spec.ipFamilyPolicy", "this cluster has one address family")
        of_addresses = [self._family(res, obj, a) for a in addresses]
        families = [f for f in asked if f]
        families += [f for f in [*of_addresses, *have] if f not in families]
        families = families[: 1 if spec["ipFamilyPolicy"] == "SingleStack" else 2]
        for family in families:
            if family not in have:
                self._refuse(res, obj, "spec.ipFamilies", f"{family} is not configured")
        if of_addresses != families[: len(of_addresses)]:
            if spec["ipFamilyPolicy"] != "SingleStack":
                self._refuse(res, obj, "spec.clusterIPs", "families differ from spec.ipFamilies")
            spec["clusterIPs"] = spec["clusterIPs"][:1]
        spec["ipFamilies"] = families

    def _family(self, res, obj, address):
        try:
            return f"IPv{ipaddress.ip_address(address).version}"
        except ValueError:
            self._refuse(res, obj, "spec.clusterIPs", f"Invalid value: {address!r}")
        return None

    def _cluster_ips(self, res, obj, taken):
        spec = obj["spec"]
        if "None" in (spec.get("clusterIP"), *spec["clusterIPs"]):
            spec["clusterIPs"] = ["None"]
        else:
            asked = spec["clusterIPs"]
            spec["clusterIPs"] = [
                self._address(res, obj, family, taken, asked[i] if i < len(asked) else None)
                for i, family in enumerate(spec["ipFamilies"])
            ]
        spec["clusterIP"] = spec["clusterIPs"][0]

    def _address(self, res, obj, family, taken, asked):
        network = self._networks[family]
        if asked:
            if asked in taken or ipaddress.ip_address(asked) not in network:
                why = f"Invalid value: {asked!r}: not in {network} or already allocated"
                self._refuse(res, obj, "spec.clusterIPs", why)
            return asked
        for offset in range(10, min(network.num_addresses - 1, 65000)):
            address = str(network[offset])
            if address not in taken:
                return address
        return self._refuse(res, obj, "spec.clusterIPs", "no address is free")

    def _node_ports(self, res, obj, before, taken):
        spec = obj["spec"]
        served = spec["type"] in ("NodePort", "LoadBalancer")
        if served:
            self._keep(spec, before)
        else:
            for port in spec.get("ports") or []:
                port.pop("nodePort", None)
        mine = set()
        for i, port in enumerate(spec.get("ports") or []):
            if port.get("nodePort"):
                self._claim(res, obj, f"spec.ports[{i}].nodePort", port, taken | mine)
                mine.add((port["protocol"], port["nodePort"]))
        wanted = served and spec.get("allocateLoadBalancerNodePorts", True)
        for port in spec.get("ports") or []:
            if wanted and not port.get("nodePort"):
                port["nodePort"] = self._free(res, obj, port["protocol"], taken | mine)
                mine.add((port["protocol"], port["nodePort"]))
        self._health_port(res, obj, before, taken | mine)

    @staticmethod
    def _keep(spec, before):
        had = {(p["port"], p["protocol"]): p.get("nodePort") for p in before.get("ports") or []}
        for port in spec.get("ports") or []:
            if not port.get("nodePort") and had.get((port["port"], port["protocol"])):
                port["nodePort"] = had[port["port"], port["protocol"]]

    def _claim(self, res, obj, field, port, taken):
        if port["nodePort"] not in NODE_PORTS:
            why = f"Invalid value: {port['nodePort']}: not in the range of node ports, 30000-32767"
            self._refuse(res, obj, field, why)
        if (port["protocol"], port["nodePort"]) in taken:
            self._refuse(res, obj, field, f"Invalid value: {port['nodePort']}: allocated already")

    def _free(self, res, obj, protocol, taken):
        for number in NODE_PORTS:
            if (protocol, number) not in taken:
                return number
        return self._refuse(res, obj, "spec.ports", "no node port is free")

    def _health_port(self, res, obj, before, taken):
        spec = obj["spec"]
        if spec["type"] != "LoadBalancer" or spec.get("externalTrafficPolicy") != "Local":
            spec.pop("healthCheckNodePort", None)
            return
        fill_in(spec, {"healthCheckNodePort": before.get("healthCheckNodePort")})
        if spec["healthCheckNodePort"]:
            port = {"protocol": "TCP", "nodePort": spec["healthCheckNodePort"]}
            self._claim(res, obj, "spec.healthCheckNodePort", port, taken)
        else:
            spec["healthCheckNodePort"] = self._free(res, obj, "TCP", taken)
