# SPDX-License-Identifier: Apache-2.0
"""A service's address against its backend's own, with few and with many services beside it.

Three worlds stand side by side: netloom, the iptables rules that kube-proxy writes, and the maps and chains of its nftables
mode. In each, client and server are on one node, and the service that is measured has that server as its one backend. The
other services are there to be searched: one port each, ten backends the first thousand and one the rest (nft takes minutes to
load more), of which none is ever used. In the lists of iptables the measured one stands in the middle; what is for no
service walks all of them.
"""
import base64
import json
import os
import time

from . import net, report, worlds

SIZES = [int(n) for n in os.environ.get("SERVICES", "10,1000,10000").split(",")]
BACKENDS = 10
PORTS = [7000, 7001, 7002, 7010, 7011, 7012]  # of netbench's two servers
VIP = "10.96.200.1"
MODES = net.modes("stream", "rr", "crr")


def other_vip(i):
    return f"10.90.{i >> 8}.{i & 255}"


def other_backends(i):
    first, count = (i * BACKENDS, BACKENDS) if i < 1000 else (1000 * BACKENDS + i, 1)
    return [f"10.89.{b >> 8}.{b & 255}" for b in range(first, first + count)]


class KubeProxy:
    """A routed node as kube-proxy finds it; subclasses write its rules."""

    def __init__(self, tag):
        self.ns = ns = worlds.Namespaces(tag)
        ns.add("node")
        for i in (1, 2):
            ns.add(f"p{i}")
            ns.veth("node", f"pod{i}", f"p{i}", "eth0")
            ns.ip(f"p{i}", "addr", "add", f"10.96.{i}.2/24", "dev", "eth0")
            ns.ip("node", "addr", "add", f"10.96.{i}.1/24", "dev", f"pod{i}")
            ns.ip(f"p{i}", "route", "add", "default", "via", f"10.96.{i}.1")
        ns.sysctl("node", "net.ipv4.ip_forward", 1)
        self.client, self.server, self.address = ns.enter("p1"), ns.enter("p2"), "10.96.2.2"
        self.service = VIP

    def forget_soon(self):
        """The table of connections is the whole machine's, and must not fill up."""
        self.ns.sysctl("node", "net.netfilter.nf_conntrack_tcp_timeout_time_wait", 1)

    def services(self, n):
        """(address, port, backends) of all, the measured one in the middle."""
        others = [(other_vip(i), 80, other_backends(i)) for i in range(n - 1)]
        own = [(VIP, port, [self.address]) for port in PORTS]
        return others[: len(others) // 2] + own + others[len(others) // 2:]

    def feed(self, command, text):
        worlds.sh(*self.ns.enter("node"), *command, input=text)

    def close(self):
        self.ns.close()


class Iptables(KubeProxy):
    """kube-proxy's iptables mode: a chain of all services, one a service, one an endpoint."""
    name = "iptables"

    def __init__(self):
        super().__init__("ipt")
        self.fill(SIZES[0])
        self.forget_soon()

    def fill(self, n):
        chains, rules = [":KUBE-SERVICES - [0:0]", ":KUBE-POSTROUTING - [0:0]", ":KUBE-MARK-MASQ - [0:0]"], [
            "-A PREROUTING -j KUBE-SERVICES", "-A OUTPUT -j KUBE-SERVICES", "-A POSTROUTING -j KUBE-POSTROUTING",
            "-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000",
            "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN", "-A KUBE-POSTROUTING -j MASQUERADE"]
        for s, (address, port, backends) in enumerate(self.services(n)):
            chains.append(f":KUBE-SVC-{s} - [0:0]")
            rules.append(f"-A KUBE-SERVICES -d {address}/32 -p tcp -m tcp --dport {port} -j KUBE-SVC-{s}")
            for b, backend in enumerate(backends):
                left = len(backends) - b
                choice = f"-m statistic --mode random --probability {1 / left:.10f} " if left > 1 else ""
                chains.append(f":KUBE-SEP-{s}-{b} - [0:0]")
                rules += [f"-A KUBE-SVC-{s} {choice}-j KUBE-SEP-{s}-{b}",
                          f"-A KUBE-SEP-{s}-{b} -s {backend}/32 -j KUBE-MARK-MASQ",
                          f"-A KUBE-SEP-{s}-{b} -p tcp -m tcp -j DNAT --to-destination {backend}:{port}"]
        self.feed(["iptables-restore"], "\n".join(["*nat", *chains, *rules, "COMMIT", ""]))


class Nftables(KubeProxy):
    """kube-proxy's nftables mode: one map of all services, chains for services and endpoints."""
    name = "nftables"

    def __init__(self):
        super().__init__("nft")
        self.fill(SIZES[0])
        self.forget_soon()

    def fill(self, n):
        lines, elements = ["table ip kube-proxy", "delete table ip kube-proxy", "table ip kube-proxy {"], []
        lines.append("chain mark-for-masquerade { meta mark set meta mark or 0x4000; }")
        for s, (address, port, backends) in enumerate(self.services(n)):
            for b, backend in enumerate(backends):
                lines.append(f"chain endpoint-{s}-{b} {{ ip saddr {backend} jump mark-for-masquerade; "
                             f"meta l4proto tcp dnat to {backend}:{port}; }}")
            choice = ", ".join(f"{b} : goto endpoint-{s}-{b}" for b in range(len(backends)))
            lines.append(f"chain service-{s} {{ numgen random mod {len(backends)} vmap {{ {choice} }}; }}")
            elements.append(f"{address} . tcp . {port} : goto service-{s}")
        lines += ["map service-ips { type ipv4_addr . inet_proto . inet_service : verdict;",
                  "elements = { " + ", ".join(elements) + " }; }",
                  "chain services { ip daddr . meta l4proto . th dport vmap @service-ips; }",
                  "chain nat-prerouting { type nat hook prerouting priority -100; jump services; }",
                  "chain nat-output { type nat hook output priority -100; jump services; }",
                  "chain nat-postrouting { type nat hook postrouting priority 100; "
                  "meta mark & 0x4000 == 0x4000 masquerade; }", "}"]
        self.feed(["nft", "-f", "-"], "\n".join(lines))


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def put(world, pairs):
    """Into the etcd of a demo, in one transaction."""
    puts = [{"requestPut": {"key": encoded(k), "value": encoded(json.dumps(v))}} for k, v in pairs.items()]
    url = worlds.sh(*world.demo, "node", "control", "--", "sh", "-c", "echo $ETCDCTL_ENDPOINTS").strip()
    worlds.sh(*world.demo, "node", "control", "--", "curl", "-sSf", "--data-binary", "@-", f"{url}/v3/kv/txn",
              input=json.dumps({"success": puts}))


class Netloom(worlds.Netloom):
    """The measured service comes by the API server; the others are put into etcd as ksr would reflect them."""

    def __init__(self):
        super().__init__("vxlan", True, nodes=1)
        self.services = 1
        self.service = VIP
        try:
            self.kubectl(json.dumps(self.measured()))
            self.wait(1)
            # ksr would remove what Kubernetes knows nothing of.
            worlds.sh(*self.demo, "ksr", "stop")
            self.fill(SIZES[0])
        except RuntimeError:
            self.close()
            raise

    def kubectl(self, text):
        worlds.sh(*self.demo, "kubectl", "apply", "-f", "-", input=text)

    def measured(self):
        ports = [{"name": f"p{p}", "port": p, "targetPort": p} for p in PORTS]
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "measured"},
                   "spec": {"clusterIP": VIP, "ports": ports}}
        endpoints = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                     "metadata": {"name": "measured-1", "labels": {"kubernetes.io/service-name": "measured"}},
                     "endpoints": [{"addresses": [self.address], "nodeName": "node1", "conditions": {"ready": True}}],
                     "ports": [{"name": p["name"], "port": p["port"], "protocol": "TCP"} for p in ports]}
        return {"apiVersion": "v1", "kind": "List", "items": [service, endpoints]}

    def other(self, i):
        meta = {"namespace": "other", "name": f"s{i}", "creationTimestamp": "2026-01-01T00:00:00Z"}
        service = {"metadata": meta, "spec": {"clusterIP": other_vip(i), "clusterIPs": [other_vip(i)],
                                              "type": "ClusterIP", "ipFamilies": ["IPv4"],
                                              "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]}}
        endpoints = {"metadata": {**meta, "name": f"s{i}-1", "labels": {"kubernetes.io/service-name": f"s{i}"}},
                     "addressType": "IPv4", "ports": [{"name": "", "port": 80, "protocol": "TCP"}],
                     "endpoints": [{"addresses": [a], "nodeName": "node1", "conditions": {"ready": True}}
                                   for a in other_backends(i)]}
        return {f"/netloom/k8s/service/other/s{i}": service, f"/netloom/k8s/endpointslice/other/s{i}-1": endpoints}

    def fill(self, n):
        for first in range(self.services - 1, n - 1, 60):
            pairs = {}
            for i in range(first, min(first + 60, n - 1)):
                pairs.update(self.other(i))
            put(self, pairs)
        self.services = max(self.services, n)
        self.wait(n)

    def wait(self, n):
        """Until the node's table holds them all: the others, and the measured one's ports."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            text = worlds.sh(*self.demo, "node", "node1", "--", "netloom", "dump", "svc", "-o", "json")
            if len(json.loads(text)) >= n - 1 + len(PORTS):
                return
            time.sleep(0.2)
        raise RuntimeError(f"not all of {n} services are programmed")


def measure(out, opened, servers, mode, turn):
    """One round: each world's backend and service."""
    row = {}
    for world, server in net.in_turn(list(zip(opened, servers)), turn):
        for what, address in net.in_turn([("pod", world.address), ("service", world.service)], turn):
            at = type("Place", (), {"name": world.name, "client": world.client, "address": address})
            row[world.name, what] = net.measure(out, at, server, mode)
    return row


def compare(out, opened, servers, n):
    result = {}
    for mode in MODES:
        rows = [measure(out, opened, servers, mode, turn) for turn in range(net.ROUNDS)]
        result[mode] = {}
        print(f"{mode}, {n} services")
        for world in opened:
            name = world.name
            own = report.ratio([r[name, "service"] for r in rows], [r[name, "pod"] for r in rows])
            line = f"  {name:<12} service / pod: {own['median']:.3f}  ({own['min']:.3f} – {own['max']:.3f})"
            result[mode][name] = {"service / pod": own, "rows": [r[name, "service"] for r in rows]}
            if world is not opened[-1]:
                ours = report.ratio([r[opened[-1].name, "service"] for r in rows], [r[name, "service"] for r in rows])
                result[mode][name]["netloom / this"] = ours
                line += f"   netloom / this: {ours['median']:.3f}  ({ours['min']:.3f} – {ours['max']:.3f})"
            print(line, flush=True)
    return result


def services(out, results):
    opened, servers = [], []
    try:
        for make in (Iptables, Nftables, Netloom):
            opened.append(make())
            servers.append(net.Servers(out, opened[-1]))
        results["services"] = {}
        for n in SIZES:
            for world in opened:
                world.fill(n)
            results["services"][n] = compare(out, opened, servers, n)
    finally:
        for server in servers:
            server.close()
        for world in reversed(opened):
            world.close()
