# SPDX-License-Identifier: Apache-2.0
"""ClusterNetworkPolicies are reflected while their CRD is there, from both sources."""
import os

from cluster import poll
from ksr import nothing_for

POLICIES = "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies"
NAMESPACES = "/api/v1/namespaces"
MARK = "/netloom/ksr/synced/clusternetworkpolicy"
RULE = {"name": "dns", "action": "Accept", "to": [{"namespaces": {}}],
        "protocols": [{"udp": {"destinationPort": {"number": 53}}}]}


def policy(name, priority=1, **metadata):
    return {"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy",
            "metadata": {"name": name, **metadata},
            "spec": {"tier": "Admin", "priority": priority, "subject": {"namespaces": {}},
                     "egress": [RULE]}}


def mark(bed):
    return bed.etcd.get(MARK).get(MARK)


def test_without_the_crd_the_others_are_whole_and_there_are_none(bed, api):
    api.missing.add(POLICIES)
    api.put(NAMESPACES, {"metadata": {"name": "a"}})
    ksr = bed.follow_api(api).wait_ready()
    bed.wait_keys("namespace", {"a"})
    poll(lambda: mark(bed), 60, "the mark of an empty resource")
    assert mark(bed)["count"] == 0 and mark(bed)["revision"] == ""
    assert ksr.is_ready() and " error" not in ksr.logged().lower()
    assert ksr.logged().count("does not serve it") == 1
    assert ksr.metric("netloom_ksr_missing") == 1


def test_policies_come_with_the_crd_and_go_with_it(bed, api):
    api.missing.add(POLICIES)
    ksr = bed.follow_api(api).wait_ready()
    poll(lambda: mark(bed), 60, "the mark of an empty resource")
    api.put(POLICIES, policy("one", labels={"a": "b"}))
    api.missing.discard(POLICIES)
    bed.wait_keys("clusternetworkpolicy", {"one"})
    assert bed.obj("clusternetworkpolicy/one")["spec"] == policy("one")["spec"]
    poll(lambda: mark(bed)["count"] == 1, 60, "the mark of one")
    poll(lambda: ksr.metric("netloom_ksr_missing") == 0, 60, "none is missing")
    api.put(POLICIES, policy("two"))
    bed.wait_keys("clusternetworkpolicy", {"one", "two"})
    api.lose_crd(POLICIES)
    bed.wait_keys("clusternetworkpolicy", set())
    ksr.wait_ready()


def test_one_wrong_404_takes_no_policy_away(bed, api):
    api.put(POLICIES, policy("one"))
    bed.follow_api(api).wait_ready()
    before = bed.etcd.kvs("/netloom/k8s/clusternetworkpolicy/")
    asked = api.n_requests("clusternetworkpolicies?limit")
    api.fail(POLICIES, 404)
    api.end_watches()
    poll(lambda: api.n_requests("clusternetworkpolicies?limit") > asked, 60, "the second question")
    nothing_for(1)
    assert bed.etcd.kvs("/netloom/k8s/clusternetworkpolicy/") == before


def test_a_server_that_is_none_takes_no_policy_away(bed, api):
    """A load balancer without servers says 404 to everything, for as long as it likes."""
    api.put(POLICIES, policy("one"))
    ksr = bed.follow_api(api).wait_ready()
    asked = api.n_requests("clusternetworkpolicies?limit")
    for path in ("/apis", POLICIES):
        api.fail(path, 404, times=3, body="default backend - 404")
    api.end_watches()
    poll(lambda: "no word of an API server" in ksr.logged(), 60, "what is wrong")
    assert bed.keys("clusternetworkpolicy") == {"one"}
    poll(lambda: api.n_requests("clusternetworkpolicies?limit") > asked + 1, 60, "further questions")
    assert bed.keys("clusternetworkpolicy") == {"one"}


def test_what_went_while_nobody_looked_is_swept(bed, api):
    for name in ("stays", "goes"):
        api.put(POLICIES, policy(name))
    ksr = bed.follow_api(api).wait_ready()
    bed.wait_keys("clusternetworkpolicy", {"stays", "goes"})
    ksr.stop()
    before = bed.etcd.kvs("/netloom/k8s/clusternetworkpolicy/stays")
    api.delete(POLICIES, "", "goes")
    ksr.start()
    bed.wait_keys("clusternetworkpolicy", {"stays"})
    assert bed.etcd.kvs("/netloom/k8s/clusternetworkpolicy/stays") == before
    ksr.stop()
    api.lose_crd(POLICIES)
    ksr.start()
    bed.wait_keys("clusternetworkpolicy", set())


def test_of_annotations_log_only_mode_stays(bed, api):
    notes = {"netloom.io/policy-mode": "log", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
    api.put(POLICIES, policy("quiet", annotations=notes))
    api.put(NAMESPACES, {"metadata": {"name": "a", "annotations": notes}})
    bed.follow_api(api).wait_ready()
    for key in ("clusternetworkpolicy/quiet", "namespace/a"):
        assert bed.obj(key)["metadata"]["annotations"] == {"netloom.io/policy-mode": "log"}


def test_a_bad_policy_is_named_and_harms_no_other(bed, api):
    bad = policy("bad")
    bad["spec"]["priority"] = 1001
    api.put(POLICIES, bad)
    api.put(POLICIES, policy("good"))
    ksr = bed.follow_api(api).wait_ready()
    bed.wait_keys("clusternetworkpolicy", {"good"})
    poll(lambda: "clusternetworkpolicy bad: spec.priority: 1001" in ksr.logged(), 60, "its name")


def test_a_folder_of_manifests_has_them_too(bed):
    bed.write("a.yaml", policy("one", namespace="ignored"), policy("two"))
    bed.follow_folder().wait_ready()
    assert bed.keys() == {"clusternetworkpolicy/one", "clusternetworkpolicy/two"}
    assert bed.obj("clusternetworkpolicy/one")["spec"] == policy("one")["spec"]
    bed.write("a.yaml", policy("two", priority=9))
    bed.wait_keys("clusternetworkpolicy", {"two"})
    poll(lambda: bed.obj("clusternetworkpolicy/two")["spec"]["priority"] == 9, 60, "the change")
    os.unlink(bed.path("a.yaml"))
    bed.wait_keys("clusternetworkpolicy", set())
