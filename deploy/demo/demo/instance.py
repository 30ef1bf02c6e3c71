# SPDX-License-Identifier: Apache-2.0
"""One demo cluster: its name, its folder, what was asked for, and the names of its namespaces."""
import ipaddress
import json
import os
import re
from contextlib import contextmanager
from fcntl import LOCK_EX, flock

from .errors import DemoError

ROOT = "/run/netloom-demo"
REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
FIXED = ("fabric", "control", "router", "external")

POD_CIDRS = {4: "10.244.0.0/16", 6: "fd00:244::/48"}
SERVICE_CIDRS = {4: "10.96.0.0/16", 6: "fd00:96::/112"}
# What the router outside sends to the nodes: addresses of load balancers, and for externalIPs.
VIRTUAL_CIDRS = {4: "172.29.0.0/16", 6: "fd00:29::/48"}
LOAD_BALANCER_CIDRS = {4: "172.29.0.0/24", 6: "fd00:29::/112"}
UNDERLAY = {4: ipaddress.ip_network("172.30.0.0/24"), 6: ipaddress.ip_network("fd00:30::/64")}
OUTSIDE = {4: ipaddress.ip_network("172.31.0.0/24"), 6: ipaddress.ip_network("fd00:31::/64")}
# Further addresses of the machine outside, .1 to .8: a client with many faces.
CLIENTS = {4: ipaddress.ip_network("172.31.1.0/24"), 6: ipaddress.ip_network("fd00:31:0:1::/64")}
CLIENT_HOSTS = range(1, 9)
FAMILIES = {"v4": (4,), "v6": (6,), "dual": (4, 6)}
ROUTER_HOST, CONTROL_HOST, NODE_HOST, EXTERNAL_HOST = 1, 2, 10, 10


def build_dir(default=None):
    """Where programs are: $O, $NETLOOM_BUILD, or the default."""
    chosen = os.environ.get("O") or os.environ.get("NETLOOM_BUILD")
    return os.path.abspath(chosen or default or os.path.join(REPO, "build"))


class Instance:
    def __init__(self, name):
        if not re.match(r"^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$", name):
            raise DemoError(f"--name {name!r}: lower case letters, digits and '-', at most 20")
        self.name = name
        self.dir = os.path.join(ROOT, name)
        self.options = {}
        self.state = None  # None (absent), "starting", "up"
        self.owner = None
        self._load()

    def _load(self):
        try:
            with open(self.path("instance.json"), encoding="utf-8") as file:
                data = json.load(file)
        except FileNotFoundError:
            return
        except ValueError:
            data = {"state": "starting", "options": {}}
        self.options, self.state, self.owner = data["options"], data["state"], data.get("owner")

    def save(self, state, owner=None):
        os.makedirs(self.dir, mode=0o755, exist_ok=True)
        self.state, self.owner = state, owner
        with open(self.path("instance.json.new"), "w", encoding="utf-8") as file:
            json.dump({"state": state, "owner": owner, "options": self.options}, file, indent=1)
        os.replace(self.path("instance.json.new"), self.path("instance.json"))

    def require_up(self):
        if self.state is None:
            raise DemoError(f"'{self.name}' is not up; `netloom-demo up` brings it up")

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    @property
    def nodes(self):
        return [f"node{i + 1}" for i in range(self.options.get("nodes", 0))]

    def require_node(self, name):
        if name not in self.nodes:
            raise DemoError(f"no node '{name}': there are {', '.join(self.nodes)}")

    @property
    def families(self):
        return FAMILIES[self.options["family"]]

    def programs(self):
        """Those that it was brought up with, unless the caller says others."""
        return build_dir(self.options.get("build"))

    def netns(self, part):
        return f"nl-{self.name}-{part}"

    def cgroup_name(self):
        return f"netloom-{self.name}"

    # Addresses, the first family's first.
    def _hosts(self, networks, host):
        return [str(networks[f][host]) for f in self.families]

    def node_addresses(self, node):
        return self._hosts(UNDERLAY, NODE_HOST + int(node[4:]))

    def control_addresses(self):
        return self._hosts(UNDERLAY, CONTROL_HOST)

    def external_addresses(self):
        return self._hosts(OUTSIDE, EXTERNAL_HOST)

    def family_of(self, address):
        family = 6 if ":" in address else 4
        if family not in self.families:
            raise DemoError(f"'{address}': this cluster is {self.options['family']} only")
        return family

    def url(self, scheme, port):
        host = self.control_addresses()[0]
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    @property
    def etcd_url(self):
        return self.url("http", 2379)

    @property
    def kubeconfig(self):
        return self.path("pki", "kubeconfig")


def instances():
    try:
        return sorted(
            n for n in os.listdir(ROOT) if os.path.exists(os.path.join(ROOT, n, "instance.json"))
        )
    except FileNotFoundError:
        return []


@contextmanager
def host_lock():
    """What instances share (folders on the host that nodes mount over) changes under this lock."""
    folder = os.open("/run", os.O_RDONLY | os.O_DIRECTORY)  # a lock without a file that stays
    try:
        flock(folder, LOCK_EX)
        yield
    finally:
        os.close(folder)
