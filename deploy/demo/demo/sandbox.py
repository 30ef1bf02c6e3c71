# SPDX-License-Identifier: Apache-2.0
"""What makes a network namespace a node: a mount namespace with run, state, configuration and CNI
folders, /sys and bpffs of its own, and a sub-cgroup. The folders' usual paths are mounted over, so
the host needs to have them: those that were missing are removed with the last instance."""
import json
import os
import shutil
import subprocess
import time

from . import topology
from .errors import DemoError
from .instance import ROOT, host_lock, instances

FOLDERS = {
    "run-netloom": "/run/netloom",
    "lib-netloom": "/var/lib/netloom",
    "etc-netloom": "/etc/netloom",
    "cni-conf": "/etc/cni/net.d",
    "cni-bin": "/opt/cni/bin",
    "run-netns": "/run/netns",
}
CREATED = os.path.join(ROOT, ".created.json")

SETUP = """
set -e
cd "$1"
for pair in {pairs}; do
    mount --bind "${{pair%%=*}}" "${{pair#*=}}"
    mount --make-private "${{pair#*=}}"
done
[ -z "$2" ] || mount --bind "$2" cgroup
mount -t sysfs sysfs /sys
mount -t bpf bpffs /sys/fs/bpf
[ -z "$2" ] || mount --move cgroup /sys/fs/cgroup
"""


def cgroup_root():
    """Where cgroup v2 is mounted, on hybrid machines too; None without."""
    with open("/proc/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            fields = line.split()
            if fields[2] == "cgroup2":
                return fields[1]
    return None


def cgroup(instance, part):
    root = cgroup_root()
    return os.path.join(root, instance.cgroup_name(), part) if root else None


def make_cgroups(instance):
    for part in ("control", "external", *instance.nodes):
        path = cgroup(instance, part)
        if path:
            os.makedirs(path, exist_ok=True)


def kill_cgroups(instance):
    """Ends every process of the instance, and removes its cgroups. True when they are gone."""
    root = cgroup_root()
    top = os.path.join(root, instance.cgroup_name()) if root else None
    if not top or not os.path.isdir(top):
        return True
    with open(os.path.join(top, "cgroup.kill"), "w", encoding="ascii") as file:
        file.write("1")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            for folder, _, _ in os.walk(top, topdown=False):
                os.rmdir(folder)
            return True
        except OSError:
            time.sleep(0.02)  # the last ones are still on their way out
    return False


def _create_host_folders():
    with host_lock():
        try:
            with open(CREATED, encoding="utf-8") as file:
                created = json.load(file)
        except FileNotFoundError:
            created = []
        for path in FOLDERS.values():
            parts = path.strip("/").split("/")
            for i in range(1, len(parts) + 1):
                folder = "/" + "/".join(parts[:i])
                if not os.path.isdir(folder):
                    os.mkdir(folder, 0o755)
                    created.append(folder)
        os.makedirs(ROOT, exist_ok=True)
        with open(CREATED, "w", encoding="utf-8") as file:
            json.dump(created, file)


def forget_host_folders():
    with host_lock():
        if instances():
            return
        try:
            with open(CREATED, encoding="utf-8") as file:
                created = json.load(file)
        except FileNotFoundError:
            created = []
        for folder in reversed(created):
            try:
                os.rmdir(folder)
            except OSError:
                pass  # somebody uses it meanwhile: then it is theirs
        shutil.rmtree(ROOT, ignore_errors=True)


def mount_file(instance, node):
    return instance.path("mnt", node)


def node_dir(instance, node, *parts):
    return instance.path("nodes", node, *parts)


def create(instance):
    """Mount namespaces of all nodes."""
    _create_host_folders()
    folder = instance.path("mnt")
    os.makedirs(folder, exist_ok=True)
    topology.run("mount", "--bind", folder, folder)
    topology.run("mount", "--make-private", folder)
    for node in instance.nodes:
        for sub in (*FOLDERS, "cgroup", "pods", "logs"):
            os.makedirs(node_dir(instance, node, sub), exist_ok=True)
        with open(mount_file(instance, node), "w", encoding="ascii"):
            pass
        script = SETUP.format(pairs=" ".join(f"{k}={v}" for k, v in FOLDERS.items()))
        _unshare(
            mount_file(instance, node),
            f"--net=/run/netns/{instance.netns(node)}",
            script,
            node_dir(instance, node),
            cgroup(instance, node) or "",
        )


def _unshare(mount, net, script, *args):
    """A mount namespace kept at `mount`, with `script` run in it.

    The kernel binds a mount namespace only into an older one, and newer kernels number namespaces a CPU at a time, so
    that from within a container a new one can look older. On the CPU that numbered ours it does not.
    """
    failed = None
    for cpu in sorted(os.sched_getaffinity(0)):
        unshare = ["unshare", f"--mount={mount}", "--propagation", "slave", "sh", "-c", script, "sh", *args]
        try:
            topology.run("taskset", "-c", str(cpu), "nsenter", net, *unshare)
            return
        except DemoError as error:
            if "Invalid argument" not in str(error):
                raise
            failed = error
    raise failed


def remove(instance):
    folder = instance.path("mnt")
    if os.path.isdir(folder):
        for name in os.listdir(folder):
            subprocess.run(
                ["umount", "-l", os.path.join(folder, name)], check=False, stderr=subprocess.DEVNULL
            )
        while _is_mounted(folder):
            topology.run("umount", "-l", folder)


def _is_mounted(folder):
    """os.path.ismount() does not see a bind mount within one file system."""
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        return any(line.split()[4] == folder for line in mounts)


def enter(instance, part):
    """The argv prefix that runs a command on a node, or in another part's network namespace."""
    prefix = ["nsenter", f"--net=/run/netns/{instance.netns(part)}"]
    if part in instance.nodes:
        prefix.append(f"--mount={mount_file(instance, part)}")
    return [*prefix, "--"]


def join_cgroup(instance, part):
    """Moves the calling process."""
    path = cgroup(instance, part)
    if path and os.path.isdir(path):
        with open(os.path.join(path, "cgroup.procs"), "w", encoding="ascii") as file:
            file.write("0")
