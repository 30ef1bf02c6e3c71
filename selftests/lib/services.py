# SPDX-License-Identifier: Apache-2.0
"""What tests of services share: making them, waiting until they are programmed, and asking them.

The client pod is `client` on node1, and the router outside sends virtual addresses to node1.
"""
from cluster import backend, poll

FAMILIES = ("v4", "v6")
PROTOCOLS = ("TCP", "UDP")
KINDS = [(family, protocol) for family in FAMILIES for protocol in PROTOCOLS]
VIRTUAL = ("172.29.0.0/16", "fd00:29::/48")


def prepare(cluster):
    cluster.apply(backend("client", "node1"))
    cluster.ready("client")
    for prefix in VIRTUAL:
        cluster.demo("route", prefix, "node1")


def of_family(addresses, family):
    return next(a for a in addresses if (":" in a) == (family == "v6"))


def node_ip(net, node, family):
    found = net.get("node", node)["status"]["addresses"]
    return of_family([a["address"] for a in found if a["type"] == "InternalIP"], family)


def place(net, name, family="v4", protocol="TCP", frontend="ClusterIP", node="node1"):
    """[protocol, address, port]"""
    service = net.get("service", name)
    spec = service["spec"]
    port = next(p for p in spec["ports"] if p["protocol"] == protocol)
    if frontend == "NodePort":
        return [protocol, node_ip(net, node, family), port["nodePort"]]
    if frontend == "LoadBalancer":
        addresses = [i["ip"] for i in service["status"]["loadBalancer"]["ingress"]]
    else:
        addresses = spec["clusterIPs"]
    return [protocol, of_family(addresses, family), port["port"]]


def ask(net, client, to, timeout=10.0, times=1):
    """Names of the backends that answered, or of the errors."""
    places = [to] * times
    answers, error = net.client(client).ask("batch", {"places": places, "timeout": timeout})
    assert error is None, error
    return [found[0] if isinstance(found, list) else found for found, _ in answers]


def states(net, node, name):
    """Backends of a service, by pod, as a node's agent knows them."""
    found = net.services(node).get(("default", name))
    ports = found["ports"] if found else []
    return {pod_of(b): b["state"] for p in ports for b in p["backends"] if b["pod"]}


def lacks(known, made, pods):
    """What an agent's object of a service lacks to serve it with exactly these pods, or None."""
    if known is None:
        return "the service"
    ingress = (made["status"].get("loadBalancer") or {}).get("ingress") or []
    addresses = {*made["spec"]["clusterIPs"], *made["spec"].get("externalIPs", [])}
    addresses |= {i["ip"] for i in ingress}
    if len(known["ports"]) != len(made["spec"]["ports"]):
        return "a port"
    for port in known["ports"]:
        frontends = {f["address"] for f in port["frontends"]}
        if addresses - frontends:
            return f"frontends {addresses - frontends}"
        if made["spec"]["type"] != "ClusterIP" and "NodePort" not in kinds(port):
            return "the node port"
        ready = [b for b in port["backends"] if b["state"] == "ready"]
        want = len(made["spec"]["ipFamilies"]) * len(pods)
        if len({b["address"] for b in ready}) != want or {pod_of(b) for b in ready} != set(pods):
            return f"backends {pods}"
    return None


def kinds(port):
    return {f["kind"] for f in port["frontends"]}


def pod_of(one):
    """The name of a backend's pod."""
    return (one["pod"] or "").split("/")[-1]


def serves(net, service, *pods, nodes=("node1", "node2", "node3")):
    """Waits until these nodes serve all of a service's addresses, with exactly these pods ready."""
    made = net.get("service", service)
    for node in nodes:
        known = lambda node=node: net.services(node).get(("default", service))  # noqa: E731
        poll(
            lambda: lacks(known(), made, pods) is None,
            60,
            lambda: f"{node}: '{service}' lacks {lacks(known(), made, pods)}: {known()}\n"
            + what_is_there(net, node, service),
        )


def what_is_there(net, node, service):
    """For who waits in vain: how far it has come."""
    reflected = net.etcd(f"/netloom/k8s/service/default/{service}")
    slices = [k for k in net.etcd("/netloom/k8s/endpointslice/default/") if f"/{service}-" in k]
    return "\n".join([
        f"in etcd: {reflected}, {slices}, {net.etcd('/netloom/ksr/')}",
        net.node(node, "netloom", "status", check=False),
        net.demo("logs", "ksr", check=False).stdout[-2000:],
        net.demo("logs", f"agent-{node}", check=False).stdout[-2000:],
    ])


def make(net, made, *objects, nodes=("node1", "node2", "node3")):
    """A service and its backends, ready and programmed on these nodes."""
    net.apply(made, *objects)
    names = [o["metadata"]["name"] for o in objects]
    net.ready(*names) if names else None
    if made["spec"].get("type") == "LoadBalancer":
        name = made["metadata"]["name"]
        poll(lambda: net.get("service", name)["status"]["loadBalancer"], 60, "an address for it")
    serves(net, made["metadata"]["name"], *names, nodes=nodes)


def gone(net, *names):
    net.kubectl("delete", "service", "--ignore-not-found", *names)
    found = net.get("pods")["items"]
    pods = [p["metadata"]["name"] for p in found if p["metadata"]["labels"].get("app") in names]
    if pods:
        net.delete(*pods)


def three(name):
    """Backends NAME-1 to NAME-3, a node each, of one service."""
    made = [backend(f"{name}-{i}", f"node{i}") for i in (1, 2, 3)]
    for one in made:
        one["metadata"]["labels"]["app"] = name
    return made
