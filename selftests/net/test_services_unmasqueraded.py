# SPDX-License-Identifier: Apache-2.0
"""Services where pods go out with their own addresses (masquerade.enabled: false)."""
import json

import pytest
from cluster import Cluster, backend, service
from services import KINDS, ask, make, place, prepare

NODES = ("node1", "node2")


@pytest.fixture(scope="module")
def net():
    config = json.dumps({"masquerade": {"enabled": False}})
    with Cluster("--nodes", "2", "--socket-lb", "off", "--agent-config", config) as up:
        prepare(up)
        make(up, service("far", type="LoadBalancer"), backend("far", "node2"), nodes=NODES)
        host = backend("far-host", "node2", 8090, hostNetwork=True)
        ports = [
            {"name": p.lower(), "protocol": p, "port": 80, "targetPort": 8090} for p in ("TCP", "UDP")
        ]
        make(up, service("far-host", ports=ports), host, nodes=NODES)
        yield up


@pytest.mark.parametrize(
    "client, name, frontend",
    [
        ("external", "far", "NodePort"),
        ("external", "far", "LoadBalancer"),
        ("node1", "far", "ClusterIP"),
        ("node1", "far-host", "ClusterIP"),
        ("client", "far", "ClusterIP"),
        ("client", "far-host", "ClusterIP"),
    ],
)
def test_a_service_elsewhere_is_reached_without_masquerade(net, client, name, frontend):
    found = {kind: ask(net, client, place(net, name, *kind, frontend)) for kind in KINDS}
    assert found == {kind: [name] for kind in KINDS}
