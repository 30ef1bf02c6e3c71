# SPDX-License-Identifier: Apache-2.0
"""The networks that are measured. A world gives two places to run commands in, and the address of the second.

All but Netloom are made by hand from the kernel's own means, in namespaces that the world makes and removes.
"""
import json
import os
import subprocess
from pathlib import Path

DEMO = Path(__file__).resolve().parents[3] / "deploy" / "demo" / "netloom-demo"
PLUGINS = "/usr/lib/cni"


def sh(*cmd, **kw):
    done = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **kw)
    if done.returncode:
        raise RuntimeError(f"{' '.join(cmd)}: exit {done.returncode}: {done.stdout.strip()}")
    return done.stdout


class Namespaces:
    """Network namespaces with a prefix of their own, deleted at the end."""

    def __init__(self, tag):
        self.prefix = f"nlb-{os.getpid()}-{tag}-"
        self.names = []

    def add(self, name):
        full = self.prefix + name
        sh("ip", "netns", "add", full)
        self.names.append(full)
        self.ip(name, "link", "set", "lo", "up")
        return full

    def ip(self, name, *args):
        sh("ip", "-n", self.prefix + name, *args)

    def sysctl(self, name, key, value):
        sh("nsenter", f"--net=/run/netns/{self.prefix}{name}", "sysctl", "-qw", f"{key}={value}")

    def enter(self, name):
        return ["nsenter", f"--net=/run/netns/{self.prefix}{name}"]

    def veth(self, one, dev1, two, dev2):
        self.ip(one, "link", "add", dev1, "type", "veth", "peer", "name", dev2, "netns", self.prefix + two)
        self.ip(one, "link", "set", dev1, "up")
        self.ip(two, "link", "set", dev2, "up")

    def close(self):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False)


class BareVeth:
    """Two namespaces and one veth pair: nothing in between."""
    name = "bare veth pair"

    def __init__(self):
        self.ns = Namespaces("v")
        self.ns.add("a")
        self.ns.add("b")
        self.ns.veth("a", "eth0", "b", "eth0")
        self.ns.ip("a", "addr", "add", "10.99.0.1/24", "dev", "eth0")
        self.ns.ip("b", "addr", "add", "10.99.0.2/24", "dev", "eth0")
        self.client, self.server, self.address = self.ns.enter("a"), self.ns.enter("b"), "10.99.0.2"

    def close(self):
        self.ns.close()


def plugin(ns, command, netns, container):
    """One call of Debian's bridge plugin with host-local IPAM; its files stay below /tmp."""
    config = {"cniVersion": "1.0.0", "name": "bench", "type": "bridge", "bridge": "br0", "isGateway": True,
              "ipam": {"type": "host-local", "dataDir": f"/tmp/{ns.prefix}ipam",
                       "ranges": [[{"subnet": "10.98.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}}
    env = {"CNI_COMMAND": command, "CNI_CONTAINERID": container, "CNI_NETNS": f"/run/netns/{netns}",
           "CNI_IFNAME": "eth0", "CNI_PATH": PLUGINS, "PATH": os.environ["PATH"]}
    return [*ns.enter("node"), f"{PLUGINS}/bridge"], env, json.dumps(config)


class BridgePlugin:
    """Debian's bridge and host-local plugins: a Linux bridge with a veth a pod."""
    name = "bridge + host-local"

    def __init__(self):
        self.ns = Namespaces("b")
        self.ns.add("node")
        for pod in ("a", "b"):
            netns = self.ns.add(pod)
            cmd, env, config = plugin(self.ns, "ADD", netns, pod)
            result = json.loads(sh(*cmd, env=env, input=config))
            self.address = result["ips"][0]["address"].split("/")[0]
        self.client, self.server = self.ns.enter("a"), self.ns.enter("b")

    def close(self):
        self.ns.close()
        sh("rm", "-rf", f"/tmp/{self.ns.prefix}ipam")


class TwoNodes:
    """Two nodes on a bridge, as the demo's are, with one routed pod each; `connect` joins them."""

    def __init__(self, tag):
        self.ns = ns = Namespaces(tag)
        ns.add("fabric")
        ns.ip("fabric", "link", "add", "br0", "type", "bridge")
        ns.ip("fabric", "link", "set", "br0", "up")
        for i, node in ((1, "n1"), (2, "n2")):
            ns.add(node)
            ns.veth("fabric", node, node, "eth0")
            ns.ip("fabric", "link", "set", node, "master", "br0")
            ns.ip(node, "addr", "add", f"10.97.0.{i}/24", "dev", "eth0")
            ns.sysctl(node, "net.ipv4.ip_forward", 1)
            ns.add(f"p{i}")
            ns.veth(node, "pod", f"p{i}", "eth0")
            ns.ip(f"p{i}", "addr", "add", f"10.96.{i}.2/24", "dev", "eth0")
            ns.ip(node, "addr", "add", f"10.96.{i}.1/24", "dev", "pod")
            ns.ip(f"p{i}", "route", "add", "default", "via", f"10.96.{i}.1")
        self.connect()
        self.client, self.server, self.address = ns.enter("p1"), ns.enter("p2"), "10.96.2.2"

    def close(self):
        self.ns.close()


class HandVxlan(TwoNodes):
    """A point-to-point kernel VXLAN with static neighbours, and routes over it."""
    name = "hand-made VXLAN"

    def __init__(self, tag="x"):
        super().__init__(tag)

    def connect(self):
        for i, peer in ((1, 2), (2, 1)):
            node, ns = f"n{i}", self.ns
            ns.ip(node, "link", "add", "vx0", "address", f"02:00:00:00:01:0{i}", "type", "vxlan", "id", "42",
                  "dstport", "4789", "remote", f"10.97.0.{peer}", "local", f"10.97.0.{i}", "dev", "eth0", "nolearning")
            ns.ip(node, "link", "set", "vx0", "up")
            ns.ip(node, "addr", "add", f"10.95.0.{i}/24", "dev", "vx0")
            ns.ip(node, "neigh", "add", f"10.95.0.{peer}", "lladdr", f"02:00:00:00:01:0{peer}", "dev", "vx0")
            ns.ip(node, "route", "add", f"10.96.{peer}.0/24", "via", f"10.95.0.{peer}")
            ns.ip(f"p{i}", "link", "set", "eth0", "mtu", "1450")


class HandRoutes(TwoNodes):
    """Plain kernel routing between the nodes."""
    name = "kernel routing"

    def __init__(self, tag="r"):
        super().__init__(tag)

    def connect(self):
        for i, peer in ((1, 2), (2, 1)):
            self.ns.ip(f"n{i}", "route", "add", f"10.96.{peer}.0/24", "via", f"10.97.0.{peer}")


TRACK = """
table inet bench {
	chain forward {
		type filter hook forward priority 0; policy accept;
		ct state established,related accept
		ct state invalid drop
	}
}
"""


def track(world):
    """The kernel's conntrack for what the nodes forward, as on any node that has kube-proxy or a firewall."""
    for node in ("n1", "n2"):
        sh(*world.ns.enter(node), "nft", "-f", "-", input=TRACK)
        world.ns.sysctl(node, "net.netfilter.nf_conntrack_tcp_timeout_time_wait", 1)


class TrackedVxlan(HandVxlan):
    name = "same with conntrack"

    def __init__(self):
        super().__init__("xt")
        track(self)


class TrackedRoutes(HandRoutes):
    name = "same with conntrack"

    def __init__(self):
        super().__init__("rt")
        track(self)


POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  nodeName: {node}
  containers: [{{name: pause, image: none}}]
---
"""


# The agent's own default; the demo makes do with less, which 10,000 connections a second fill.
AGENT_CONFIG = json.dumps({"conntrack": {"maxEntries": 262144}})


class Netloom:
    """The real thing, in a demo cluster of its own: the same agent, programs and CNI binary."""
    name = "netloom"

    def __init__(self, transport, same_node, nodes=2, tag=""):
        self.holders = []
        self.demo = [str(DEMO), "--name", f"bench{os.getpid()}{tag}"]
        sh(*self.demo, "up", "--nodes", str(nodes), "--transport", transport, "--family", "v4",
           "--agent-config", AGENT_CONFIG)
        try:
            pods = "".join(POD.format(name=n, node=w) for n, w in
                           (("a", "node1"), ("b", "node1" if same_node else "node2")))
            sh(*self.demo, "kubectl", "apply", "-f", "-", input=pods)
            sh(*self.demo, "kubectl", "wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
            self.address = sh(*self.demo, "kubectl", "get", "pod", "b", "-o", "jsonpath={.status.podIP}").strip()
        except RuntimeError:
            self.close()
            raise
        self.client, self.server = self.enter("a"), self.enter("b")

    def enter(self, pod):
        """Traffic runs in the pod's network namespace, but in the cgroup of all other worlds' traffic.

        The kernel keeps more books on sockets of processes in a sub-cgroup, 3 % of a connect/request/response;
        that is no matter of networks.
        """
        holder = subprocess.Popen([*self.demo, "exec", f"default/{pod}", "--", "sh", "-c", "echo $$; exec cat"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.holders.append(holder)
        return ["nsenter", f"--net=/proc/{int(holder.stdout.readline())}/ns/net"]

    def close(self):
        for holder in self.holders:
            holder.communicate()
        sh(*self.demo, "down")
