# SPDX-License-Identifier: Apache-2.0
"""The demo's API server against the machine's kubectl: what ksr and people rely on."""
import itertools
import json
import os
import shutil
import subprocess
import sys

import pytest
from cluster import REPO, poll
from ports import Port

sys.path.insert(0, os.path.join(REPO, "deploy", "demo"))

from demo import pki  # noqa: E402
from demo.client import Client, Failure  # noqa: E402

ENTRY = os.path.join(REPO, "deploy", "demo", "netloom-demo")
_numbers = itertools.count(1)
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [
                    {"name": "a", "image": "x", "env": [{"name": "A", "value": "1"}]},
                    {"name": "b", "image": "y"},
                ]
            },
        },
    },
}


def config_map(name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


class Api:
    def __init__(self, folder, *options):
        self.folder, self.options = folder, options
        self._port = Port()
        self.port = self._port.number
        pki.create(f"{folder}/pki", ["127.0.0.1"], f"https://127.0.0.1:{self.port}")
        self.process = None
        self.start()

    def start(self):
        keys = f"{self.folder}/pki"
        argv = [ENTRY, "_run", "apiserver", "--address", "127.0.0.1", "--port", str(self.port)]
        argv += ["--cert", f"{keys}/apiserver.crt", "--key", f"{keys}/apiserver.key"]
        argv += ["--client-ca", f"{keys}/ca.crt", "--token-file", f"{keys}/token"]
        argv += ["--service-cidr", "10.96.0.0/16", "--journal", f"{self.folder}/journal"]
        argv += self.options
        self.process = subprocess.Popen(argv)
        self.client = Client(f"{keys}/kubeconfig", "tests")

        def answers():
            try:
                return self.client.request("GET", "/version")
            except OSError:
                return None

        poll(answers, 60, "the API server answers")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def kubectl(self, *args, stdin=None, check=True, config="kubeconfig"):
        env = {**os.environ, "KUBECONFIG": f"{self.folder}/pki/{config}", "HOME": str(self.folder)}
        text = json.dumps(stdin) if stdin is not None else None
        done = subprocess.run(
            ["kubectl", *args], input=text, text=True, env=env, capture_output=True, timeout=120
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout if check else done


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    for program in ("kubectl", "openssl"):
        if not shutil.which(program):
            pytest.skip(f"needs {program}")
    server = Api(tmp_path_factory.mktemp("api"))
    yield server
    server.kill()


@pytest.fixture
def namespace(api):
    name = f"t{next(_numbers)}"
    api.client.create("Namespace", None, {"metadata": {"name": name}})
    return name


def test_apply_is_idempotent_and_merges_lists_by_name(api, namespace):
    api.kubectl("apply", "-n", namespace, "-f", "-", stdin=DEPLOYMENT)
    assert "unchanged" in api.kubectl("apply", "-n", namespace, "-f", "-", stdin=DEPLOYMENT)
    patch = '{"spec":{"template":{"spec":{"containers":[{"name":"a","image":"z"}]}}}}'
    api.kubectl("patch", "-n", namespace, "deploy/web", "-p", patch)
    spec = api.client.get("Deployment", namespace, "web")["spec"]["template"]["spec"]
    assert [(c["name"], c["image"]) for c in spec["containers"]] == [("a", "z"), ("b", "y")]
    assert spec["containers"][0]["env"] == [{"name": "A", "value": "1"}]


def test_server_side_apply_keeps_owners_apart(api, namespace):
    def apply(manager, obj, *more, check=True):
        return api.kubectl(
            *("apply", "-n", namespace, "--server-side", "--field-manager", manager, *more),
            *("-f", "-"),
            stdin=obj,
            check=check,
        )

    apply("one", config_map("shared", a="1", b="2"))
    refused = apply("two", config_map("shared", a="9"), check=False)
    assert refused.returncode != 0 and 'conflict with "one"' in refused.stderr
    apply("two", config_map("shared", a="9"), "--force-conflicts")
    apply("one", config_map("shared", c="3"))
    assert api.client.get("ConfigMap", namespace, "shared")["data"] == {"a": "9", "c": "3"}


def test_pages_of_a_list_are_one_snapshot_until_compaction(api, namespace):
    for i in range(5):
        api.client.create("ConfigMap", namespace, config_map(f"c{i}"))
    base = f"/api/v1/namespaces/{namespace}/configmaps?limit=2"
    page = api.client.request("GET", base)
    api.client.create("ConfigMap", namespace, config_map("c3a"))
    api.client.delete("ConfigMap", namespace, "c4")
    names = []
    while True:
        names += [o["metadata"]["name"] for o in page["items"]]
        token = page["metadata"].get("continue")
        if not token:
            break
        page = api.client.request("GET", f"{base}&continue={token}")
    assert names == ["c0", "c1", "c2", "c3", "c4"]
    token = api.client.request("GET", base)["metadata"]["continue"]
    api.client.create("ConfigMap", namespace, config_map("newer"))
    api.client.request("POST", "/debug/compact")
    with pytest.raises(Failure) as gone:
        api.client.request("GET", f"{base}&continue={token}")
    assert gone.value.code == 410


def test_a_watch_of_a_compacted_version_says_410_in_band(api, namespace):
    old = api.client.request("GET", "/api/v1/configmaps")["metadata"]["resourceVersion"]
    api.client.create("ConfigMap", namespace, config_map("later"))
    api.client.request("POST", "/debug/compact")
    connection = api.client.connect(60)
    target = f"/api/v1/configmaps?watch=true&resourceVersion={old}"
    connection.request("GET", target, headers=api.client.headers("application/json"))
    event = json.loads(connection.getresponse().readline())
    connection.close()
    assert event["type"] == "ERROR" and event["object"]["code"] == 410


def test_a_stale_update_is_refused(api, namespace):
    obj = api.client.create("ConfigMap", namespace, config_map("stale", a="1"))
    api.client.update("ConfigMap", {**obj, "data": {"a": "2"}})
    with pytest.raises(Failure) as refused:
        api.client.update("ConfigMap", {**obj, "data": {"a": "3"}})
    assert refused.value.code == 409


def test_state_and_versions_survive_a_kill(api, namespace):
    before = api.client.create("ConfigMap", namespace, config_map("kept", a="1"))
    api.kill()
    api.start()
    assert api.client.get("ConfigMap", namespace, "kept") == before
    after = api.client.create("ConfigMap", namespace, config_map("next"))
    assert int(after["metadata"]["resourceVersion"]) > int(before["metadata"]["resourceVersion"])


def test_get_wide_shows_the_one_address_that_kubernetes_shows(api, namespace):
    spec = {"containers": [{"name": "a", "image": "x"}]}
    pod = api.client.create("Pod", namespace, {"metadata": {"name": "dual"}, "spec": spec})
    ips = ["10.1.1.2", "fd00:10::2"]
    pod["status"] = {"podIP": ips[0], "podIPs": [{"ip": i} for i in ips]}
    api.client.update("Pod", pod, "status")
    wide = api.kubectl("get", "pod", "-n", namespace, "dual", "-o", "wide", "--no-headers")
    assert ips[0] in wide.split() and ips[1] not in wide


def test_client_certificates_are_taken_and_wrong_tokens_are_not(api):
    assert "default" in api.kubectl("get", "namespaces", config="kubeconfig-cert")
    bad = Client(f"{api.folder}/pki/kubeconfig", "tests")
    bad._headers["Authorization"] = "Bearer wrong"
    with pytest.raises(Failure) as refused:
        bad.list("Pod")
    assert refused.value.code == 401


@pytest.mark.parametrize(
    "obj, words",
    [
        ({"kind": "Pod", "spec": {"containers": [{"name": "a"}]}}, "spec.containers[0].image"),
        ({"kind": "Pod", "spec": "no"}, "spec: Invalid value: must be an object"),
        ({"kind": "Service", "spec": {"ports": [{"port": 0}]}}, "spec.ports[0].port"),
    ],
)
def test_bad_objects_are_refused_by_the_name_of_the_field(api, obj, words):
    obj = {"apiVersion": "v1", "metadata": {"name": "bad"}, **obj}
    with pytest.raises(Failure) as refused:
        api.client.create(obj["kind"], "default", obj)
    assert refused.value.code == 422 and words in str(refused.value)
