# SPDX-License-Identifier: Apache-2.0
"""Network namespaces and links: nodes and the control plane on an underlay bridge, a router, and a
machine outside.

    node1 … nodeN, control ── bridge in "fabric" ── router ── external
              172.30.0.0/24, fd00:30::/64             172.31.0.0/24, fd00:31::/64

The router sends addresses of load balancers, and those for externalIPs, to all nodes in turns.
"""
import os
import re
import subprocess

from .errors import DemoError
from .instance import (
    CLIENT_HOSTS,
    CLIENTS,
    EXTERNAL_HOST,
    FIXED,
    OUTSIDE,
    ROUTER_HOST,
    UNDERLAY,
    VIRTUAL_CIDRS,
)

XDP_PASS = os.path.join(os.path.dirname(os.path.realpath(__file__)), "xdp_pass.py")


def run(*argv, **kwargs):
    done = subprocess.run(
        argv, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kwargs
    )
    if done.returncode:
        raise DemoError(f"`{' '.join(argv)}` failed: {done.stdout.strip()}")
    return done.stdout


def ip_batch(netns, commands):
    run("ip", "-n", netns, "-batch", "-", input="\n".join(commands) + "\n")


def sysctl(netns, **values):
    pairs = [f"{k.replace('__', '.')}={v}" for k, v in values.items()]
    run("nsenter", f"--net=/run/netns/{netns}", "sysctl", "-qw", *pairs)


def inside(netns):
    return ["nsenter", f"--net=/run/netns/{netns}", "--"]


class Topology:
    def __init__(self, instance):
        self.instance = instance
        self.mtu = instance.options.get("mtu") or 1500

    def create(self):
        inst = self.instance
        for part in (*FIXED, *inst.nodes):
            run("ip", "netns", "add", inst.netns(part))
            sysctl(
                inst.netns(part),
                net__ipv6__conf__all__accept_dad=0,
                net__ipv6__conf__default__accept_dad=0,
                net__ipv6__conf__default__accept_ra=0,
            )
            ip_batch(inst.netns(part), ["link set lo up"])
        fabric = inst.netns("fabric")
        ip_batch(fabric, [f"link add br0 mtu {self.mtu} type bridge", "link set br0 up"])
        self._port("router", inst._hosts(UNDERLAY, ROUTER_HOST))
        self._port("control", inst.control_addresses())
        for node in inst.nodes:
            self._port(node, inst.node_addresses(node))
        self._outside()
        for part in ("control", *inst.nodes):
            self._default_route(part, "eth0", UNDERLAY)
        for part in (
            "router",
            *inst.nodes,
        ):  # what kubeadm asks of a node, and what makes a router one
            sysctl(inst.netns(part), net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
        for part in ("control", *inst.nodes):  # ports below are for pods on the host's network
            sysctl(inst.netns(part), net__ipv4__ip_local_port_range="40000 60999")
        sysctl(inst.netns("router"), net__ipv4__fib_multipath_hash_policy=1)
        sysctl(inst.netns("router"), net__ipv6__fib_multipath_hash_policy=1)
        for family in inst.families:
            self.route(VIRTUAL_CIDRS[family], inst.nodes)
        if inst.options["xdp"] == "on":
            self._prepare_xdp()

    def _addresses(self, netns, link, addresses, networks):
        commands = []
        for family, address in zip(self.instance.families, addresses):
            nodad = " nodad" if family == 6 else ""
            commands.append(f"addr add {address}/{networks[family].prefixlen} dev {link}{nodad}")
        ip_batch(netns, [*commands, f"link set {link} up"])

    def _port(self, part, addresses):
        inst = self.instance
        ip_batch(
            inst.netns("fabric"),
            [
                f"link add {part} mtu {self.mtu} type veth peer name eth0 mtu {self.mtu} netns {inst.netns(part)}",
                f"link set {part} master br0 up",
            ],
        )
        self._addresses(inst.netns(part), "eth0", addresses, UNDERLAY)

    def _outside(self):
        inst = self.instance
        ip_batch(
            inst.netns("router"),
            [f"link add eth1 type veth peer name eth0 netns {inst.netns('external')}"],
        )
        self._addresses(inst.netns("router"), "eth1", inst._hosts(OUTSIDE, ROUTER_HOST), OUTSIDE)
        self._addresses(
            inst.netns("external"), "eth0", inst._hosts(OUTSIDE, EXTERNAL_HOST), OUTSIDE
        )
        self._default_route("external", "eth0", OUTSIDE)
        for family, via in zip(inst.families, inst.external_addresses()):
            ip_batch(
                inst.netns("external"),
                [f"addr add {CLIENTS[family][i]} dev lo" for i in CLIENT_HOSTS],
            )
            ip_batch(inst.netns("router"), [f"route add {CLIENTS[family]} via {via}"])

    def _prepare_xdp(self):
        """What XDP on a veth asks of the links around it. A packet that waits for its checksum loses
        it on the way through XDP, so all that could send one fills it in; and what XDP sends back
        waits for ever at a peer that has no XDP program itself (xdp_pass.py)."""
        inst = self.instance
        for part, link in [(p, "eth0") for p in ("external", "router", "control", *inst.nodes)]:
            run(*inside(inst.netns(part)), "ethtool", "-K", link, "tx", "off")
        run(*inside(inst.netns("router")), "ethtool", "-K", "eth1", "tx", "off")
        for port in ("router", "control", *inst.nodes):
            run(*inside(inst.netns("fabric")), "ethtool", "-K", port, "tx", "off")
        run(*inside(inst.netns("fabric")), "/usr/bin/python3", XDP_PASS, *inst.nodes)

    def _default_route(self, part, link, networks):
        ip_batch(
            self.instance.netns(part),
            [
                f"route add {'::/0' if f == 6 else '0.0.0.0/0'} via {networks[f][ROUTER_HOST]} dev {link}"
                for f in self.instance.families
            ],
        )

    def route(self, destination, nodes):
        """As an administrator of the network would: the router sends `destination` to these nodes, a
        flow always to the same one."""
        inst = self.instance
        family = inst.family_of(destination)
        at = inst.families.index(family)
        hops = [f"nexthop via {inst.node_addresses(node)[at]}" for node in nodes]
        words = " ".join([f"-{family} route replace {destination}", *hops]).split()
        run("ip", "-n", inst.netns("router"), *words)


def namespaces(name):
    """Those of instance `name` that exist, whatever its state says."""
    pattern = re.compile(rf"^nl-{re.escape(name)}-({'|'.join(FIXED)}|node\d+)$")
    try:
        return sorted(n for n in os.listdir("/run/netns") if pattern.match(n))
    except FileNotFoundError:
        return []


def remove(name):
    for netns in namespaces(name):
        subprocess.run(["ip", "netns", "del", netns], check=False, stderr=subprocess.DEVNULL)
