# SPDX-License-Identifier: Apache-2.0
"""The real netloom-ksr follows a made-up API server into a real etcd."""
import json

from cluster import poll
from ksr import nothing_for

PODS = "/api/v1/pods"
NODES = "/api/v1/nodes"
SERVICES = "/api/v1/services"
NAMESPACES = "/api/v1/namespaces"
SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
POLICIES = "/apis/networking.k8s.io/v1/networkpolicies"
CLUSTER_POLICIES = "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies"


def named(name, namespace="default", **rest):
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"metadata": {**meta, **rest.pop("metadata", {})}, **rest}


def pod(name, node="n1", **metadata):
    return named(
        name,
        metadata=metadata,
        spec={
            "nodeName": node,
            "containers": [
                {"name": "c", "image": "i", "env": [{"name": "SECRET", "value": "hunter2"}],
                 "ports": [{"name": "http", "containerPort": 80, "protocol": "TCP"}]}
            ],
        },
        status={"phase": "Running", "podIP": "10.1.0.5", "podIPs": [{"ip": "10.1.0.5"}],
                "conditions": [{"type": "Ready", "status": "True"},
                               {"type": "Initialized", "status": "True"}]},
    )


def fill(api):
    """One object of each kind."""
    api.put(NAMESPACES, named("default", None, metadata={"labels": {"team": "a"}}))
    api.put(NODES, named("n1", None, spec={"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24"]},
                         status={"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
                                 "images": [{"names": ["x"]}]}))
    api.put(PODS, pod("web", labels={"app": "web"},
                      annotations={"netloom.io/x": "1", "other/y": "2"},
                      managedFields=[{"manager": "m"}]))
    api.put(SERVICES, named("web", spec={"clusterIP": "10.96.0.9", "type": "ClusterIP",
                                         "selector": {"app": "web"}, "ports": [{"port": 80}]},
                            status={"loadBalancer": {}}))
    api.put(SLICES, named("web-1", addressType="IPv4", ports=[{"port": 80, "protocol": "TCP"}],
                          endpoints=[{"addresses": ["10.1.0.5"], "nodeName": "n1",
                                      "conditions": {"ready": True}}]))
    api.put(POLICIES, named("deny", spec={"podSelector": {}, "policyTypes": ["Ingress"]}))
    api.put(CLUSTER_POLICIES, named("all", None, spec={
        "tier": "Admin", "priority": 1, "subject": {"namespaces": {}}}))


ALL = {"namespace/default", "node/n1", "pod/default/web", "service/default/web",
       "endpointslice/default/web-1", "networkpolicy/default/deny", "clusternetworkpolicy/all"}


def test_objects_of_every_kind_are_kept_without_what_nobody_needs(bed, api):
    fill(api)
    bed.follow_api(api).wait_ready()
    assert bed.keys() == ALL
    web = bed.obj("pod/default/web")
    assert web["spec"] == {"nodeName": "n1", "containers": [{"name": "c", "ports": [
        {"name": "http", "containerPort": 80, "protocol": "TCP"}]}]}
    assert web["metadata"]["annotations"] == {"netloom.io/x": "1"}
    assert web["status"]["conditions"] == [{"type": "Ready", "status": "True"}]
    assert "hunter2" not in json.dumps(bed.etcd.get("/netloom/"))
    assert "managedFields" not in json.dumps(bed.etcd.get("/netloom/"))
    assert "images" not in json.dumps(bed.obj("node/n1"))
    assert bed.obj("service/default/web")["spec"]["clusterIP"] == "10.96.0.9"
    assert bed.obj("endpointslice/default/web-1")["endpoints"][0]["addresses"] == ["10.1.0.5"]
    assert bed.obj("networkpolicy/default/deny")["spec"]["policyTypes"] == ["Ingress"]
    assert set(bed.etcd.kvs("/netloom/ksr/synced/")) == {
        "/netloom/ksr/synced/" + kind.split("/")[0] for kind in ALL}


def test_thousands_of_objects_come_in_pages(bed, api):
    for i in range(3000):
        api.put(PODS, pod(f"p{i}"))
    bed.follow_api(api).wait_ready()
    assert len(bed.keys("pod")) == 3000
    assert api.n_requests("continue=") >= 5


def test_changes_are_followed(bed, api):
    fill(api)
    bed.follow_api(api).wait_ready()
    api.put(PODS, pod("second"))
    bed.wait_keys("pod", {"default/web", "default/second"})
    api.put(PODS, pod("second", node="n9"))
    poll(lambda: bed.obj("pod/default/second")["spec"]["nodeName"] == "n9", 60, "the new node")
    api.delete(PODS, "default", "web")
    bed.wait_keys("pod", {"default/second"})


def test_a_heartbeat_is_not_written(bed, api):
    fill(api)
    bed.follow_api(api).wait_ready()
    before = bed.etcd.kvs("/netloom/k8s/")
    for _ in range(5):
        fill(api)
    api.put(PODS, pod("marker"))
    bed.wait_keys("pod", {"default/web", "default/marker"})
    after = bed.etcd.kvs("/netloom/k8s/")
    assert {key: after[key] for key in before} == before


def test_a_restart_rewrites_nothing_and_sweeps_what_went_meanwhile(bed, api):
    fill(api)
    api.put(PODS, pod("gone"))
    ksr = bed.follow_api(api).wait_ready()
    assert ksr.stop() == 0
    before = bed.etcd.kvs("/netloom/k8s/")
    api.delete(PODS, "default", "gone")
    api.put(PODS, pod("fresh"))
    ksr.start()
    bed.wait_keys("pod", {"default/web", "default/fresh"})
    ksr.wait_ready()
    after = bed.etcd.kvs("/netloom/k8s/")
    assert after["/netloom/k8s/pod/default/web"] == before["/netloom/k8s/pod/default/web"]


def test_etcd_goes_and_comes_and_all_that_happened_is_there(bed, api):
    fill(api)
    ksr = bed.follow_api(api).wait_ready()
    bed.etcd.stop()
    api.put(PODS, pod("fresh"))
    api.delete(PODS, "default", "web")
    nothing_for(1)
    assert ksr.get("/livez")[0] == 200
    bed.etcd.start()
    bed.wait_keys("pod", {"default/fresh"})
    ksr.wait_ready()


def test_lost_data_are_written_anew(bed, api):
    fill(api)
    ksr = bed.follow_api(api).wait_ready()
    epoch = bed.leader()["epoch"]
    bed.etcd.wipe()
    bed.etcd.start()
    poll(lambda: bed.keys() == ALL, 90, lambda: f"all keys: {bed.keys()}\n{ksr.logged()[-3000:]}")
    poll(lambda: len(bed.etcd.kvs("/netloom/ksr/synced/")) == 7, 60, "all marks")
    assert bed.leader()["epoch"] > epoch


def test_what_others_delete_or_change_is_put_right(bed, api):
    fill(api)
    bed.follow_api(api).wait_ready()
    good = bed.etcd.kvs("/netloom/k8s/pod/default/web")["/netloom/k8s/pod/default/web"][1]
    bed.etcd.delete("/netloom/k8s/node/n1")
    bed.etcd.put("/netloom/k8s/pod/default/web", "{}")
    bed.etcd.put("/netloom/k8s/pod/default/stray", "{}")

    def right():
        pods = bed.etcd.kvs("/netloom/k8s/pod/")
        return (bed.keys() == ALL and pods["/netloom/k8s/pod/default/web"][1] == good)

    poll(right, 60, "all as before")


def test_old_versions_that_are_gone_are_listed_anew(bed, api):
    fill(api)
    bed.follow_api(api).wait_ready()
    lists = api.n_requests("/pods?limit")
    api.delete(PODS, "default", "web")
    api.put(PODS, pod("fresh"))
    api.compact()
    api.end_watches()
    bed.wait_keys("pod", {"default/fresh"})
    poll(lambda: api.n_requests("/pods?limit") > lists, 60, "a new list")


def test_refusals_delay_and_lose_nothing(bed, api):
    for path in (PODS, NODES):
        api.fail(path, 429, headers={"Retry-After": "1"})
        api.fail(path, 500)
    fill(api)
    bed.follow_api(api).wait_ready()
    assert bed.keys() == ALL


def test_ended_watches_lose_nothing(bed, api):
    fill(api)
    bed.follow_api(api).wait_ready()
    for i in range(5):
        api.put(PODS, pod(f"before{i}"))
        api.end_watches()
        api.put(PODS, pod(f"after{i}"))
    api.fail(PODS, 503)
    api.end_watches()
    names = {f"default/{when}{i}" for i in range(5) for when in ("before", "after")}
    bed.wait_keys("pod", names | {"default/web"})


def test_a_resource_that_the_server_lacks_holds_up_no_other(bed, api):
    api.missing.add(POLICIES)
    fill(api)
    ksr = bed.follow_api(api)
    served = ALL - {"networkpolicy/default/deny"}
    poll(lambda: bed.keys() == served, 60, "all but policies")
    ksr.wait_ready()
    assert "networkpolicy: the API server does not serve it" in ksr.logged()
    assert "/netloom/ksr/synced/networkpolicy" not in bed.etcd.kvs("/netloom/ksr/synced/")


def test_hostile_objects_hurt_no_other(bed, api):
    fill(api)
    deep = "[" * 600 + "]" * 600
    api.raw[PODS] = [
        '{"metadata":{"name":"../../ksr/leader","namespace":"default"}}',
        '{"metadata":{"name":"a/b","namespace":"default"}}',
        '{"metadata":{"name":"","namespace":"default"}}',
        '{"metadata":{"name":"web2","namespace":"x/y"}}',
        '{"metadata":"x"}', '[]', '7', 'null', '{}', '"text"',
        '{"metadata":{"name":"typed","namespace":"default"},"spec":{"nodeName":{"a":1}}}',
        '{"metadata":{"name":"labels","namespace":"default","labels":{"a":7}}}',
        '{"metadata":{"name":"deep","namespace":"default"},"spec":%s}' % deep,
        '{"metadata":{"name":"utf","namespace":"default","labels":{"a":"\udcff"}}}',
        '{"metadata":{"name":"huge","namespace":"default","labels":{"a":"%s"}}}' % ("x" * (2 << 20)),
    ]
    ksr = bed.follow_api(api).wait_ready()
    assert bed.keys() == ALL
    assert bed.leader()["holder"] == "ksr-1"
    for line in ('{"type":"ADDED","object":{"metadata":{"name":"x/y","namespace":"default"}}}',
                 '{"type":"ADDED","object":%s}' % deep, '{"type":"MODIFIED"}', '{',
                 '{"type":"DELETED","object":{"metadata":{"name":["a"],"namespace":"default"}}}'):
        api.send_raw(PODS, line)
    api.put(PODS, pod("after"))
    bed.wait_keys("pod", {"default/web", "default/after"})
    text = ksr.logged()
    for part in ("default/typed", "spec.nodeName", "labels", "huge"):
        assert part in text, f"{part} is not in the log"


def test_an_object_that_turns_bad_stays_as_it_was(bed, api):
    fill(api)
    bed.follow_api(api).wait_ready()
    good = bed.obj("pod/default/web")
    api.put(PODS, {**pod("web"), "spec": {"nodeName": 7}})
    api.put(PODS, pod("marker"))
    bed.wait_keys("pod", {"default/web", "default/marker"})
    assert bed.obj("pod/default/web") == good
    api.compact()
    api.end_watches()
    nothing_for(2)
    assert bed.obj("pod/default/web") == good


def test_fields_from_the_future_are_no_trouble(bed, api):
    fill(api)
    new = pod("new")
    new["spec"]["schedulingGroup"] = {"a": [1, {"b": None}]}
    new["status"]["allocated"] = 12.5
    api.put(PODS, new)
    bed.follow_api(api).wait_ready()
    assert bed.obj("pod/default/new")["spec"]["nodeName"] == "n1"


# ---- replicas


def writes_as(bed, holder):
    return bed.leader().get("holder") == holder


def alive(bed):
    """What tells agents that somebody leads."""
    return bed.etcd.get("/netloom/ksr/alive").get("/netloom/ksr/alive")


def test_of_two_replicas_one_writes_and_the_other_follows_on(bed, api):
    fill(api)
    bed.follow_api(api, election=True)
    poll(lambda: writes_as(bed, "ksr-1"), 60, "the first writes")
    bed.replicas[0].wait_ready()
    second = bed.follow_api(api, election=True).wait_ready()
    epoch = bed.leader()["epoch"]
    nothing_for(3)
    assert bed.leader()["epoch"] == epoch and writes_as(bed, "ksr-1")
    assert bed.replicas[0].stop() == 0
    holders = [lease["spec"].get("holderIdentity") for lease in api.leases.values()]
    assert holders and "ksr-1" not in holders, "it gives the lead back, and does not let it expire"
    poll(lambda: writes_as(bed, "ksr-2"), 60, "the second takes over")
    assert bed.leader()["epoch"] > epoch
    poll(lambda: alive(bed) == bed.leader(), 60, "that it leads is known")
    api.put(PODS, pod("fresh"))
    bed.wait_keys("pod", {"default/web", "default/fresh"})
    second.wait_ready()


def test_a_stopped_leader_that_wakes_up_writes_nothing(bed, api):
    fill(api)
    first = bed.follow_api(api, election=True)
    poll(lambda: writes_as(bed, "ksr-1"), 60, "the first writes")
    first.wait_ready()
    second = bed.follow_api(api, election=True).wait_ready()
    first.pause()
    poll(lambda: writes_as(bed, "ksr-2"), 120, "the second takes over")
    second.wait_ready()
    api.delete(PODS, "default", "web")
    bed.wait_keys("pod", set())
    epoch = bed.leader()["epoch"]
    poll(lambda: alive(bed) == bed.leader(), 60, "that the second leads is known")
    first.resume()
    nothing_for(4)
    assert writes_as(bed, "ksr-2") and bed.leader()["epoch"] == epoch
    assert alive(bed) == bed.leader()
    assert bed.keys("pod") == set()
    assert first.process.poll() is None and first.get("/livez")[0] == 200


def test_probes_and_metrics_say_how_it_stands(bed, api):
    fill(api)
    ksr = bed.follow_api(api).wait_ready()
    assert ksr.get("/livez")[0] == 200
    text = ksr.get("/metrics")[1]
    assert "netloom_ksr_" in text and 'resource="pod"' in text
    assert ksr.get("/nonsense")[0] == 404
