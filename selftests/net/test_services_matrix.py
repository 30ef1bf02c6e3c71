# SPDX-License-Identifier: Apache-2.0
"""Every client reaches every kind of service: {pod, host, outside} x {ClusterIP, NodePort, externalIP,
LoadBalancer} x {local, remote, host-network backend} x {v4, v6} x {TCP, UDP} x transport x socket LB.

Clients are on node1, and the router outside sends all to node1. A service has one backend, so that the
answer says whether it was the right one, and whom it saw.
"""
import pytest
from cluster import Cluster, backend, poll, service
from services import VIRTUAL, of_family, serves

# where the one backend is -> node, in the host's network
BACKENDS = {
    "local": ("node1", False),
    "remote": ("node2", False),
    "host-local": ("node1", True),
    "host-remote": ("node2", True),
}
FRONTENDS = ("ClusterIP", "NodePort", "NodePort-other", "ExternalIP", "LoadBalancer")
WORLDS = {
    "vxlan-host": ("vxlan", "host", "off"),
    "vxlan-off": ("vxlan", "off", "off"),
    "native-all": ("native", "all", "off"),
    "native-off": ("native", "off", "off"),
    "vxlan-xdp": ("vxlan", "host", "on"),
    "native-xdp": ("native", "host", "on"),
}
GATEWAYS = ("169.254.1.1", "fd6c:6f6f:6d::1")


class World:
    """Services named after the place of their backend; with `-kept`, under externalTrafficPolicy Local."""

    def __init__(self, cluster):
        self.cluster = cluster
        objects = [backend("client", "node1")]
        for i, (place, (node, host)) in enumerate(BACKENDS.items()):
            port = 8100 + i
            objects.append(backend(place, node, port, hostNetwork=host))
            kept = (False, True) if node == "node1" else (False,)
            objects += [self._service(place, port, 10 * i, keep) for keep in kept]
        cluster.apply(*objects)
        cluster.ready("client", *BACKENDS)
        self.addresses = {pod: cluster.ips(pod) for pod in ("client", *BACKENDS)}
        for node in cluster.get("nodes")["items"]:
            found = [a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"]
            self.addresses[node["metadata"]["name"]] = found
        for prefix in VIRTUAL:
            cluster.demo("route", prefix, "node1")
        self.services = self._programmed()
        self.clients = {"pod": "client", "host": "node1", "outside": "external"}
        for where in self.clients.values():
            cluster.client(where)
        self._direct = {}

    @staticmethod
    def _service(place, port, number, keep):
        number += 100 + keep
        return service(
            place + ("-kept" if keep else ""),
            {"app": place},
            [
                {"name": p.lower(), "protocol": p, "port": 80, "targetPort": port}
                for p in ("TCP", "UDP")
            ],
            type="LoadBalancer",
            externalIPs=[f"172.29.1.{number}", f"fd00:29:0:1::{number}"],
            externalTrafficPolicy="Local" if keep else "Cluster",
        )

    def _programmed(self):
        """Waits until both nodes serve all, and returns the services."""
        names = [p + s for p in BACKENDS for s in ("", "-kept") if not s or "remote" not in p]
        balanced = lambda n: self.cluster.get("service", n)["status"]["loadBalancer"]  # noqa: E731
        for name in names:
            poll(lambda: balanced(name), 60, f"an address for '{name}'")
            serves(self.cluster, name, name.removesuffix("-kept"), nodes=("node1", "node2"))
        items = self.cluster.get("services")["items"]
        return {s["metadata"]["name"]: s for s in items if s["metadata"]["name"] in names}

    def place(self, name, frontend, family, protocol):
        """[protocol, address, port] of a frontend."""
        spec, status = self.services[name]["spec"], self.services[name]["status"]
        port = next(p for p in spec["ports"] if p["protocol"] == protocol)
        addresses = {
            "ClusterIP": spec["clusterIPs"],
            "NodePort": self.addresses["node1"],
            "NodePort-other": self.addresses["node2"],
            "ExternalIP": spec["externalIPs"],
            "LoadBalancer": [i["ip"] for i in status["loadBalancer"]["ingress"]],
        }[frontend]
        number = port["nodePort"] if frontend.startswith("NodePort") else port["port"]
        return [protocol, of_family(addresses, family), number]

    def batch(self, client, places, timeout=10.0):
        return self.cluster.client(self.clients[client]).ask(
            "batch", {"places": places, "timeout": timeout}
        )

    def direct(self, client, place, family, protocol):
        """Whom the backend sees when the client asks it without a service."""
        key = (client, place, family, protocol)
        if key not in self._direct:
            port = 8100 + list(BACKENDS).index(place)
            to = [protocol, of_family(self.addresses[place], family), port]
            answers, error = self.batch(client, [to])
            assert error is None and isinstance(answers[0][0], list), (key, answers, error)
            self._direct[key] = answers[0][0][1]
        return self._direct[key]

    def seen(self, client, name, frontend, family, protocol):
        """The addresses that the backend may see."""
        place = name.removesuffix("-kept")
        node1 = self.addresses["node1"]
        if client == "outside":
            outside = "172.31.0.10" if family == "v4" else "fd00:31::a"
            if "remote" not in place and frontend != "NodePort-other":
                return [outside]  # a local backend sees the client itself, under both policies
            entered = "node2" if frontend == "NodePort-other" else "node1"
            own = [outside] if BACKENDS[place][0] == entered else []
            return own or [of_family(self.addresses[entered], family)]
        if client == "pod" and not BACKENDS[place][1]:
            return [of_family(self.addresses["client"], family)]
        expected = [self.direct(client, place, family, protocol)]
        if frontend == "NodePort-other":  # the node that was asked may stand in for the client
            expected += self.addresses["node2"]
        if client == "host":
            expected += [*node1, *(GATEWAYS if place == "host-local" else ())]
        return expected


@pytest.fixture(scope="module", params=list(WORLDS))
def world(request):
    transport, sockets, xdp = WORLDS[request.param]
    options = ["--nodes", "2", "--transport", transport, "--socket-lb", sockets, "--xdp", xdp]
    with Cluster(*options) as cluster:
        yield World(cluster)


def with_xdp(world):
    """XDP serves clients outside; for others it is the world without."""
    return WORLDS[world][2] == "on"


def not_served(world, client, frontend):
    _, sockets, _ = WORLDS[world]
    if client == "outside":
        return frontend == "ClusterIP"  # test_cluster_ips_are_not_served_to_the_outside
    # A host's own NodePort goes over lo: that needs the socket programs.
    return with_xdp(world) or (client == "host" and frontend == "NodePort" and sockets == "off")


@pytest.mark.unless(case=not_served)
@pytest.mark.parametrize("frontend", FRONTENDS)
@pytest.mark.parametrize("client", ["pod", "host", "outside"])
def test_the_client_reaches_the_backend_which_sees_whom_it_should(world, client, frontend):
    # Another node has no backend of its own for those: test_services_life.
    all_nodes = client != "outside" or frontend != "NodePort-other"
    cells = [
        (name, family, protocol)
        for name in sorted(world.services)
        if all_nodes or not name.endswith("-kept")
        for family in ("v4", "v6")
        for protocol in ("TCP", "UDP")
    ]
    places = [world.place(name, frontend, *rest) for name, *rest in cells]
    answers, error = world.batch(client, places)
    assert error is None, error
    wrong = []
    for (name, family, protocol), place, (found, _) in zip(cells, places, answers):
        cell = f"{client} -> {frontend} of {name} {family} {protocol} ({place[1]}:{place[2]})"
        if not isinstance(found, list) or found[0] != name.removesuffix("-kept"):
            wrong.append(f"{cell}: {found}")
            continue
        seen = world.seen(client, name, frontend, family, protocol)
        if found[1] not in seen:
            wrong.append(f"{cell}: the backend saw {found[1]}, not {' or '.join(seen)}")
    assert not wrong, f"{len(wrong)} of {len(cells)}:\n" + "\n".join(wrong)


def sent_by_xdp(world, node):
    lines = world.cluster.node(node, "curl", "-fsS", "http://127.0.0.1:9990/metrics").splitlines()
    wanted = 'netloom_datapath_packets_total{hook="xdp_uplink",result="forwarded"'
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith(wanted))


@pytest.mark.unless(case=lambda world: not with_xdp(world))
def test_what_leaves_the_node_again_goes_by_xdp(world):
    """Connections from outside to a backend elsewhere, both ways, and nothing else."""

    def ask(name):
        """Asks four times and returns how many packets had gone by XDP before."""
        places = [world.place(name, "NodePort", f, p) for f in ("v4", "v6") for p in ("TCP", "UDP")]
        before = sent_by_xdp(world, "node1")
        answers, error = world.batch("outside", places)
        assert error is None and all(isinstance(found, list) for found, _ in answers), answers
        return before

    before = ask("remote")
    sent = lambda: sent_by_xdp(world, "node1") - before  # noqa: E731
    poll(lambda: sent() >= 2 * (2 + 2 * 4), 60, lambda: f"their packets go by XDP: {sent()}")
    # Connections of before may still have been ending.
    none = lambda: ask("local") == sent_by_xdp(world, "node1")  # noqa: E731
    poll(none, 60, "packets to the node's own backend do not")


@pytest.mark.unless(case=with_xdp)
def test_cluster_ips_are_not_served_to_the_outside(world):
    for prefix in ("10.96.0.0/16", "fd00:96::/112"):
        world.cluster.demo("route", prefix, "node1")
    names = [n for n in world.services if n in BACKENDS]
    cells = [(n, f, p) for n in names for f in ("v4", "v6") for p in ("TCP", "UDP")]
    places = [world.place(name, "ClusterIP", *rest) for name, *rest in cells]
    answers, error = world.batch("outside", places, 0.5)
    assert error is None, error
    assert [c for c, (found, _) in zip(cells, answers) if isinstance(found, list)] == []


@pytest.mark.unless(case=with_xdp)
def test_a_pods_loopback_is_its_own(world):
    places = [["TCP", own, world.place("local", "NodePort", "v4", "TCP")[2]] for own in ("127.0.0.1", "::1")]
    answers, error = world.batch("pod", places)
    assert error is None and [a for a, _ in answers] == ["ECONNREFUSED"] * 2, (answers, error)


@pytest.mark.unless(case=with_xdp)
def test_a_pod_that_the_service_is_made_of_reaches_itself_by_it(world):
    helper = world.cluster.client("local")
    cells = [(f, p) for f in ("v4", "v6") for p in ("TCP", "UDP")]
    for frontend in ("ClusterIP", "NodePort", "LoadBalancer"):
        places = [world.place("local", frontend, *cell) for cell in cells]
        answers, error = helper.ask("batch", {"places": places})
        assert error is None, error
        wrong = [(c, a) for c, a in zip(cells, answers) if a[0][0] != "local"]
        assert not wrong, (frontend, wrong)
