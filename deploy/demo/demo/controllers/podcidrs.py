# SPDX-License-Identifier: Apache-2.0
"""Node.spec.podCIDRs out of the cluster's CIDRs, as kube-controller-manager's --allocate-node-cidrs does."""
import ipaddress

from ..client import WorkQueue

BLOCK = {4: 24, 6: 64}


class PodCidrs:
    def __init__(self, client, informers, cidrs):
        self.client, self.nodes = client, informers["Node"]
        self.cidrs = [ipaddress.ip_network(c) for c in cidrs]
        self.queue = WorkQueue("podcidrs", self.reconcile)
        self.nodes.listen(lambda old, new: new and self.queue.add(new["metadata"]["name"]))

    def start(self):
        self.queue.start()

    def reconcile(self, name):
        nodes = {n["metadata"]["name"]: n for n in self.client.list("Node")}
        if name not in nodes or nodes[name]["spec"].get("podCIDRs"):
            return
        taken = {c for n in nodes.values() for c in n["spec"].get("podCIDRs") or []}
        found = []
        for cidr in self.cidrs:
            blocks = cidr.subnets(new_prefix=BLOCK[cidr.version])
            found.append(next(str(b) for b in blocks if str(b) not in taken))
        self.client.patch("Node", None, name, {"spec": {"podCIDR": found[0], "podCIDRs": found}})
