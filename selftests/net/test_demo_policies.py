# SPDX-License-Identifier: Apache-2.0
"""The demo's API server judges policies of both APIs as kube-apiserver does, by kubectl's eyes."""
import copy
import itertools
import json
import os
import re
import shutil

import pytest
from cluster import REPO, Cluster, poll
from test_demo_api import Api

CRD = os.path.join(REPO, "deploy", "demo", "crds", "clusternetworkpolicies.yaml")
CRD_NAME = "clusternetworkpolicies.policy.networking.k8s.io"
BASE = "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies"
RULE = {"name": "r", "action": "Deny", "to": [{"namespaces": {}}]}


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    for program in ("kubectl", "openssl"):
        if not shutil.which(program):
            pytest.skip(f"needs {program}")
    server = Api(tmp_path_factory.mktemp("api"), "--crd", CRD)
    yield server
    server.kill()


def cluster_policy(name, **spec):
    return {
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": name},
        "spec": {"tier": "Admin", "priority": 5, "subject": {"namespaces": {}}, **spec},
    }


def policy(**spec):
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p"},
        "spec": {"podSelector": {}, **spec},
    }


def apply(api, obj, **options):
    return api.kubectl("apply", "--validate=false", "-f", "-", stdin=obj, **options)


def refusal(api, obj):
    done = apply(api, obj, check=False)
    assert done.returncode != 0, done.stdout
    return done.stderr


def test_cluster_policies_live_like_any_object(api):
    assert "created" in apply(api, cluster_policy("a", egress=[RULE]))
    assert "unchanged" in apply(api, cluster_policy("a", egress=[RULE]))
    assert "configured" in apply(api, cluster_policy("a", egress=[RULE], priority=7))
    row = api.kubectl("get", "cnp", "a", "--no-headers").split()
    assert row[:3] == ["a", "Admin", "7"]
    patch = json.dumps({"spec": {"tier": "Baseline"}})
    api.kubectl("patch", "cnp", "a", "--type=merge", "-p", patch)
    obj = json.loads(api.kubectl("get", "clusternetworkpolicy", "a", "-o", "json"))
    assert obj["spec"]["tier"] == "Baseline" and obj["metadata"]["generation"] == 3
    served = api.kubectl("api-resources", "--api-group=policy.networking.k8s.io")
    assert "cnp" in served and "policy.networking.k8s.io/v1alpha2" in served
    api.kubectl("delete", "cnp", "a")
    assert api.client.request("GET", BASE)["items"] == []


def test_objects_go_with_their_crd_and_watches_end(api):
    apply(api, cluster_policy("a"))
    version = api.client.request("GET", BASE)["metadata"]["resourceVersion"]
    crd = json.loads(api.kubectl("get", "crd", CRD_NAME, "-o", "json"))
    connection = api.client.connect(60)
    target = f"{BASE}?watch=true&resourceVersion={version}"
    connection.request("GET", target, headers=api.client.headers("application/json"))
    watch = connection.getresponse()
    api.kubectl("delete", "crd", CRD_NAME)
    events = [json.loads(line) for line in watch]
    connection.close()
    assert [(e["type"], e["object"]["metadata"]["name"]) for e in events] == [("DELETED", "a")]
    done = api.kubectl("get", "cnp", check=False)
    assert done.returncode != 0
    api.kill()
    api.start()
    assert api.kubectl("get", "crd", CRD_NAME, check=False).returncode != 0
    for field in ("uid", "resourceVersion", "creationTimestamp", "generation"):
        crd["metadata"].pop(field, None)
    api.client.create("CustomResourceDefinition", None, crd)
    poll(lambda: api.client.request("GET", BASE)["items"] == [], 60, "an empty collection")


@pytest.mark.parametrize("source", ["kubernetes", "directory"])
def test_a_cluster_policy_reaches_etcd_when_its_crd_comes_and_goes_with_it(source):
    reflected = "/netloom/k8s/clusternetworkpolicy/"
    with Cluster("--nodes", "1", "--cnp-crd", "off", "--source", source) as cluster:

        def apply(obj):
            return cluster.demo("kubectl", "apply", "-f", "-", stdin=json.dumps(obj), check=False)

        assert apply(cluster_policy("a", egress=[RULE])).returncode != 0
        cluster.kubectl("apply", "-f", CRD)
        poll(lambda: apply(cluster_policy("a", egress=[RULE])).returncode == 0, 60, "applied")
        poll(lambda: cluster.etcd(reflected), 90, "the policy in etcd")
        spec = cluster.etcd(reflected)[reflected + "a"]["spec"]
        assert spec == cluster_policy("a", egress=[RULE])["spec"]
        cluster.kubectl("delete", "-f", CRD)
        poll(lambda: not cluster.etcd(reflected), 90, "no policy in etcd")


def changed(path, value):
    """A good policy, changed at a path such as "egress.0.action"; None removes."""
    obj = cluster_policy("bad", egress=[copy.deepcopy(RULE)])
    *way, last = path.split(".")
    at = obj["spec"]
    for part in way:
        at = at[int(part)] if isinstance(at, list) else at[part]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return obj


def port(**match):
    return [{"tcp": {"destinationPort": match}}]


@pytest.mark.parametrize(
    "path, value, words",
    [
        ("tier", None, "spec.tier: Required value"),
        ("tier", "Root", 'spec.tier: Unsupported value: "Root": supported values: "Admin", "Baseline"'),
        ("priority", 1001, "spec.priority in body should be less than or equal to 1000"),
        ("priority", -1, "spec.priority in body should be greater than or equal to 0"),
        ("priority", "5", 'spec.priority in body must be of type integer: "string"'),
        ("subject", {}, "spec.subject in body should have at least 1 properties"),
        ("subject", {"namespaces": {}, "pods": {"podSelector": {}}}, "spec.subject: Too many: 2"),
        ("subject", {"pods": {}}, "spec.subject.pods.podSelector: Required value"),
        ("egress", [RULE] * 26, "spec.egress: Too many: 26: must have at most 25 items"),
        ("egress.0.action", "Allow", 'spec.egress[0].action: Unsupported value: "Allow"'),
        ("egress.0.action", None, "spec.egress[0].action: Required value"),
        ("egress.0.name", "x" * 101, "spec.egress[0].name: Too long"),
        ("egress.0.to", [], "spec.egress[0].to in body should have at least 1 items"),
        ("egress.0.to", [{"networks": ["10.0.0.0/33"]}], "Invalid CIDR format provided"),
        ("egress.0.to", [{"networks": ["::/0", "::/0"]}], "to[0].networks[1]: Duplicate value"),
        ("egress.0.protocols", port(number=0), "destinationPort.number in body should be greater"),
        ("egress.0.protocols", port(range={"start": 9, "end": 9}), "Start port must be less than"),
        ("egress.0.protocols", port(range={"start": 9}), "destinationPort.range.end: Required value"),
        ("egress.0.protocols", [{}], "protocols[0] in body should have at least 1 properties"),
    ],
)
def test_a_bad_cluster_policy_is_refused_by_the_name_of_the_field(api, path, value, words):
    assert words in refusal(api, changed(path, value))


def test_named_ports_and_addresses_do_not_go_together(api):
    rule = {**RULE, "to": [{"nodes": {}}], "protocols": [{"destinationNamedPort": "web"}]}
    words = "networks/nodes/domainNames peer cannot be set with namedPorts"
    assert words in refusal(api, cluster_policy("bad", egress=[rule]))
    apply(api, cluster_policy("good", egress=[{**rule, "to": [{"namespaces": {}}]}]))


def test_unknown_fields_are_dropped_or_refused_as_asked(api):
    obj = cluster_policy("odd", colour="red", egress=[{**RULE, "colour": "blue"}])
    with pytest.raises(Exception, match='unknown field "spec.colour"'):
        api.client.request("POST", BASE + "?fieldValidation=Strict", obj)
    done = api.kubectl("apply", "-f", "-", stdin=obj, check=False)
    assert 'unknown field "spec.egress[0].colour"' in done.stderr
    apply(api, obj)
    kept = json.loads(api.kubectl("get", "cnp", "odd", "-o", "json"))
    assert kept["spec"] == cluster_policy("odd", egress=[RULE])["spec"]


def test_server_side_apply_is_judged_too(api):
    def ssa(obj, check=True):
        return api.kubectl("apply", "--server-side", "-f", "-", stdin=obj, check=check)

    ssa(cluster_policy("owned"))
    ssa(cluster_policy("owned", priority=9))
    assert "spec.priority in body should be" in ssa(cluster_policy("owned", priority=-1), False).stderr
    assert json.loads(api.kubectl("get", "cnp", "owned", "-o", "json"))["spec"]["priority"] == 9


def to(**block):
    return {"egress": [{"to": [block]}]}


def ports(**entry):
    return {"ingress": [{"ports": [entry]}]}


def term(**fields):
    return {"podSelector": {"matchExpressions": [{"key": "k", **fields}]}}


@pytest.mark.parametrize(
    "spec, words",
    [
        (ports(port=0), "spec.ingress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535"),
        (ports(port=65536), "must be between 1 and 65535, inclusive"),
        (ports(port="Web_1"), "ports[0].port: Invalid value"),
        (ports(port=80, protocol="ICMP"), 'supported values: "SCTP", "TCP", "UDP"'),
        (ports(port=80, endPort=79), "ports[0].endPort: Invalid value: 79: must be greater than or"),
        (ports(port="web", endPort=90), "may not be specified when `port` is non-numeric"),
        (ports(endPort=90), "may not be specified when `port` is not specified"),
        (ports(port=80, endPort=65536), "ports[0].endPort: Invalid value: 65536"),
        (to(), "spec.egress[0].to[0]: Required value: must specify a peer"),
        (to(podSelector={}, ipBlock={"cidr": "::/0"}), "may not specify both ipBlock and another peer"),
        (to(ipBlock={}), "to[0].ipBlock.cidr: Required value"),
        (to(ipBlock={"cidr": "10.0.0.0"}), "must be a valid CIDR value"),
        (to(ipBlock={"cidr": "10.0.0.0/255.0.0.0"}), "must be a valid CIDR value"),
        (to(ipBlock={"cidr": "10.0.0.0/8", "except": ["11.0.0.0/9"]}), "must be a strict subset of `cidr`"),
        (to(ipBlock={"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}), "must be a strict subset of `cidr`"),
        (to(ipBlock={"cidr": "10.0.0.0/8", "except": ["::/64"]}), "ipBlock.except[0]: Invalid value"),
        (term(operator="Near"), "matchExpressions[0].operator: Invalid value"),
        (term(operator="In", values=[]), "must be specified when `operator` is 'In' or 'NotIn'"),
        (term(operator="Exists", values=["a"]), "values: Forbidden: may not be specified"),
        (term(operator="In", values=["-"]), "matchExpressions[0].values[0]: Invalid value"),
        ({"podSelector": {"matchLabels": {"a b": "c"}}}, "spec.podSelector.matchLabels: Invalid value"),
        ({"podSelector": {"matchLabels": {"a": "x" * 64}}}, "spec.podSelector.matchLabels: Invalid value"),
        ({"policyTypes": ["Sideways"]}, 'supported values: "Egress", "Ingress"'),
        ({"policyTypes": ["Ingress"] * 3}, "may not specify more than two policyTypes"),
        ({"ingress": {}}, "spec.ingress: Invalid value"),
    ],
)
def test_a_bad_network_policy_is_refused_by_the_name_of_the_field(api, spec, words):
    assert words in refusal(api, policy(**spec))


def test_all_wrongs_are_told_at_once(api):
    text = refusal(api, policy(**ports(port=0), policyTypes=["x"]))
    assert "* spec.ingress[0].ports[0].port" in text and "* spec.policyTypes[0]" in text


def test_defaults_of_a_network_policy_are_kubernetes_own(api):
    apply(api, policy(policyTypes=[], egress=[{"ports": [{"port": 53}]}]))
    spec = api.client.get("NetworkPolicy", "default", "p")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["egress"][0]["ports"][0]["protocol"] == "TCP"


@pytest.mark.parametrize("kind", ["networkpolicy", "clusternetworkpolicy"])
def test_every_policy_of_the_conformance_cases_is_taken(api, kind):
    from demo.api import defaults, resources
    from demo.api.errors import ApiError

    with open(os.path.join(REPO, "selftests", "data", kind, "cases.json"), encoding="utf-8") as file:
        cases = json.load(file)
    registry = resources.Registry()
    registry.set_crds(json.loads(api.kubectl("get", "crd", "-o", "json"))["items"])
    seen = 0
    for obj in policies_in(cases):
        hosts = itertools.count(1)
        text = re.sub(r"\$\{podIP:[^}]*\}", lambda _: f"10.0.0.{next(hosts)}", json.dumps(obj))
        obj = json.loads(text)
        res = registry.by_kind(obj["apiVersion"], obj["kind"])
        assert not (res.schema.prune(obj) if res.custom else [])
        try:
            defaults.check_shape(res, obj)
        except ApiError as error:
            pytest.fail(f"{error}")
        seen += 1
    assert seen > 50


def policies_in(value):
    """Objects of both kinds, wherever they stand."""
    if isinstance(value, list):
        for item in value:
            yield from policies_in(item)
    elif isinstance(value, dict):
        if value.get("kind") in ("NetworkPolicy", "ClusterNetworkPolicy") and "spec" in value:
            yield value
        else:
            for item in value.values():
                yield from policies_in(item)
