# SPDX-License-Identifier: Apache-2.0
"""Addresses for services of type LoadBalancer, as a cloud's controller gives them: status.loadBalancer.ingress.

One of each of the service's families out of a range that the router outside knows, or the one that
`spec.loadBalancerIP` asks for. The address stays with the service while it is of this type. A service
with a `spec.loadBalancerClass` is somebody else's.
"""
import ipaddress

from ..client import WorkQueue


def given(service):
    """The addresses that a service has."""
    status = service.get("status") or {}
    ingress = (status.get("loadBalancer") or {}).get("ingress") or []
    return [i["ip"] for i in ingress if i.get("ip")]


def choose(service, networks, taken):
    """The addresses that it should have; pure. Raises StopIteration when a range is used up."""
    have, asked, found = given(service), service["spec"].get("loadBalancerIP"), []
    for family in service["spec"].get("ipFamilies") or []:
        network = next(n for n in networks if f"IPv{n.version}" == family)
        mine = [a for a in [asked, *have] if a and ipaddress.ip_address(a) in network]
        usable = [a for a in mine if a not in taken]
        free = (str(network[i]) for i in range(10, network.num_addresses - 1))
        found.append(usable[0] if usable else next(a for a in free if a not in taken))
    return found


class LoadBalancers:
    def __init__(self, client, informers, cidrs):
        self.client, self.services = client, informers["Service"]
        self.networks = [ipaddress.ip_network(c) for c in cidrs]
        self.queue = WorkQueue("loadbalancers", self.reconcile)
        self.services.listen(self._service)

    def start(self):
        self.queue.start()

    def _service(self, old, new):
        if new is not None and new["spec"]["type"] == "LoadBalancer":
            self.queue.add((new["metadata"]["namespace"], new["metadata"]["name"]))

    def reconcile(self, key):
        """Asked of the API: by an informer that lags two services could get one address."""
        services = {
            (s["metadata"]["namespace"], s["metadata"]["name"]): s
            for s in self.client.list("Service")
        }
        service = services.pop(key, None)
        if service is None or service["spec"]["type"] != "LoadBalancer":
            return
        if service["spec"].get("loadBalancerClass"):
            return
        taken = {a for other in services.values() for a in given(other)}
        wanted = choose(service, self.networks, taken)
        if given(service) != wanted:
            ingress = [{"ip": a, "ipMode": "VIP"} for a in wanted]
            change = {"status": {"loadBalancer": {"ingress": ingress}}}
            self.client.patch("Service", *key, change, "status")
