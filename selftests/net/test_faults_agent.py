# SPDX-License-Identifier: Apache-2.0
"""The agent dies at bad moments, addresses run out, runtimes repeat themselves."""
import json
import re

import pytest
from cluster import Cluster, is_ready, pod, poll

AT_ONCE = 12


def programs(cluster, node):
    """Ids of our programs on a node: unchanged when an agent adopts what is there."""
    shown = json.loads(cluster.node(node, "bpftool", "-j", "prog", "show"))
    pinned = json.loads(cluster.node(node, "bpftool", "-j", "-f", "prog", "show"))
    mine = {
        p["id"]
        for p in pinned
        if any(x.startswith("/sys/fs/bpf/netloom") for x in p.get("pinned") or [])
    }
    return sorted(p["id"] for p in shown if p["id"] in mine)


def test_no_packet_is_lost_when_the_agent_is_killed_and_started(cluster):
    cluster.pods(("one", "node1"), ("two", "node2"))
    target = cluster.ips("two")[0]
    before = programs(cluster, "node1")
    iperf_server = cluster.start("exec", "default/two", "--", "iperf3", "-s", "-1")
    poll(lambda: "5201" in cluster.exec("two", "ss", "-Hltn"), 60, "iperf3 listens")
    stream = cluster.start(
        "exec", "default/one", "--", "iperf3", "-c", target, "-t", "4", "-J", "-b", "1G"
    )
    ping = cluster.start(
        "exec", "default/one", "--", "ping", "-nq", "-i", "0.001", "-c", "4000", "-W", "10", target
    )
    cluster.demo("agent", "node1", "kill")
    cluster.demo("agent", "node1", "start", "--wait")
    out = ping.communicate(timeout=180)[0]
    sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", out).groups())
    assert (sent, received) == (4000, 4000), out
    result = json.loads(stream.communicate(timeout=180)[0])
    assert result["end"]["sum_received"]["bytes"] > 0, result
    iperf_server.communicate(timeout=60)
    assert programs(cluster, "node1") == before
    cluster.delete("one", "two")


def attempt(action):
    try:
        return action()
    except AssertionError:
        return None


def restarted(cluster):
    cluster.demo("agent", "node1", "kill")
    cluster.demo("agent", "node1", "start", "--wait")


def tables(cluster, node):
    """The maps that the agent writes, as they are; of arrays, which are mostly zeros, the rest."""
    dump = {name: ["netloom", "dump", name, "-o", "json"] for name in ("ifcfg", "node")}
    for name in ("ep", "ip", "cidr", "state"):
        dump[name] = ["bpftool", "map", "dump", "pinned", f"/sys/fs/bpf/netloom/maps/loom_{name}"]
    return {name: cluster.node(node, *argv) for name, argv in dump.items()}


def test_a_restarted_agent_touches_nothing(cluster):
    cluster.pods(("calm", "node1"))
    only = lambda prefix: [*cluster.etcd(prefix)] == [prefix + "default/calm"]  # noqa: E731
    poll(lambda: only("/netloom/endpoint/"), 60, "the pod is published, and no other")
    ready = lambda: cluster.etcd("/netloom/k8s/pod/default/calm").popitem()[1]  # noqa: E731
    poll(lambda: only("/netloom/k8s/pod/") and is_ready(ready()), 60, "etcd knows that it is ready")
    restarted(cluster)  # an agent that starts has all that etcd has
    before = tables(cluster, "node1")
    restarted(cluster)
    records = json.loads(cluster.node("node1", "netloom", "history", "-o", "json"))["records"]
    assert any(r["method"] == "full-resync" for r in records), records
    assert [r["operations"] for r in records if r["operations"]] == []
    after = tables(cluster, "node1")
    assert [name for name in before if before[name] != after[name]] == []
    cluster.delete("calm")


def test_flows_look_again_after_a_route_changed_while_the_agent_was_away(cluster):
    def generation():
        return json.loads(cluster.node("node1", "netloom", "dump", "state", "-o", "json"))

    before = generation()
    cluster.demo("agent", "node1", "kill")
    cluster.node("node1", "ip", "route", "add", "blackhole", "192.0.2.0/24")
    cluster.demo("agent", "node1", "start", "--wait")
    poll(lambda: generation() != before, 60, lambda: f"a new generation: {before}")
    cluster.node("node1", "ip", "route", "del", "blackhole", "192.0.2.0/24")


def link_of(cluster, name):
    """Of a pod on node1. Links of pods that have gone may be there a little longer."""
    pods = json.loads(cluster.node("node1", "netloom", "pods", "-o", "json"))["pods"]
    return next(p["hostInterface"] for p in pods if p["name"] == name)


@pytest.mark.parametrize(
    "what",
    ["del loom_host", "set loom_host down", "del loom_vxlan", "del POD", "set POD down"],
)
def test_a_link_that_somebody_takes_away_is_put_back(cluster, what):
    cluster.pods(("hit", "node1"), ("far", "node2"))
    cluster.node("node1", "ip", "link", *what.replace("POD", link_of(cluster, "hit")).split())

    def whole():
        from_host = [cluster.node("node1", "ping", "-nqc1", "-W1", ip) for ip in cluster.ips("hit")]
        across = [cluster.exec("hit", "ping", "-nqc1", "-W1", ip) for ip in cluster.ips("far")]
        return from_host + across

    def status():
        return json.loads(cluster.node("node1", "netloom", "status", "-o", "json", check=False))

    poll(lambda: attempt(whole), 60, f"pings after 'ip link {what}'")
    poll(lambda: status()["ready"], 60, status)
    cluster.delete("hit", "far")


def test_routes_that_go_are_put_back(cluster):
    """With an IPv4 address the kernel takes the routes that send from it, and tells nobody."""
    cluster.pods(("asked", "node1"))
    own = lambda: cluster.node("node1", "ip", "route", "show", "proto", "110")  # noqa: E731
    before = own()
    address = cluster.node("node1", "ip", "-j", "-4", "addr", "show", "dev", "eth0", "scope", "global")
    address = json.loads(address)[0]["addr_info"][0]
    held = f"{address['local']}/{address['prefixlen']}"
    default = cluster.node("node1", "ip", "route", "show", "default").strip()
    again = f"ip addr del {held} dev eth0; ip addr add {held} dev eth0; ip route replace {default}"
    for what in (again, f"ip route del {before.splitlines()[0]}"):
        cluster.node("node1", "sh", "-c", what)
        poll(lambda: own() == before, 60, lambda: f"the routes after '{what}': {own()}")
        for ip in cluster.ips("asked"):
            cluster.node("node1", "ping", "-nqc1", "-W5", ip)
    cluster.delete("asked")


def test_the_nodes_address_follows_its_node_object(cluster):
    """As a cloud's controller writes it, after the agent has started."""
    node = lambda: cluster.get("node", "node1")["status"]["addresses"]  # noqa: E731
    before, other = node(), "172.30.0.77"

    def settles(addresses, want):
        patch = json.dumps({"status": {"addresses": addresses}})
        what = ["--subresource=status", "--type=merge", "-p", patch]
        cluster.kubectl("patch", "node", "node1", *what)
        shown = lambda: json.loads(cluster.node("node1", "netloom", "status", "-o", "json"))  # noqa: E731
        poll(lambda: shown()["modules"]["uplink"]["address4"] == want, 60, lambda: f"{want}: {shown()}")

    cluster.node("node1", "ip", "addr", "add", f"{other}/24", "dev", "eth0")
    settles([{"type": "InternalIP", "address": other}, *before], other)
    settles(before, next(a["address"] for a in before if "." in a["address"]))
    cluster.node("node1", "ip", "addr", "del", f"{other}/24", "dev", "eth0")
    poll(lambda: is_ready(cluster.get("node", "node1")), 60, "node1 is ready")


@pytest.mark.parametrize("what", ["tc qdisc del dev POD clsact", "tc filter del dev POD ingress"])
def test_programs_that_somebody_takes_away_are_put_back(cluster, what):
    cluster.pods(("bare", "node1"))
    link = link_of(cluster, "bare")
    filters = lambda: cluster.node("node1", "tc", "filter", "show", "dev", link, "ingress", check=False)  # noqa: E731
    assert "loom" in filters()
    cluster.node("node1", *what.replace("POD", link).split())
    poll(lambda: "loom" in filters(), 60, lambda: f"programs after '{what}': {filters()}")
    for ip in cluster.ips("bare"):
        cluster.node("node1", "ping", "-nqc1", "-W5", ip)
    cluster.delete("bare")


def test_sysctls_that_somebody_sets_are_set_back(cluster):
    for path in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        value = lambda: cluster.node("node1", "cat", f"/proc/sys/net/{path}").strip()  # noqa: B023,E731
        cluster.node("node1", "sh", "-c", f"echo 0 > /proc/sys/net/{path}")
        poll(lambda: value() == "1", 60, path)


def test_a_filter_that_somebody_sets_cuts_no_pod_off(cluster):
    """As udev does for each link that comes, where sysctl.d has a filter for '*'."""
    cluster.pods(("sieved", "node1"))
    for link in (link_of(cluster, "sieved"), "loom_host"):
        path = f"/proc/sys/net/ipv4/conf/{link}/rp_filter"
        cluster.node("node1", "sh", "-c", f"echo 2 > {path}")
        poll(lambda: cluster.node("node1", "cat", path).strip() == "0", 60, path)  # noqa: B023
    for ip in cluster.ips("sieved"):
        cluster.node("node1", "ping", "-nqc1", "-W5", ip)
    cluster.delete("sieved")


def test_pods_outlive_the_local_store(cluster):
    cluster.pods(("kept", "node1"), ("asks", "node2"))
    before = cluster.node("node1", "netloom", "pods")
    ping = ["ping", "-nq", "-i", "0.01", "-c", "300", "-W", "10", cluster.ips("kept")[0]]
    pings = cluster.start("exec", "default/asks", "--", *ping)
    for loss in ("echo garbage > /var/lib/netloom/agent.mdb", "rm -f /var/lib/netloom/agent.mdb*"):
        cluster.demo("agent", "node1", "kill")
        cluster.node("node1", "sh", "-c", loss)
        cluster.demo("agent", "node1", "start", "--wait")
        poll(lambda: cluster.node("node1", "netloom", "pods") == before, 60, f"pods after '{loss}'")
    out = pings.communicate(timeout=120)[0]
    assert "300 packets transmitted, 300 received" in out, out
    cluster.delete("kept", "asks")


def test_an_agent_killed_in_the_middle_of_adds_wires_all_pods_once(cluster):
    names = [f"mid-{i}" for i in range(AT_ONCE)]
    cluster.apply(*(pod(name, "node1") for name in names))
    cluster.demo("agent", "node1", "kill")
    cluster.demo("agent", "node1", "start", "--wait")
    cluster.ready(*names)
    found = [tuple(cluster.ips(name)) for name in names]
    assert len(set(found)) == len(names), found

    def wired():
        """Links of namespaces that are given up go a little later: the kernel takes its time."""
        links = json.loads(cluster.node("node1", "ip", "-j", "link"))
        return [x["ifname"] for x in links if re.fullmatch(r"nl[0-9a-f]{12}", x["ifname"])]

    poll(lambda: len(wired()) == len(names), 60, lambda: f"{len(names)} links: {wired()}")
    cluster.delete(*names)


def test_pods_deleted_while_the_agent_is_away_are_gone_when_it_is_back(cluster):
    cluster.pods(("away", "node1"))
    cluster.demo("agent", "node1", "kill")
    cluster.delete("away")
    cluster.demo("agent", "node1", "start", "--wait")

    def links():
        return [
            line
            for line in cluster.node("node1", "ip", "-br", "link").splitlines()
            if re.match(r"nl[0-9a-f]{12}", line)
        ]

    poll(lambda: not links(), 120, lambda: f"the pod's link goes: {links()}")


def test_a_second_add_for_the_same_container_is_refused_and_harms_nothing(cluster):
    cluster.pods(("twice", "node1"), ("other", "node1"))
    facts = json.loads(
        cluster.node(
            "node1", "cat", f"/run/netloom-demo/{cluster.name}/nodes/node1/pods/default_twice.json"
        )
    )
    config = json.loads(cluster.node("node1", "cat", "/etc/cni/net.d/05-netloom.conflist"))
    stdin = json.dumps({**config["plugins"][0], "name": config["name"], "cniVersion": "1.0.0"})
    done = cluster.demo(
        "node",
        "node1",
        "--",
        "env",
        "CNI_COMMAND=ADD",
        f"CNI_CONTAINERID={facts['containerID']}",
        f"CNI_NETNS={facts['netns']}",
        "CNI_IFNAME=eth0",
        "CNI_PATH=/opt/cni/bin",
        "/opt/cni/bin/netloom-cni",
        check=False,
        stdin=stdin,
    )
    assert done.returncode != 0
    assert json.loads(done.stdout)["code"] > 0, done.stdout
    assert cluster.peer("other").ask("ping", cluster.ips("twice")[0]) == (True, None)
    cluster.part("other")
    cluster.delete("twice", "other")


def test_a_full_pool_says_so_and_serves_again_when_addresses_are_back():
    options = {"ipam": {"quarantine": "1s"}, "cluster": {"blockSize4": 28}}
    with Cluster("--nodes", "1", "--family", "v4", "--agent-config", json.dumps(options)) as small:
        names = [f"many-{i}" for i in range(16)]
        small.apply(*(pod(name, "node1") for name in names))

        def ready():
            return [
                p["metadata"]["name"]
                for p in small.get("pods")["items"]
                if p["status"].get("podIP")
            ]

        poll(
            lambda: "is full"
            in small.kubectl("get", "events", "-o", "jsonpath={.items[*].message}"),
            120,
            "an event says so",
        )
        have = poll(
            lambda: len(ready()) == 13 and ready(),
            120,
            lambda: f"13 addresses are given: {len(ready())}",
        )
        small.delete(*have[:3])
        rest = [n for n in names if n not in have]
        small.ready(*rest)
