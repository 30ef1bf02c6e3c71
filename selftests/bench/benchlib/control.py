# SPDX-License-Identifier: Apache-2.0
"""The control plane at scale: how long until services are in the maps, and what the agent takes for it.

etcd, agent and programs are real; Services and EndpointSlices are put into etcd as ksr would reflect them. mapwatch.py
looks at the frontends' map of the node, from inside of it.
"""
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from . import cni, worlds

SERVICES = int(os.environ.get("CONTROL_SERVICES", "10000"))
ENDPOINTS = 5
CHANGES = int(os.environ.get("CHANGES", "500"))
COLD = int(os.environ.get("COLD", "3"))
WATCH = Path(__file__).with_name("mapwatch.py")


class Watcher:
    """mapwatch.py, or another of its kind, on a node."""

    def __init__(self, world, script=WATCH, node="node1"):
        url = worlds.sh(*world.demo, "node", "control", "--", "sh", "-c", "echo $ETCDCTL_ENDPOINTS").strip()
        command = [*world.demo, "node", node, "--", sys.executable, str(script), url]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def order(self, op, **fields):
        self.process.stdin.write(json.dumps({"op": op, **fields}) + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("mapwatch.py has ended")
        return json.loads(line)

    def ask(self, op, **fields):
        self.order(op, **fields)
        return self.answer()

    def close(self):
        self.process.communicate()


def started(pid):
    """CLOCK_BOOTTIME of the process's start, to 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def memory(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return {k: int(v) for k, v in re.findall(r"^(VmRSS|VmHWM|RssAnon|RssFile|RssShmem):\s+(\d+) kB$", status, re.M)}


def metric(world, name):
    text = worlds.sh(*world.demo, "node", "node1", "--", "curl", "-fsS", "--unix-socket", "/run/netloom/agent.sock",
                     "http://agent/metrics")
    return int(float(re.search(rf"^{name} (\S+)$", text, re.M)[1]))


def writes(world):
    """Of the agent since its start, to the maps of services."""
    return metric(world, "netloom_service_map_writes_total")


def start(world, watcher):
    """Seconds from the agent's start to the last service in the maps."""
    watcher.order("wait", services=SERVICES, endpoints=ENDPOINTS)
    worlds.sh(*world.demo, "agent", "node1", "start")
    done = watcher.answer()
    pid = cni.agent_pid(world)
    return done - started(pid), pid


def settled(world):
    """Writes of the agent when it makes no more: also those that follow after the last service."""
    before, now = -1, writes(world)
    while before != now:
        time.sleep(0.5)  # flows and slots of what has changed are given back within that
        before, now = now, writes(world)
    return now


def cold(world, watcher):
    """An agent that finds all of it in etcd and none of it in its maps: what was there has been taken back."""
    watcher.ask("clear")
    watcher.ask("wait", services=0, endpoints=ENDPOINTS)
    while metric(world, "netloom_service_backends") > ENDPOINTS:  # the API server's own may be there
        time.sleep(0.2)
    worlds.sh(*world.demo, "agent", "node1", "stop")
    watcher.ask("fill", services=SERVICES, endpoints=ENDPOINTS)
    return start(world, watcher)


def measure(world, watcher):
    starts = []
    for _ in range(COLD):
        seconds, pid = cold(world, watcher)
        starts.append(seconds)
    programmed = settled(world)
    kib = memory(pid)
    print(f"  {SERVICES:,} services with {SERVICES * ENDPOINTS:,} endpoints, from the agent's start to its maps: "
          f"{', '.join(f'{s:.2f}' for s in starts)} s; {programmed:,} writes")
    print(f"  the agent then: {kib['VmRSS'] / 1024:.0f} MB resident (anonymous {kib['RssAnon'] / 1024:.0f} MB, "
          f"peak {kib['VmHWM'] / 1024:.0f} MB)")
    worlds.sh(*world.demo, "agent", "node1", "stop")
    worlds.sh(*world.demo, "agent", "node1", "start", "--wait")
    restart = settled(world)
    print(f"  the same agent restarted: {restart} writes")
    changes = watcher.ask("changes", services=SERVICES, endpoints=ENDPOINTS, runs=CHANGES)
    figures = {"map": cni.percentiles([c[0] for c in changes]), "etcd": cni.percentiles([c[1] for c in changes])}
    for name, what in (("map", "the map has it"), ("etcd", "etcd and the map have answered")):
        f = figures[name]
        print(f"  one endpoint more, from the put until {what}: median {f['median']:.2f} ms, p99 {f['p99']:.2f} ms"
              f" ({f['min']:.2f} – {f['max']:.2f}, {f['runs']} runs)")
    after = memory(cni.agent_pid(world))
    print(f"  the agent after that: {after['VmRSS'] / 1024:.0f} MB resident, peak {after['VmHWM'] / 1024:.0f} MB")
    return {"services": SERVICES, "endpoints": SERVICES * ENDPOINTS, "cold_s": starts, "writes": programmed,
            "restart_writes": restart, "kib": kib, "kib_after": after, "change_ms": figures}


def control(results):
    world = worlds.Netloom("vxlan", True, nodes=1)
    watcher = None
    try:
        # It would remove what Kubernetes knows nothing of.
        worlds.sh(*world.demo, "ksr", "stop")
        watcher = Watcher(world)
        results["control"] = measure(world, watcher)
    finally:
        if watcher:
            watcher.close()
        world.close()
