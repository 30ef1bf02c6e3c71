# SPDX-License-Identifier: Apache-2.0
"""up and down."""
import os
import shutil
import signal
import sys
import time

from . import sandbox, topology
from .client import Client
from .controlplane import ControlPlane
from .errors import DemoError
from .instance import build_dir, host_lock
from .netns import NetnsConnection
from .nodes import Node, published, route_pods
from .proc import Processes, identity, is_alive, wait_until

BINARIES = ("netloom-agent", "netloom-ksr", "netloom-cni", "netloom")


class Up:
    def __init__(self, instance, say, deadline):
        self.instance, self._say = instance, say
        self.control = ControlPlane(instance)
        self.nodes = [Node(instance, name) for name in instance.nodes]
        self._strangers = self.nodes
        self.processes = Processes(instance)
        self._began = time.monotonic()
        self._deadline = deadline

    def say(self, text):
        self._say(f"{time.monotonic() - self._began:5.1f} s  {text}")

    def _wait(self, what, condition, *watched):
        """Until `condition`; gives up at the deadline or when a watched process is dead."""
        self.say(f"waiting for {what}")

        def check():
            for name in watched:
                if not self.processes.alive(name):
                    raise DemoError(
                        f"{name} ended while waiting for {what}; the end of its log:\n{self.processes.tail(name)}"
                    )
            return condition()

        left = self._deadline - (time.monotonic() - self._began)
        try:
            wait_until(check, max(1, left), what, 0.1)
        except DemoError as error:
            if "not within" not in str(error):
                raise
            logs = "".join(f"--- {n}\n{self.processes.tail(n)}" for n in watched)
            raise DemoError(f"{error}; the ends of the logs:\n{logs}") from None

    def run(self):
        inst = self.instance
        self.say(
            f"{len(inst.nodes)} nodes, {inst.options['family']}, {inst.options['transport']}: namespaces and links"
        )
        topology.Topology(inst).create()
        sandbox.make_cgroups(inst)
        sandbox.create(inst)
        self.control.create()
        for node in self.nodes:
            node.create()
        self.processes.start("etcd")
        self.processes.start("apiserver")
        self._wait("etcd", self.control.etcd_answers, "etcd")
        self._wait("the API server", self.control.apiserver_answers, "apiserver")
        for name in (
            "controllers",
            "ksr",
            *(n.kubelet for n in self.nodes),
            *(n.agent for n in self.nodes),
        ):
            self.processes.start(name)
        self._wait("ksr", self.control.ksr_ready, "ksr", "apiserver", "etcd")
        for node in self.nodes:
            self._wait(f"the agent of {node.name}", node.agent_ready, node.agent)
        self._wait(
            "all nodes to be Ready",
            self._nodes_ready,
            *(n.kubelet for n in self.nodes),
            "controllers",
        )
        self._wait("agents to know each other", self._acquainted)
        if inst.options["transport"] == "native":
            for cidr, node in route_pods(inst):
                self.say(f"the router outside sends {cidr} to {node}")

    def _nodes_ready(self):
        nodes = self._client().list("Node")
        ready = [
            n
            for n in nodes
            for c in n["status"].get("conditions") or []
            if c["type"] == "Ready" and c["status"] == "True"
        ]
        return len(ready) == len(self.nodes)

    def _acquainted(self):
        """Each has published itself, and has heard of all the others."""
        others = len(self.nodes) - 1
        self._strangers = [n for n in self._strangers if n.known_nodes() != others]
        return not self._strangers and len(published(self.instance)) == len(self.nodes)

    def _client(self):
        return ControlClient(self.instance)


class ControlClient(Client):
    """A client for commands, which run outside of the control plane's namespace."""

    def __init__(self, instance):
        super().__init__(instance.kubeconfig, "netloom-demo")
        self._netns = f"/run/netns/{instance.netns('control')}"

    def connect(self, timeout):
        return NetnsConnection(self._netns, self.server, self._context, timeout)


def missing_binaries():
    return [b for b in BINARIES if not os.access(os.path.join(build_dir(), b), os.X_OK)]


def up(instance, options, say, deadline=60, keep=False):
    if instance.state == "up" and any(
        Processes(instance).alive(n) for n in Processes(instance).names()
    ):
        raise DemoError(
            f"'{instance.name}' is up already (`netloom-demo --name {instance.name} down` first)"
        )
    if instance.state == "starting" and is_alive(instance.owner):
        raise DemoError(f"'{instance.name}' is being brought up by process {instance.owner['pid']}")
    missing = missing_binaries()
    if missing:
        raise DemoError(
            f"not built: {', '.join(missing)} in {build_dir()} (run make, or say where with O=)"
        )
    if instance.state or topology.namespaces(instance.name):
        say("removing what a crashed one left")
        down(instance)
    instance.options = options
    with host_lock():  # or else the end of the last other one takes the folder of all along
        instance.save("starting", identity(os.getpid()))
    begin = time.monotonic()
    try:
        Up(instance, say, deadline).run()
    except BaseException:
        if not keep:
            down(instance)
        raise
    instance.save("up")
    say(f"{time.monotonic() - begin:5.1f} s  '{instance.name}' is up")


def down(instance):
    """Everything of the instance, whatever state it is in."""
    if (
        instance.state == "starting"
        and instance.owner
        and instance.owner["pid"] != os.getpid()
        and is_alive(instance.owner)
    ):
        os.kill(instance.owner["pid"], signal.SIGTERM)
        wait_until(lambda: not is_alive(instance.owner), 30, "the end of the `up` that runs")
    processes = Processes(instance)
    gone = sandbox.kill_cgroups(instance)
    for name in processes.names():
        processes.stop(name, signal.SIGKILL)
    if not gone and not sandbox.kill_cgroups(instance):
        print(f"processes are left in cgroup {instance.cgroup_name()}", file=sys.stderr)
    sandbox.remove(instance)
    topology.remove(instance.name)
    shutil.rmtree(instance.dir, ignore_errors=True)
    instance.state = None
    sandbox.forget_host_folders()
