# SPDX-License-Identifier: Apache-2.0
"""Controllers and scheduler as one process."""
import argparse
import signal

from ..client import Client, Informer
from .deployments import Deployments
from .endpointslices import EndpointSlices
from .exporter import Exporter
from .lifecycle import GarbageCollector, Namespaces
from .loadbalancers import LoadBalancers
from .podcidrs import PodCidrs
from .replicasets import ReplicaSets
from .scheduler import Scheduler

KINDS = ("Namespace", "Node", "Pod", "Service", "EndpointSlice", "ReplicaSet", "Deployment")


def main(argv):
    parser = argparse.ArgumentParser(prog="netloom-demo-controllers")
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument(
        "--cluster-cidr", action="append", default=[], help="gives nodes their podCIDRs from here"
    )
    parser.add_argument(
        "--load-balancer-cidr", action="append", default=[], help="LoadBalancer services' addresses"
    )
    parser.add_argument("--export", metavar="DIR", help="keeps a manifest per object there")
    args = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    client = Client(args.kubeconfig, "controllers")
    informers = {kind: Informer(client, kind) for kind in KINDS}
    controllers = [
        c(client, informers)
        for c in (Scheduler, EndpointSlices, ReplicaSets, Deployments, GarbageCollector, Namespaces)
    ]
    if args.export:
        informers["NetworkPolicy"] = Informer(client, "NetworkPolicy")
        informers["ClusterNetworkPolicy"] = Informer(client, "ClusterNetworkPolicy", optional=True)
        Exporter(informers, args.export)
    if args.cluster_cidr:
        controllers.append(PodCidrs(client, informers, args.cluster_cidr))
    if args.load_balancer_cidr:
        controllers.append(LoadBalancers(client, informers, args.load_balancer_cidr))
    for informer in informers.values():
        informer.start()
    for informer in informers.values():
        informer.synced.wait()
    for controller in controllers:
        controller.start()
    signal.pause()
