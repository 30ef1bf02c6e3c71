# SPDX-License-Identifier: Apache-2.0
"""etcd and the API server come and go; pods keep talking, and what was missed is caught up with."""
import json
import re

import pytest
from cluster import poll

NOBODY = "the API server does not answer, so nobody can be elected\n"


@pytest.fixture(scope="module")
def pair(cluster):
    """Pods on two nodes that talk all the time."""
    cluster.pods(("left", "node1"), ("right", "node2"))
    cluster.peer("left"), cluster.peer("right")
    return cluster


def reaches(cluster, source, name):
    return all(cluster.peer(source).ask("tcp", ip)[1] is None for ip in cluster.ips(name))


def assert_new_pods_work(cluster, name):
    """A pod that comes now is reached from the other node, and goes."""
    cluster.pods((name, "node2"))
    cluster.peer(name)
    poll(lambda: reaches(cluster, "left", name), 120, f"left reaches {name}")
    cluster.part(name)
    cluster.delete(name)


def node_ids(cluster):
    return {k: v["id"] for k, v in cluster.etcd("/netloom/node/").items()}


def test_an_agent_starts_from_its_mirror_while_etcd_is_absent(pair):
    pair.demo("agent", "node1", "kill")
    pair.demo("etcd", "kill")
    pair.demo("agent", "node1", "start")
    poll(
        lambda: pair.node(
            "node1", "curl", "-fsS", "-m1", "http://127.0.0.1:9990/livez", check=False
        ),
        60,
        "the agent lives",
    )
    assert reaches(pair, "left", "right")
    pair.demo("etcd", "start", "--wait")
    assert_new_pods_work(pair, "after-absence")


def test_pods_are_wired_while_etcd_is_away_and_known_when_it_is_back(pair):
    pair.demo("etcd", "kill")
    pair.pods(("orphan", "node1"))
    pair.peer("orphan")
    assert reaches(pair, "left", "orphan")
    pair.demo("etcd", "start", "--wait")
    poll(lambda: reaches(pair, "right", "orphan"), 120, "right reaches orphan")
    pair.part("orphan")
    pair.delete("orphan")


def test_a_compaction_under_watches_is_survived(pair):
    pair.demo("agent", "node1", "kill")
    pair.pods(("meanwhile", "node2"))
    status = json.loads(pair.node("control", "etcdctl", "endpoint", "status", "-w", "json"))
    pair.node("control", "etcdctl", "compact", str(status[0]["Status"]["header"]["revision"]))
    pair.demo("agent", "node1", "start", "--wait")
    pair.peer("meanwhile")
    poll(lambda: reaches(pair, "left", "meanwhile"), 120, "left reaches meanwhile")
    pair.part("meanwhile")
    pair.delete("meanwhile")


def test_etcd_that_lost_its_data_gets_them_again_with_the_same_node_ids(pair):
    before = node_ids(pair)
    pair.demo("etcd", "kill")
    pair.demo("etcd", "wipe")
    pair.demo("etcd", "start", "--wait")
    poll(lambda: node_ids(pair) == before, 120, lambda: f"node ids {before}, have {node_ids(pair)}")
    poll(
        lambda: "/netloom/k8s/pod/default/left" in pair.etcd("/netloom/k8s/pod/"),
        120,
        "ksr reflects pods again",
    )
    assert reaches(pair, "left", "right")
    assert_new_pods_work(pair, "after-loss")


def test_the_api_server_may_be_gone_and_come_back(pair):
    addresses = pair.ips("right")
    pair.demo("apiserver", "kill")
    assert all(pair.peer("left").ask("tcp", ip)[1] is None for ip in addresses)
    pair.demo("apiserver", "start", "--wait")
    assert_new_pods_work(pair, "after-api")


def ksr_says(cluster, path):
    """(status, text) of ksr's HTTP API; (0, "") when it does not answer."""
    curl = ("curl", "-sS", "-m10", "-w", "\\n%{http_code}", f"http://127.0.0.1:9991{path}")
    out = cluster.node("control", *curl, check=False)
    text, _, code = out.rpartition("\n")
    return int(code or 0), text


def ksr_metric(cluster, name):
    found = re.search(rf"^netloom_ksr_{name} (\S+)$", ksr_says(cluster, "/metrics")[1], re.M)
    return float(found.group(1)) if found else 0.0


def change_behind_its_back(cluster, pod, edit):
    """What the API server will know when it is back: `edit` changes the pod's object; None: deleted."""
    path = f"/run/netloom-demo/{cluster.name}/apiserver.journal"
    with open(path, "r+", encoding="utf-8") as journal:
        text = journal.read()
        text = text[: text.rfind("\n") + 1]  # who is killed may leave half a line
        journal.truncate(len(text.encode()))
    entries = [json.loads(line) for line in text.splitlines()]
    version = 1 + max(int(obj["metadata"]["resourceVersion"]) for _, _, obj in entries)
    key, obj = [
        (key, obj)
        for key, _, obj in entries
        if key[1] == "pods" and obj["metadata"].get("name") == pod
    ][-1]
    obj["metadata"]["resourceVersion"] = str(version)
    if edit:
        edit(obj)
    with open(path, "a", encoding="utf-8") as journal:
        journal.write(json.dumps([key, edit is None, obj]) + "\n")


def lost_packets(ping):
    out = ping.communicate(timeout=300)[0]
    sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", out).groups())
    return sent - received


def test_an_api_server_away_for_a_minute_costs_no_packet_and_is_caught_up_with(pair):
    pair.pods(("doomed", "node2"))
    poll(lambda: ksr_says(pair, "/readyz")[0] == 200, 120, "ksr is ready")
    epoch, addresses = ksr_metric(pair, "epoch"), pair.ips("right")
    pair.demo("apiserver", "kill")
    pings = [
        pair.start(
            "exec", "default/left", "--", "ping", "-nq", "-i", "0.02", "-c", "2750", "-W", "10", ip
        )
        for ip in addresses
    ]
    change_behind_its_back(pair, "doomed", None)
    change_behind_its_back(pair, "right", lambda o: o["metadata"]["labels"].update(new="yes"))
    poll(
        lambda: ksr_says(pair, "/readyz") == (503, NOBODY),
        120,
        lambda: f"ksr is not ready: {ksr_says(pair, '/readyz')}",
    )
    assert ksr_says(pair, "/livez")[0] == 200
    known = pair.etcd("/netloom/k8s/pod/")
    age = "election_contact_age_seconds"
    poll(lambda: ksr_metric(pair, age) >= 60, 180, "a minute has passed", every=1)
    assert pair.etcd("/netloom/k8s/pod/") == known

    pair.demo("apiserver", "start", "--wait")
    poll(lambda: ksr_says(pair, "/readyz") == (200, "ok, leads\n"), 120, "ksr leads again")

    def caught_up():
        pods = pair.etcd("/netloom/k8s/pod/")
        labels = pods["/netloom/k8s/pod/default/right"]["metadata"]["labels"]
        return "/netloom/k8s/pod/default/doomed" not in pods and labels.get("new") == "yes"

    poll(caught_up, 60, "what happened meanwhile is in etcd")
    assert ksr_metric(pair, "epoch") > epoch
    poll(
        lambda: "/netloom/endpoint/default/doomed" not in pair.etcd("/netloom/endpoint/"),
        120,
        "the deleted pod's network goes",
    )
    assert [lost_packets(ping) for ping in pings] == [0] * len(pings)


def test_versions_that_are_410_gone_make_ksr_list_again(pair):
    pair.demo("apiserver", "compact")
    assert_new_pods_work(pair, "after-gone")


def test_status_says_that_nobody_reflects_kubernetes(pair):
    def problem():
        status = json.loads(pair.node("node1", "netloom", "status", "-o", "json"))
        return status["modules"]["db"].get("problem")

    poll(lambda: problem() is None, 60, "a leader is known")
    pair.demo("ksr", "kill")
    told = poll(problem, 120, "it is missed")
    assert told == "no ksr leads: what changes in Kubernetes comes to no node"
    assert "try: see that netloom-ksr runs" in pair.node("node1", "netloom", "status")
    pair.demo("ksr", "start", "--wait")
    poll(lambda: problem() is None, 120, "it is back")


def test_two_replicas_of_ksr_have_one_leader_and_the_other_takes_over(pair):
    def epoch():
        return pair.etcd("/netloom/ksr/leader").get("/netloom/ksr/leader", {}).get("epoch")

    pair.demo("ksr", "--replica", "2", "start")
    first = poll(epoch, 60, "a leader")
    pair.demo("ksr", "kill")
    poll(lambda: epoch() not in (None, first), 120, "another leader")
    assert_new_pods_work(pair, "after-leader")
    pair.demo("ksr", "start")
    pair.demo("ksr", "--replica", "2", "stop")
    poll(
        lambda: "/netloom/k8s/pod/default/left" in pair.etcd("/netloom/k8s/pod/"),
        120,
        "pods are still reflected",
    )
    assert_new_pods_work(pair, "after-return")
