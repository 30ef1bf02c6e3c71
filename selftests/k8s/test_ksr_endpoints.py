# SPDX-License-Identifier: Apache-2.0
"""What agents published of their pods, and whose node never comes back."""
import json
import time

from cluster import poll
from ksr import nothing_for
from test_ksr_kubernetes import NODES, PODS, fill, named, pod

PREFIX = "/netloom/endpoint/"
GRACE_S = 1
LONG_GRACE_S = 5


def publish(bed, name, node):
    bed.etcd.put(PREFIX + name, json.dumps({"node": node, "ips": ["10.1.9.1"], "since": 1}))


def published(bed):
    return {key[len(PREFIX):] for key in bed.etcd.kvs(PREFIX)}


def wait_published(bed, *names):
    poll(lambda: published(bed) == set(names), 60,
         lambda: f"{sorted(names)}; there is {sorted(published(bed))}")


def test_endpoints_go_with_a_node_that_is_gone_and_no_others(bed, api):
    bed.config = {"endpoints": {"grace": f"{GRACE_S}s"}}
    fill(api)
    api.put(NODES, named("n2", None))
    api.put(PODS, pod("moved", node="n2"))
    api.put(PODS, pod("still-there", node="n9"))
    publish(bed, "default/web", "n1")
    publish(bed, "default/without-pod", "n2")
    publish(bed, "default/lost", "n9")
    publish(bed, "shop/lost", "n8.example.org")
    publish(bed, "default/moved", "n9")
    publish(bed, "default/still-there", "n9")
    publish(bed, "default/odd-node", "../n1")
    bed.etcd.put(PREFIX + "default/odd", "not JSON")
    ksr = bed.follow_api(api).wait_ready()
    living = ("default/web", "default/without-pod", "default/odd", "default/odd-node")
    wait_published(bed, *living, "default/still-there")
    poll(lambda: ksr.metric("netloom_ksr_endpoints_removed_total") == 3, 60, "three are counted")
    assert "'/netloom/endpoint/default/odd': " in ksr.logged()

    api.delete(PODS, "default", "still-there")
    wait_published(bed, *living)
    api.delete(NODES, "", "n2")
    wait_published(bed, *(name for name in living if name != "default/without-pod"))
    poll(lambda: ksr.metric("netloom_ksr_endpoints") == 3, 60, "three are left")


def test_a_node_that_is_back_within_the_grace_loses_nothing(bed, api):
    """Two nodes go, and one comes back: the grace is over when the other one's endpoint goes."""
    bed.config = {"endpoints": {"grace": f"{LONG_GRACE_S}s"}}
    fill(api)
    bed.follow_api(api).wait_ready()

    def within_grace():
        """Where the machine stands still for longer, they go and come again."""
        for name in ("n2", "n3"):
            api.put(NODES, named(name, None))
        bed.wait_keys("node", {"n1", "n2", "n3"})
        publish(bed, "default/x", "n2")
        publish(bed, "default/y", "n3")
        began = time.monotonic()
        for name in ("n2", "n3"):
            api.delete(NODES, "", name)
        bed.wait_keys("node", {"n1"})
        api.put(NODES, named("n2", None))
        bed.wait_keys("node", {"n1", "n2"})
        found = published(bed)
        return time.monotonic() - began < LONG_GRACE_S and found

    found = poll(within_grace, 60, "a node that is back within the grace")
    assert found == {"default/x", "default/y"}
    wait_published(bed, "default/x")


def test_manifests_without_nodes_say_nothing_of_nodes(bed):
    bed.config = {"endpoints": {"grace": "100ms"}}
    publish(bed, "default/x", "n2")
    bed.write("a.yaml", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
    bed.follow_folder().wait_ready()
    nothing_for(GRACE_S)
    assert published(bed) == {"default/x"}
    bed.write("b.yaml", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
    wait_published(bed)


def test_an_endpoint_that_is_written_anew_meanwhile_stays(bed, api):
    """Its agent lives: each write begins the grace anew, which is over when a dead one's goes."""
    bed.config = {"endpoints": {"grace": f"{LONG_GRACE_S}s"}}
    fill(api)
    publish(bed, "default/alive", "n9")
    publish(bed, "default/dead", "n9")
    bed.follow_api(api).wait_ready()

    def dead_is_gone():
        publish(bed, "default/alive", "n9")
        found = published(bed)
        return "default/dead" not in found and [found]

    assert poll(dead_is_gone, 60, "the other one goes") == [{"default/alive"}]
    wait_published(bed)
