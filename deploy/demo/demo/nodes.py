# SPDX-License-Identifier: Apache-2.0
"""What runs on a node: netloom-agent with its configuration, the CNI binary, the stand-in of kubelet."""
import base64
import json
import os
import re
import shutil
import subprocess

import yaml

from . import sandbox, topology
from .controlplane import http_ok, python
from .errors import DemoError
from .instance import POD_CIDRS, SERVICE_CIDRS, build_dir
from .proc import Processes

AGENT_PORT = 9990


def agent_config(instance, node):
    return _merged(
        {
            "nodeName": node,
            "logLevel": instance.options["log_level"],
            "etcd": {"endpoints": [instance.etcd_url]},
            "cluster": {
                "podCIDRs": [POD_CIDRS[f] for f in instance.families],
                "serviceCIDRs": [SERVICE_CIDRS[f] for f in instance.families],
                "podCIDRSource": instance.options["pod_cidrs"],
            },
            "transport": instance.options["transport"],
            "uplink": {"xdp": instance.options["xdp"]},
            "services": {"socketLB": instance.options["socket_lb"]},
            "conntrack": {
                "maxEntries": 65536,
                "maxNewEntries": 16384,
            },  # several nodes share one machine's memory
        },
        instance.options.get("agent_config", {}),
    )


def _merged(base, over):
    """`over` on top of `base`, maps merged."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return {**base, **{k: _merged(base.get(k), v) for k, v in over.items()}}


def zone(node):
    """node1 and node4 are in zone-a, node2 in zone-b, node3 in zone-c."""
    return "zone-" + "abc"[(int(node[4:]) - 1) % 3]


class Node:
    def __init__(self, instance, name):
        self.instance, self.name = instance, name
        self.processes = Processes(instance)
        self.prefix = sandbox.enter(instance, name)
        self.agent, self.kubelet = f"agent-{name}", f"kubelet-{name}"

    def path(self, *parts):
        return sandbox.node_dir(self.instance, self.name, *parts)

    def create(self):
        with open(self.path("etc-netloom", "agent.yaml"), "w", encoding="utf-8") as file:
            yaml.safe_dump(agent_config(self.instance, self.name), file, sort_keys=False)
        self.install_cni()
        cgroup = sandbox.cgroup(self.instance, self.name)
        path = f"{build_dir()}:{os.environ['PATH']}"
        self.processes.define(
            self.agent,
            [
                *self.prefix,
                os.path.join(build_dir(), "netloom-agent"),
                "--config",
                "/etc/netloom/agent.yaml",
            ],
            cgroup,
        )
        addresses = [
            arg for a in self.instance.node_addresses(self.name) for arg in ("--address", a)
        ]
        self.processes.define(
            self.kubelet,
            [
                *self.prefix,
                *python(
                    "kubelet",
                    "--name",
                    self.name,
                    "--zone",
                    zone(self.name),
                    "--kubeconfig",
                    self.instance.kubeconfig,
                    "--pod-dir",
                    self.path("pods"),
                    "--log-dir",
                    self.instance.path("logs"),
                    *addresses,
                ),
            ],
            cgroup,
            {"PATH": path},
        )

    def install_cni(self):
        """By rename, as a DaemonSet's installer does: a running binary can't be written to."""
        source, target = os.path.join(build_dir(), "netloom-cni"), self.path(
            "cni-bin", "netloom-cni"
        )
        shutil.copy(source, target + ".new")
        os.replace(target + ".new", target)

    def agent_ready(self):
        return http_ok(self.prefix, f"http://127.0.0.1:{AGENT_PORT}/readyz")

    def known_nodes(self):
        """How many others its agent knows; None when it does not answer."""
        url = f"http://127.0.0.1:{AGENT_PORT}/metrics"
        done = self.run(
            *("curl", "-fsS", "-m", "2", url),
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        found = re.search(r"^netloom_nodes (\d+)$", done.stdout, re.M)
        return int(found[1]) if found else None

    def run(self, *argv, **kwargs):
        return subprocess.run([*self.prefix, *argv], **kwargs)


def published(instance):
    """What agents published of their nodes: name -> object of /netloom/node/<name>."""
    script = [
        "curl",
        "-fsS",
        "-m",
        "5",
        "-X",
        "POST",
        instance.etcd_url + "/v3/kv/range",
        "-d",
        json.dumps({"key": _b64("/netloom/node/"), "range_end": _b64("/netloom/node0")}),
    ]
    done = subprocess.run(
        [*sandbox.enter(instance, "control"), *script],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise DemoError(f"etcd: {done.stderr.strip()}")
    found = {}
    for pair in json.loads(done.stdout).get("kvs", []):
        value = json.loads(base64.b64decode(pair["value"]))
        found[value["name"]] = value
    return found


def _b64(text):
    return base64.b64encode(text.encode()).decode()


def route_pods(instance):
    """With native transport the router outside has to know the nodes' pod CIDRs. Returns the routes."""
    routes = []
    for name, node in sorted(published(instance).items()):
        for cidr in node.get("podCIDRs") or []:
            topology.Topology(instance).route(cidr, [name])
            routes.append((cidr, name))
    return routes
