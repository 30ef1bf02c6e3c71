# SPDX-License-Identifier: Apache-2.0
"""What the demo's API server and controllers make of services, without a cluster: addresses, ports, slices."""
import ipaddress
import os
import sys

import pytest
from cluster import REPO

sys.path.insert(0, os.path.join(REPO, "deploy", "demo"))

from demo.api.errors import ApiError  # noqa: E402
from demo.api.resources import BUILTIN, Registry  # noqa: E402
from demo.api.rest import Rest  # noqa: E402
from demo.api.store import Store  # noqa: E402
from demo.controllers.endpointslices import wanted_slices  # noqa: E402
from demo.controllers.loadbalancers import choose  # noqa: E402

SERVICE = next(r for r in BUILTIN if r.kind == "Service")
NAMESPACE = next(r for r in BUILTIN if r.kind == "Namespace")


@pytest.fixture
def api():
    rest = Rest(Store(), Registry(), ["10.96.0.0/16", "fd00:96::/112"])
    rest.create(NAMESPACE, "", {"metadata": {"name": "default"}}, {})
    return rest


def make(api, name, ports=None, **spec):
    body = {"metadata": {"name": name}, "spec": {"ports": ports or [{"port": 80}], **spec}}
    return api.create(SERVICE, "default", body, {})["spec"]


def change(api, name, **spec):
    old = api.get(SERVICE, "default", name)
    new = {k: v for k, v in {**old["spec"], **spec}.items() if v is not None}
    return api.update(SERVICE, "default", name, {**old, "spec": new}, {})["spec"]


@pytest.mark.parametrize(
    "asked, families",
    [
        ({}, ["IPv4"]),
        ({"ipFamilyPolicy": "PreferDualStack"}, ["IPv4", "IPv6"]),
        ({"ipFamilies": ["IPv6"]}, ["IPv6"]),
        ({"ipFamilies": ["IPv6"], "ipFamilyPolicy": "RequireDualStack"}, ["IPv6", "IPv4"]),
        ({"ipFamilies": ["IPv6", "IPv4"]}, ["IPv6", "IPv4"]),
        ({"clusterIP": "fd00:96::5"}, ["IPv6"]),
        ({"clusterIPs": ["fd00:96::5", "10.96.0.5"]}, ["IPv6", "IPv4"]),
        ({"clusterIP": "None", "ipFamilyPolicy": "PreferDualStack"}, ["IPv4", "IPv6"]),
    ],
)
def test_families_follow_policy_and_addresses(api, asked, families):
    spec = make(api, "s", **asked)
    assert spec["ipFamilies"] == families
    if asked.get("clusterIP") != "None":
        assert ["IPv6" if ":" in a else "IPv4" for a in spec["clusterIPs"]] == families


def test_a_second_address_comes_and_goes_with_the_policy(api):
    first = make(api, "s")["clusterIPs"]
    both = change(api, "s", ipFamilyPolicy="PreferDualStack")
    assert both["clusterIPs"][:1] == first and len(both["clusterIPs"]) == 2
    assert change(api, "s", ipFamilyPolicy="SingleStack")["clusterIPs"] == first


def test_node_ports_are_unique_for_each_protocol(api):
    ports = [{"name": p, "port": 53, "protocol": p, "nodePort": 30053} for p in ("TCP", "UDP")]
    make(api, "dns", ports, type="NodePort")
    assert make(api, "auto", type="NodePort")["ports"][0]["nodePort"] == 30000
    sctp = [{"port": 53, "protocol": "SCTP", "nodePort": 30053}]
    make(api, "sctp", sctp, type="NodePort")
    with pytest.raises(ApiError, match="spec.ports.0..nodePort.*allocated"):
        make(api, "taken", [{"port": 1, "nodePort": 30053}], type="NodePort")
    with pytest.raises(ApiError, match="30000-32767"):
        make(api, "low", [{"port": 1, "nodePort": 80}], type="NodePort")


def test_a_node_port_stays_through_updates_and_goes_with_the_type(api):
    before = make(api, "s", type="LoadBalancer", externalTrafficPolicy="Local")
    assert before["healthCheckNodePort"] != before["ports"][0]["nodePort"]
    after = change(api, "s", ports=[{"port": 80, "targetPort": 8080}])
    assert after["ports"][0]["nodePort"] == before["ports"][0]["nodePort"]
    assert after["healthCheckNodePort"] == before["healthCheckNodePort"]
    last = change(api, "s", type="ClusterIP", externalTrafficPolicy=None)
    assert "nodePort" not in last["ports"][0] and "healthCheckNodePort" not in last


@pytest.mark.parametrize(
    "asked, words",
    [
        ({"clusterIP": "192.0.2.1"}, "clusterIPs.*192.0.2.1"),
        ({"clusterIP": "many"}, "clusterIPs.*many"),
        ({"type": "Nonsense"}, "spec.type"),
        (
            {
                "clusterIPs": ["10.96.0.9"],
                "ipFamilies": ["IPv6"],
                "ipFamilyPolicy": "PreferDualStack",
            },
            "spec.clusterIPs",
        ),
    ],
)
def test_wrong_services_are_refused_by_the_field(api, asked, words):
    with pytest.raises(ApiError, match=words):
        make(api, "s", **asked)


def test_load_balancers_keep_their_addresses_apart():
    networks = [ipaddress.ip_network("172.29.0.0/24"), ipaddress.ip_network("fd00:29::/112")]
    service = {"spec": {"ipFamilies": ["IPv4", "IPv6"]}}
    assert choose(service, networks, {"172.29.0.10"}) == ["172.29.0.11", "fd00:29::a"]
    service["status"] = {"loadBalancer": {"ingress": [{"ip": "172.29.0.77"}]}}
    assert choose(service, networks, set()) == ["172.29.0.77", "fd00:29::a"]
    service["spec"]["loadBalancerIP"] = "172.29.0.78"
    assert choose(service, networks, set())[0] == "172.29.0.78"


def backend(name, ip, ready=True, leaving=False, port=8080):
    meta = {"name": name, "namespace": "default", "uid": name}
    if leaving:
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    ports = [{"name": "web", "containerPort": port}]
    conditions = [{"type": "Ready", "status": str(ready)}]
    status = {"phase": "Running", "podIPs": [{"ip": ip}], "conditions": conditions}
    spec = {"nodeName": "node1", "containers": [{"name": "main", "ports": ports}]}
    return {"metadata": meta, "spec": spec, "status": status}


def slices(*pods, **spec):
    spec = {"ipFamilies": ["IPv4"], "ports": [{"port": 80, "targetPort": "web"}], **spec}
    service = {"metadata": {"name": "s", "namespace": "default", "uid": "u"}, "spec": spec}
    return wanted_slices(service, pods, {"node1": "zone-a"})


@pytest.mark.parametrize(
    "ready, leaving, publish, conditions",
    [
        (True, False, False, (True, True, False)),
        (False, False, False, (False, False, False)),
        (True, True, False, (False, True, True)),
        (False, True, False, (False, False, True)),
        (False, False, True, (True, False, False)),
        (True, True, True, (True, True, True)),
    ],
)
def test_conditions_of_endpoints(ready, leaving, publish, conditions):
    made = slices(backend("a", "10.1.0.1", ready, leaving), publishNotReadyAddresses=publish)
    found = made[0]["endpoints"][0]["conditions"]
    assert (found["ready"], found["serving"], found["terminating"]) == conditions


def test_slices_split_at_a_hundred_endpoints_and_by_target_ports():
    pods = [backend(f"p{i}", f"10.1.0.{i}", port=8080 + i % 2) for i in range(1, 251)]
    made = slices(*pods)
    assert sorted(len(s["endpoints"]) for s in made) == [25, 25, 100, 100]
    assert {s["ports"][0]["port"] for s in made} == {8080, 8081}


def test_endpoints_carry_their_zone_and_the_hint_for_it():
    plain = slices(backend("a", "10.1.0.1"))[0]["endpoints"][0]
    assert plain["zone"] == "zone-a" and "hints" not in plain
    close = slices(backend("a", "10.1.0.1"), trafficDistribution="PreferClose")[0]["endpoints"][0]
    assert close["hints"] == {"forZones": [{"name": "zone-a"}]}
