# SPDX-License-Identifier: Apache-2.0
"""netloom-ksr as a test runs it: the real binary, a private etcd on loopback, and one folder for all."""
import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request

import yaml
from cluster import build_dir, poll
from ports import Port

_never = threading.Event()


def missing():
    """Why ksr can't be run here, or None."""
    if not shutil.which("etcd"):
        return "needs etcd"
    if not os.access(os.path.join(build_dir(), "netloom-ksr"), os.X_OK):
        return f"netloom-ksr is not built in {build_dir()}"
    return None


def http(url, body=None, timeout=30):
    """(status, text); (0, "") when nobody answers."""
    data = json.dumps(body).encode() if body is not None else None
    try:
        with urllib.request.urlopen(url, data, timeout=timeout) as res:
            return res.status, res.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()
    except OSError:
        return 0, ""


class Etcd:
    def __init__(self, folder):
        self.data = os.path.join(folder, "etcd")
        self.log = os.path.join(folder, "etcd.log")
        self._ports = [Port(), Port()]
        self.port, self.peer_port = (port.number for port in self._ports)
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None
        self.start()

    def start(self):
        peer = f"http://127.0.0.1:{self.peer_port}"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["etcd", "--name", "t", "--data-dir", self.data, "--logger", "zap",
                 "--heartbeat-interval=20", "--election-timeout=200",
                 "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                 "--initial-cluster", f"t={peer}",
                 "--listen-client-urls", self.url, "--advertise-client-urls", self.url],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        poll(lambda: http(self.url + "/health")[0] == 200, 60, "etcd answers")

    def stop(self):
        self.process.kill()
        self.process.wait()

    def wipe(self):
        self.stop()
        shutil.rmtree(self.data)

    def call(self, path, body):
        code, text = http(self.url + path, body)
        assert code == 200, f"etcd: {path}: {code} {text}"
        return json.loads(text)

    def kvs(self, prefix):
        """{key: (mod revision, text)} of what begins with prefix."""
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        body = {"key": _b64(prefix), "range_end": _b64(end)}
        kvs = self.call("/v3/kv/range", body).get("kvs", [])
        return {_text(kv["key"]): (int(kv["mod_revision"]), _text(kv.get("value", ""))) for kv in kvs}

    def get(self, prefix):
        """{key: object}"""
        return {key: json.loads(text) for key, (_, text) in self.kvs(prefix).items()}

    def put(self, key, value):
        self.call("/v3/kv/put", {"key": _b64(key), "value": _b64(value)})

    def delete(self, key):
        self.call("/v3/kv/deleterange", {"key": _b64(key)})


def _b64(text):
    return base64.b64encode(text.encode()).decode()


def _text(b64):
    return base64.b64decode(b64).decode()


class Ksr:
    """One replica."""

    def __init__(self, folder, name, config):
        self._port = Port()
        self.port = self._port.number
        self.log = os.path.join(folder, name + ".log")
        self.config = os.path.join(folder, name + ".yaml")
        self.process = None
        config = {"api": {"address": "127.0.0.1", "port": self.port}, **config}
        with open(self.config, "w", encoding="utf-8") as f:
            yaml.safe_dump(config, f)
        self.start()

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [os.path.join(build_dir(), "netloom-ksr"), "--config", self.config],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop(self):
        """By SIGTERM; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def logged(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def get(self, path):
        return http(f"http://127.0.0.1:{self.port}{path}")

    def is_ready(self):
        assert self.process.poll() is None, f"ksr has ended:\n{self.logged()}"
        return self.get("/readyz")[0] == 200

    def wait_ready(self, seconds=120):
        poll(self.is_ready, seconds, lambda: f"ksr is ready: {self.get('/readyz')}\n{self.logged()}")
        return self

    def metric(self, name):
        """The sum of all samples of a metric."""
        lines = [line for line in self.get("/metrics")[1].splitlines()
                 if line.split("{")[0].split(" ")[0] == name]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


class Pki:
    """A CA, and a certificate for 127.0.0.1 and one for a client; made anew with another CA."""

    def __init__(self, folder):
        self.folder = folder
        os.mkdir(folder)
        self.renew()

    def path(self, name):
        return os.path.join(self.folder, name)

    def _openssl(self, *args):
        subprocess.run(["openssl", *args], check=True, cwd=self.folder, stdin=subprocess.DEVNULL,
                       capture_output=True)

    def renew(self):
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
        self._openssl("req", "-x509", *key, "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.new")
        for name in ("server", "client"):
            self._openssl("req", "-x509", *key, "-subj", f"/CN={name}", "-CA", "ca.new",
                          "-CAkey", "ca.key", "-addext", "subjectAltName=IP:127.0.0.1",
                          "-addext", "basicConstraints=critical,CA:FALSE",
                          "-keyout", name + ".key", "-out", name + ".crt")
        os.rename(self.path("ca.new"), self.path("ca.crt"))


class Bed:
    """A folder, an etcd, and the replicas that were started on it."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="nlt-ksr-")
        self.manifests = os.path.join(self.folder, "manifests")
        os.mkdir(self.manifests)
        self.replicas = []
        self.config = {}  # further keys of ksr.yaml
        self.etcd = Etcd(self.folder)

    def pki(self):
        return Pki(os.path.join(self.folder, "pki"))

    def close(self):
        for replica in self.replicas:
            replica.resume()
            replica.kill()
        self.etcd.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def kubeconfig(self, url, user, cluster=None):
        path = os.path.join(self.folder, "kubeconfig")
        with open(path, "w", encoding="utf-8") as f:
            yaml.safe_dump({
                "apiVersion": "v1", "kind": "Config", "current-context": "c",
                "clusters": [{"name": "k", "cluster": {"server": url, **(cluster or {})}}],
                "users": [{"name": "u", "user": user}],
                "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            }, f)
        return path

    def _run(self, config, election):
        name = f"ksr-{len(self.replicas) + 1}"
        config = {"logLevel": "debug", "etcd": {"endpoints": [self.etcd.url]},
                  "leaderElection": {"enabled": election, "identity": name},
                  **self.config, **config}
        self.replicas.append(Ksr(self.folder, name, config))
        return self.replicas[-1]

    def follow_api(self, api, election=False, cluster=None, user=None):
        """`cluster` and `user`: of the kubeconfig, besides the server; a token without."""
        config = self.kubeconfig(api.url, user or {"token": api.token}, cluster)
        return self._run({"source": "kubernetes", "kubernetes": {"kubeconfig": config}}, election)

    def follow_folder(self, election=False):
        return self._run({"source": "directory", "directory": {"path": self.manifests}}, election)

    # ---- manifests

    def path(self, name):
        return os.path.join(self.manifests, name)

    def write(self, name, *documents):
        """Documents as objects, or one text; moved into place as editors do."""
        text = documents[0] if isinstance(documents[0], str) else yaml.safe_dump_all(documents)
        hidden = os.path.join(self.folder, "next")
        with open(hidden, "w", encoding="utf-8") as f:
            f.write(text)
        os.rename(hidden, self.path(name))

    # ---- what etcd holds

    def keys(self, resource=""):
        """Names below /netloom/k8s/, or of one resource."""
        prefix = f"/netloom/k8s/{resource}/" if resource else "/netloom/k8s/"
        return {key[len(prefix):] for key in self.etcd.kvs(prefix)}

    def obj(self, key):
        return self.etcd.get("/netloom/k8s/" + key).get("/netloom/k8s/" + key)

    def wait_keys(self, resource, names, seconds=90):
        poll(lambda: self.keys(resource) == set(names), seconds,
             lambda: f"{resource}: {sorted(names)}; there is {sorted(self.keys(resource))}\n"
                     + "\n".join(r.logged()[-3000:] for r in self.replicas))

    def leader(self):
        return self.etcd.get("/netloom/ksr/leader").get("/netloom/ksr/leader", {})


def nothing_for(seconds):
    """To see that something does not happen."""
    _never.wait(seconds)
