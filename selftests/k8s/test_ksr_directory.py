# SPDX-License-Identifier: Apache-2.0
"""The real netloom-ksr follows a folder of manifests into a real etcd."""
import os

from cluster import poll
from ksr import nothing_for


def policy(name, namespace="default", **spec):
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"podSelector": {}, **spec}}


def service(name, **spec):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"ports": [{"port": 80}], **spec}}


def test_files_of_every_form_are_read(bed):
    bed.write("one.yaml", service("a"), {"apiVersion": "apps/v1", "kind": "Deployment",
                                         "metadata": {"name": "ignored"}}, policy("p", "other"))
    bed.write("two.yml", {"apiVersion": "v1", "kind": "List", "items": [service("b"), service("c")]})
    bed.write("three.json", '{"apiVersion":"v1","kind":"Node","metadata":{"name":"n1"}}')
    bed.write("notes.txt", "a: [")
    bed.follow_folder().wait_ready()
    assert bed.keys() == {"service/default/a", "service/default/b", "service/default/c",
                          "networkpolicy/other/p", "node/n1",
                          "namespace/default", "namespace/other"}
    meta = bed.obj("service/default/a")["metadata"]
    assert meta["uid"] and meta["resourceVersion"]


def test_changes_are_followed_and_uids_stay(bed):
    bed.write("a.yaml", service("a"))
    bed.follow_folder().wait_ready()
    before = bed.obj("service/default/a")["metadata"]
    bed.write("a.yaml", service("a", type="NodePort"))
    poll(lambda: bed.obj("service/default/a")["spec"].get("type") == "NodePort", 60, "the change")
    after = bed.obj("service/default/a")["metadata"]
    assert after["uid"] == before["uid"] and after["resourceVersion"] != before["resourceVersion"]
    bed.write("b.yaml", service("b"))
    bed.wait_keys("service", {"default/a", "default/b"})
    os.rename(bed.path("b.yaml"), bed.path("b.txt"))
    bed.wait_keys("service", {"default/a"})
    os.unlink(bed.path("a.yaml"))
    bed.wait_keys("service", set())


def test_a_file_written_in_place_counts(bed):
    bed.follow_folder().wait_ready()
    with open(bed.path("slow.yaml"), "w", encoding="utf-8") as f:
        f.write("apiVersion: v1\nkind: Service\nmetadata: {name: slow}\n")
        f.flush()
        f.write("spec: {ports: [{port: 80}]}\n")
    bed.wait_keys("service", {"default/slow"})


def test_a_broken_file_keeps_its_state_and_harms_no_other(bed):
    bed.write("a.yaml", service("a"), service("a2"))
    ksr = bed.follow_folder().wait_ready()
    bed.write("a.yaml", "kind: Service\nmetadata: {name: a}\n---\nspec: [\n")
    bed.write("b.yaml", service("b"))
    bed.wait_keys("service", {"default/a", "default/a2", "default/b"})
    poll(lambda: "a.yaml" in ksr.logged() and "line" in ksr.logged(), 60, "the file is named")
    bed.write("a.yaml", service("a"))
    bed.wait_keys("service", {"default/a", "default/b"})


def test_a_bad_object_is_named_by_file_and_field(bed):
    bed.write("a.yaml", service("good"), service("bad", clusterIP={"a": 1}))
    ksr = bed.follow_folder().wait_ready()
    poll(lambda: "spec.clusterIP" in ksr.logged() and "a.yaml" in ksr.logged(), 60,
         lambda: ksr.logged())
    assert "default/good" in bed.keys("service")


def test_a_file_that_was_never_good_deletes_nothing_after_a_restart(bed):
    bed.write("a.yaml", service("a"))
    bed.write("b.yaml", service("b"))
    ksr = bed.follow_folder().wait_ready()
    ksr.stop()
    bed.write("a.yaml", "kind: [\n")
    ksr.start()
    ksr.wait_ready()
    nothing_for(1)
    assert bed.keys("service") == {"default/a", "default/b"}


def test_of_two_files_with_one_object_the_first_wins_and_both_are_named(bed):
    bed.write("1.yaml", service("a", type="NodePort"))
    bed.write("2.yaml", service("a", type="ClusterIP"))
    ksr = bed.follow_folder().wait_ready()
    assert bed.obj("service/default/a")["spec"]["type"] == "NodePort"
    assert "1.yaml" in ksr.logged() and "2.yaml" in ksr.logged()
    os.unlink(bed.path("1.yaml"))
    poll(lambda: bed.obj("service/default/a")["spec"]["type"] == "ClusterIP", 60, "the second file's")


def test_a_folder_that_vanishes_takes_nothing_along(bed):
    bed.write("a.yaml", service("a"))
    ksr = bed.follow_folder().wait_ready()
    os.rename(bed.manifests, bed.manifests + "-away")  # at once: without its files first, it would be empty
    nothing_for(1)
    assert bed.keys("service") == {"default/a"} and ksr.get("/livez")[0] == 200
    os.mkdir(bed.manifests)
    bed.write("b.yaml", service("b"))
    bed.wait_keys("service", {"default/b"})


def test_a_folder_may_come_later(bed):
    os.rmdir(bed.manifests)
    bed.follow_folder()
    nothing_for(1)
    os.mkdir(bed.manifests)
    bed.write("a.yaml", service("a"))
    bed.wait_keys("service", {"default/a"})
    bed.replicas[0].wait_ready()


def test_a_folder_that_is_swapped_by_a_link_is_followed(bed):
    """As Kubernetes mounts ConfigMaps: files are links through ..data, which is replaced."""
    for version in ("v1", "v2"):
        os.mkdir(bed.path(".." + version))
    with open(bed.path("..v1/a.yaml"), "w", encoding="utf-8") as f:
        f.write("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {type: ClusterIP}\n")
    with open(bed.path("..v2/a.yaml"), "w", encoding="utf-8") as f:
        f.write("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {type: NodePort}\n")
    os.symlink("..v1", bed.path("..data"))
    os.symlink("..data/a.yaml", bed.path("a.yaml"))
    bed.follow_folder().wait_ready()
    assert bed.obj("service/default/a")["spec"]["type"] == "ClusterIP"
    os.symlink("..v2", bed.path("..tmp"))
    os.rename(bed.path("..tmp"), bed.path("..data"))
    poll(lambda: bed.obj("service/default/a")["spec"]["type"] == "NodePort", 60, "the new version")


def test_two_replicas_elect_in_etcd(bed):
    bed.write("a.yaml", service("a"))
    first = bed.follow_folder(election=True).wait_ready()
    second = bed.follow_folder(election=True).wait_ready()
    lock = "/netloom/ksr/lock"
    epoch = bed.leader()["epoch"]
    assert bed.leader()["holder"] == bed.etcd.get(lock)[lock]["holder"] == "ksr-1"
    nothing_for(2)
    assert bed.leader()["epoch"] == epoch
    assert first.stop() == 0
    held = bed.etcd.get(lock).get(lock, {})
    assert held.get("holder") != "ksr-1", "it gives the lead back, and does not let it expire"
    poll(lambda: bed.leader().get("holder") == "ksr-2", 60, "the second takes over")
    bed.write("b.yaml", service("b"))
    bed.wait_keys("service", {"default/a", "default/b"})
    second.wait_ready()


def test_lost_data_are_written_anew(bed):
    bed.write("a.yaml", service("a"))
    bed.follow_folder(election=True).wait_ready()
    bed.etcd.wipe()
    bed.etcd.start()
    bed.wait_keys("service", {"default/a"})
