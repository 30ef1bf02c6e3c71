# SPDX-License-Identifier: Apache-2.0
"""SCTP through services and masquerade, packet by packet: ports change, and the checksum with them."""
import itertools
import os

import pytest
from cluster import HERE, PYTHON, Cluster, pod, service
from services import FAMILIES, make, node_ip, of_family, place, prepare

SIZES = (64, 301, 701, 1300)
BACKENDS = ("near", "far")
CLIENTS = (("client", "ClusterIP"), ("node1", "ClusterIP"), ("external", "NodePort"))
OUTSIDE = ("172.31.0.10", "fd00:31::a")
_ports = itertools.count(3000)


def sctp_backend(name, node):
    """It is ready when its sockets are there: in IPv6, the later one, of protocol 132."""
    command = [PYTHON, os.path.join(HERE, "rawsctp.py"), name, "8080"]
    listens = {"exec": {"command": ["grep", "-q", ":0084 ", "/proc/net/raw6"]}, "timeoutSeconds": 10}
    main = {"name": "main", "image": "python", "command": command, "readinessProbe": listens}
    return pod(name, node, containers=[main])


def sctp_service(name, port=81):
    ports = [{"name": "sctp", "protocol": "SCTP", "port": port, "targetPort": 8080}]
    return service(name, ports=ports, type="NodePort")


@pytest.fixture(scope="module", params=["vxlan", "native"])
def net(request):
    nodes = ("node1", "node2")
    with Cluster("--nodes", "2", "--transport", request.param) as up:
        prepare(up)
        for name, node in zip(BACKENDS, nodes):
            make(up, sctp_service(name), sctp_backend(name, node), nodes=nodes)
        make(up, sctp_service("nobody"), nodes=nodes)
        yield up


def ask(net, where, to, **more):
    return net.peer(where, "rawsctp.py").ask("ask", {"place": to, "sport": next(_ports), **more})


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_sctp_reaches_backends_with_another_port(net, family, name):
    wrong = []
    for where, frontend in CLIENTS:
        to = place(net, name, family, "SCTP", frontend)
        for size in SIZES:
            found, error = ask(net, where, to, size=size)
            if error or [found[0], *found[3:]] != [name, "good", "good"]:
                wrong.append(f"{where} -> {frontend}, {size} bytes: {found or error}")
        found, error = ask(net, where, to, zero=True)
        if error or found[3:] != ["none", "none"]:
            wrong.append(f"{where} -> {frontend}, without a checksum: {found or error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("family", FAMILIES)
def test_sctp_to_the_outside_comes_from_the_node(net, family):
    _, error = net.peer("external", "rawsctp.py").ask("serve", {"name": "out", "ports": [9000]})
    assert error is None, error
    to = ["SCTP", of_family(OUTSIDE, family), 9000]
    found, error = ask(net, "client", to, size=1200)
    assert error is None, error
    assert [found[0], *found[3:]] == ["out", "good", "good"]
    assert found[1] == node_ip(net, "node1", family)


@pytest.mark.parametrize("family", FAMILIES)
def test_sctp_to_a_service_without_backends_is_refused(net, family):
    _, error = ask(net, "client", place(net, "nobody", family, "SCTP"))
    assert error and error.startswith("ConnectionRefusedError"), error
