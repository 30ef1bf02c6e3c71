# SPDX-License-Identifier: Apache-2.0
"""What the matrix does not cover: errors, odd packets, many at once; on both transports."""
import json

import pytest
from cluster import Cluster

FAMILIES = ("v4", "v6")


@pytest.fixture(scope="module", params=["vxlan", "native"])
def net(request):
    """Two nodes, two pods on each."""
    with Cluster("--nodes", "2", "--transport", request.param) as up:
        up.transport = request.param
        up.pods(("a1", "node1"), ("b1", "node1"), ("a2", "node2"), ("b2", "node2"))
        yield up


def ip(net, pod, family):
    return next(a for a in net.ips(pod) if (":" in a) == (family == "v6"))


@pytest.mark.parametrize("family", FAMILIES)
def test_no_packet_of_the_host_is_lost_while_its_next_hop_is_resolved(net, family):
    pings = " ".join(f"ping -nqc1 -W3 {ip(net, pod, family)} &" for pod in ("a2", "b2"))
    out = net.node("node1", "sh", "-c", f"ip neigh flush dev eth0; {pings} wait")
    assert out.count(" 1 received") == 2, out
