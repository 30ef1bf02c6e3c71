# SPDX-License-Identifier: Apache-2.0
"""What wiring a pod costs, and what an agent costs that has many."""
import json
import os
import time
from pathlib import Path

from . import report, worlds

ADDS = int(os.environ.get("ADDS", "100"))
PODS = int(os.environ.get("PODS", "100"))


def timed(cmd, env, stdin_text):
    """Wall time in ms of one plugin call, by posix_spawn; raises with its output when it fails."""
    read_fd, write_fd = os.pipe()
    out_fd = os.memfd_create("out")
    os.write(write_fd, stdin_text.encode())
    os.close(write_fd)
    start = time.perf_counter_ns()
    pid = os.posix_spawn(cmd[0], cmd, env, file_actions=[
        (os.POSIX_SPAWN_DUP2, read_fd, 0), (os.POSIX_SPAWN_DUP2, out_fd, 1)])
    _, status = os.waitpid(pid, 0)
    took = (time.perf_counter_ns() - start) / 1e6
    os.close(read_fd)
    text = os.pread(out_fd, 65536, 0).decode()
    os.close(out_fd)
    if status:
        raise RuntimeError(f"{cmd}: {text}")
    return took


def percentiles(values):
    ordered = sorted(values)
    return {"median": ordered[len(ordered) // 2], "p99": ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)],
            "min": ordered[0], "max": ordered[-1], "runs": len(ordered)}


def rounds(call, ns, count):
    """ADD and DEL of `count` fresh namespaces, one at a time; the times of the ADDs."""
    times = []
    for i in range(count):
        name = ns.add(f"c{i}")
        container = f"bench{os.getpid()}c{i}"
        times.append(call("ADD", name, container))
        call("DEL", name, container)
        worlds.sh("ip", "netns", "del", ns.names.pop())
    return times


def agent_pid(world):
    for line in worlds.sh(*world.demo, "status").splitlines():
        words = line.split()
        if words[:2] == ["agent-node1", "pid"]:
            return int(words[2])
    raise RuntimeError("the agent of node1 does not run")


def node_shell(world):
    """A command prefix that is cheap: enter the node's namespaces directly, as kubelet would be inside of them."""
    pid = agent_pid(world)
    return ["/usr/bin/nsenter", f"--net=/proc/{pid}/ns/net", f"--mount=/proc/{pid}/ns/mnt"]


def add_time(out, results):
    theirs, ours = worlds.BridgePlugin(), None
    try:
        ours = worlds.Netloom("vxlan", True, nodes=1)
        ns = worlds.Namespaces("c")
        conflist = json.loads(worlds.sh(*ours.demo, "node", "node1", "--", "cat", "/etc/cni/net.d/05-netloom.conflist"))
        config = json.dumps({"cniVersion": "1.0.0", "name": conflist["name"], **conflist["plugins"][0]})
        enter = node_shell(ours)

        def ours_call(command, netns, container):
            env = {"CNI_COMMAND": command, "CNI_CONTAINERID": container, "CNI_IFNAME": "eth0",
                   "CNI_NETNS": f"/proc/{holder(netns)}/ns/net", "CNI_PATH": "/opt/cni/bin", "PATH": os.environ["PATH"],
                   "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE=bench;K8S_POD_NAME={container}"}
            return timed([*enter, "/opt/cni/bin/netloom-cni"], env, config)

        def theirs_call(command, netns, container):
            cmd, env, text = worlds.plugin(theirs.ns, command, netns, container)
            return timed(["/usr/bin/nsenter", *cmd[1:]], env, text)

        holders = {}

        def holder(netns):
            """A process that lives in the namespace: paths below /run/netns differ between mount namespaces."""
            if netns not in holders:
                read_fd, write_fd = os.pipe()
                pid = os.posix_spawn("/usr/bin/nsenter", ["nsenter", f"--net=/run/netns/{netns}", "cat"], os.environ,
                                     file_actions=[(os.POSIX_SPAWN_DUP2, read_fd, 0), (os.POSIX_SPAWN_CLOSE, write_fd)])
                want = os.stat(f"/run/netns/{netns}").st_ino
                while os.stat(f"/proc/{pid}/ns/net").st_ino != want:
                    os.sched_yield()
                os.close(read_fd)
                holders[netns] = (pid, write_fd)
            return holders[netns][0]

        samples = {"bridge + host-local": [], "netloom": []}
        for _ in range(5):
            samples["bridge + host-local"] += rounds(theirs_call, ns, ADDS // 5)
            samples["netloom"] += rounds(ours_call, ns, ADDS // 5)
            for pid, write_fd in holders.values():
                os.close(write_fd)
                os.waitpid(pid, 0)
            holders.clear()
        figures = {name: percentiles(values) for name, values in samples.items()}
        for name, f in figures.items():
            print(f"  CNI ADD  {name:<22} median {f['median']:.2f} ms  p99 {f['p99']:.2f} ms"
                  f"  ({f['min']:.2f} – {f['max']:.2f}, {f['runs']} runs)")
        print(f"  netloom / bridge + host-local: {figures['netloom']['median'] / figures['bridge + host-local']['median']:.3f}"
              " of the median")
        results["cni"] = figures
        ns.close()
    finally:
        theirs.close()
        if ours:
            ours.close()


def busy_ns(pid):
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def agent_cost(out, results):
    world = worlds.Netloom("vxlan", True, nodes=1)
    try:
        pods = "".join(worlds.POD.format(name=f"p{i}", node="node1") for i in range(PODS - 2))
        worlds.sh(*world.demo, "kubectl", "apply", "-f", "-", input=pods)
        worlds.sh(*world.demo, "kubectl", "wait", "--for=condition=Ready", "pod", "--all", "--timeout=300s")
        pid = agent_pid(world)
        status = Path(f"/proc/{pid}/status").read_text()
        rss = {k: int(line.split()[1]) for line in status.splitlines()
               for k in ("VmRSS", "VmHWM", "RssAnon") if line.startswith(k + ":")}
        before, seconds = busy_ns(pid), 20
        time.sleep(seconds)  # what is measured is idleness
        cpu = (busy_ns(pid) - before) / 1e9 / seconds * 100
        print(f"  agent with {PODS} pods: {rss['VmRSS'] / 1024:.1f} MB resident (anonymous {rss['RssAnon'] / 1024:.1f} MB,"
              f" peak {rss['VmHWM'] / 1024:.1f} MB), idle CPU {cpu:.3f} %")
        results["agent"] = {"pods": PODS, "kib": rss, "idle_cpu_percent": cpu}
    finally:
        world.close()
