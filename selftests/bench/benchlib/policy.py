# SPDX-License-Identifier: Apache-2.0
"""Two pods of a node that policies let talk, against two that no policy is about.

Every policy selects the pods that are measured. One lets the client in; each of the others lets in a pod of another node, of an
identity of its own. So the server's rules are as many as there are policies, and every new flow asks for them.
"""
import json
import os
import subprocess
import time
from pathlib import Path

from . import cni, control, net, report, services, worlds

SIZES = [int(n) for n in os.environ.get("POLICIES", "1,1000,10000").split(",")]
MODES = net.modes("stream", "rr", "crr")
PODS, COLD_POLICIES = 10000, 1000
CHANGES = int(os.environ.get("CHANGES", "200"))
WATCH = Path(__file__).with_name("polwatch.py")
NODES = ("node1", "node2", "node3")


class Open(worlds.Netloom):
    name = "no policy"

    def __init__(self):
        super().__init__("vxlan", True, nodes=1, tag="o")


class Policed(worlds.Netloom):
    """The other pods and policies are put into etcd as ksr would reflect them."""
    name = "policies"

    def __init__(self):
        super().__init__("vxlan", True, nodes=1, tag="p")
        self.policies = 0
        try:
            worlds.sh(*self.demo, "kubectl", "label", "pod", "a", "client=yes")
            self.fill(SIZES[0])
        except RuntimeError:
            self.close()
            raise

    @staticmethod
    def other(i):
        """Policy i, and the pod that it lets in; number 0 lets in the client."""
        wanted = {"other": f"o{i}"} if i else {"client": "yes"}
        rule = {"from": [{"podSelector": {"matchLabels": wanted}}]}
        policy = {"metadata": {"namespace": "default", "name": f"p{i}"},
                  "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [rule]}}
        ip = f"10.243.{i >> 8}.{i & 255}"
        pod = {"metadata": {"namespace": "default", "name": f"o{i}", "labels": wanted, "uid": f"o{i}"},
               "spec": {"nodeName": "elsewhere"}, "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}}
        pairs = {f"/netloom/k8s/networkpolicy/default/p{i}": policy}
        return {**pairs, f"/netloom/k8s/pod/default/o{i}": pod} if i else pairs

    def fill(self, n):
        # ksr would remove what Kubernetes knows nothing of.
        worlds.sh(*self.demo, "ksr", "stop")
        for first in range(self.policies, n, 60):
            pairs = {}
            for i in range(first, min(first + 60, n)):
                pairs.update(self.other(i))
            services.put(self, pairs)
        self.policies = n
        self.wait(n)

    def wait(self, n):
        """Until the node has a set of rules for each policy's peer."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            text = worlds.sh(*self.demo, "node", "node1", "--", "netloom", "dump", "polset", "-o", "json")
            if sum(s["peerKind"] == "identity" for s in json.loads(text)) >= n:
                return
            time.sleep(0.2)
        raise RuntimeError(f"not all of {n} policies are programmed")


def compare(out, opened, servers, n):
    result = {}
    for mode in MODES:
        samples = {w.name: [] for w in opened}
        turns = list(zip(opened, servers))
        for turn in range(net.ROUNDS):
            for world, server in net.in_turn(turns, turn):
                samples[world.name].append(net.measure(out, world, server, mode))
        r = result[mode] = report.ratio(samples[Policed.name], samples[Open.name])
        print(f"  {mode:<8}{n:>7,} policies / none: {r['median']:.3f}  ({r['min']:.3f} – {r['max']:.3f})", flush=True)
    return result


def change_times(watchers):
    """ms from a put into etcd until the last of the nodes has flipped its pods to the new rules."""
    times = []
    for i in range(CHANGES):
        for watcher in watchers:
            watcher.order("await", gen=watcher.ask("gen"))
        # The first node's own watcher is busy; the fourth writes.
        start = watchers.writer.ask("change", to=f"x{i % 7}")
        times.append((max(w.answer() for w in watchers) - start) * 1e3)
    return times


class Watchers(list):
    def __init__(self, world):
        super().__init__(control.Watcher(world, WATCH, node) for node in NODES)
        self.writer = control.Watcher(world, WATCH)

    def close(self):
        for watcher in (*self, self.writer):
            watcher.close()


def scale(world, watchers):
    pods = "".join(worlds.POD.format(name=f"on-{n}", node=n) for n in NODES)
    worlds.sh(*world.demo, "kubectl", "apply", "-f", "-", input=pods)
    worlds.sh(*world.demo, "kubectl", "wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
    worlds.sh(*world.demo, "ksr", "stop")
    watchers.writer.ask("change", to="nobody")
    small = cni.percentiles(change_times(watchers))
    worlds.sh(*world.demo, "agent", "node1", "stop")
    watchers.writer.ask("fill", pods=PODS, policies=COLD_POLICIES)
    watchers.writer.order("idents", n=PODS)
    worlds.sh(*world.demo, "agent", "node1", "start", "--wait")
    pid = cni.agent_pid(world)
    cold = watchers.writer.answer() - control.started(pid)
    kib = control.memory(pid)
    for watcher in watchers:
        watcher.ask("idents", n=PODS)
    large = cni.percentiles(change_times(watchers))
    print(f"  {PODS:,} pods and {COLD_POLICIES:,} policies, from the agent's start to its maps: {cold:.2f} s, "
          f"{kib['VmRSS'] / 1024:.0f} MB resident (anonymous {kib['RssAnon'] / 1024:.0f} MB, peak {kib['VmHWM'] / 1024:.0f} MB)")
    for f, what in ((small, "a handful of pods"), (large, f"{PODS:,} pods and {COLD_POLICIES:,} policies")):
        print(f"  a policy's change, from etcd to three nodes, with {what}: median {f['median']:.1f} ms, p99 {f['p99']:.1f} ms "
              f"({f['min']:.1f} – {f['max']:.1f}, {f['runs']} runs)")
    return {"cold_s": cold, "kib": kib, "change_ms": {"small": small, "large": large}}


def at_scale(results):
    world, watchers = worlds.Netloom("vxlan", False, nodes=3, tag="s"), None
    try:
        watchers = Watchers(world)
        results["policy"]["scale"] = scale(world, watchers)
    finally:
        if watchers:
            watchers.close()
        world.close()


def policy(out, results):
    done = subprocess.run([str(out / "policy_ns"), "--json"], stdout=subprocess.PIPE, text=True, check=True)
    verdicts = json.loads(done.stdout)
    for v in verdicts:
        print(f"  a verdict, {v['name']:<28} {v['ns']:>4} ns  (spread {v['spread']})")
    results["policy"] = {"verdict_ns": verdicts}
    at_scale(results)
    opened, servers = [], []
    try:
        for make in (Open, Policed):
            opened.append(make())
            servers.append(net.Servers(out, opened[-1]))
        for n in SIZES:
            opened[-1].fill(n)
            results["policy"][n] = compare(out, opened, servers, n)
    finally:
        for server in servers:
            server.close()
        for world in reversed(opened):
            world.close()
