# SPDX-License-Identifier: Apache-2.0
"""Throughput, transactions and packets a second between two pods, world by world, round by round."""
import os
import subprocess

from . import report, worlds

ROUNDS = int(os.environ.get("ROUNDS", "5"))
MS = os.environ.get("MS", "1500")

# mode -> (client CPU, server CPU). Request/response runs on one core: across cores the wake-up of a
# virtual CPU hides everything else.
MODES = {"stream": (0, 1), "rr": (0, 0), "crr": (0, 0), "pps": (0, 1)}


def modes(*of):
    """Those of a part, or which of them MODES names."""
    wanted = os.environ.get("MODES")
    return [m for m in of if not wanted or m in wanted.split(",")]


def in_turn(things, turn):
    """The same, each time with another one first."""
    first = turn % len(things)
    return things[first:] + things[:first]


class Servers:
    """One server a CPU in a world, ready when it says so."""

    def __init__(self, out, world):
        self.procs = []
        self.ports = {}
        for cpu in (0, 1):
            self.ports[cpu] = 7000 + cpu * 10
            proc = subprocess.Popen([*world.server, "taskset", "-c", str(cpu), str(out / "netbench"), "server",
                                     str(self.ports[cpu])], stdout=subprocess.PIPE, text=True)
            self.procs.append(proc)
            if proc.stdout.readline().strip() != "ready":
                raise RuntimeError(f"{world.name}: the server did not start")

    def close(self):
        for proc in self.procs:
            proc.terminate()
            proc.wait()


def measure(out, world, servers, mode):
    client, server = MODES[mode]
    cmd = [*world.client, "taskset", "-c", str(client), str(out / "netbench"), mode, world.address,
           str(servers.ports[server]), MS]
    done = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{world.name}: {mode}: {done.stderr.strip()}")
    return float(done.stdout)


def compare(out, makers):
    """Runs every mode in every world in turn, ROUNDS times, each round with another world first; the last is ours."""
    opened, servers = [], []
    try:
        for make in makers:
            opened.append(make())
            servers.append(Servers(out, opened[-1]))
        result = {}
        for mode in modes(*MODES):
            samples = {w.name: [] for w in opened}
            turns = list(zip(opened, servers))
            for turn in range(ROUNDS):
                for world, server in in_turn(turns, turn):
                    samples[world.name].append(measure(out, world, server, mode))
            ratios = report.table(mode, samples, opened[-1].name)
            result[mode] = {"samples": samples, "ratios": ratios}
        return result
    finally:
        for server in servers:
            server.close()
        for world in reversed(opened):
            world.close()


def same_node(out, results):
    results["same"] = compare(out, [worlds.BareVeth, worlds.BridgePlugin,
                                    lambda: worlds.Netloom("vxlan", True)])


def across(out, results, transport):
    others = [worlds.HandVxlan, worlds.TrackedVxlan] if transport == "vxlan" else [worlds.HandRoutes, worlds.TrackedRoutes]
    key = "overlay" if transport == "vxlan" else "native"
    results[key] = compare(out, [*others, lambda: worlds.Netloom(transport, False)])
