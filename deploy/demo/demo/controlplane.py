# SPDX-License-Identifier: Apache-2.0
"""etcd, the API server, controllers and netloom-ksr, in the control plane's namespace."""
import os
import shutil
import subprocess
import sys

import yaml

from . import pki, sandbox
from .instance import LOAD_BALANCER_CIDRS, POD_CIDRS, SERVICE_CIDRS
from .proc import Processes

KSR_PORT = 9991
PYTHON = "/usr/bin/python3"
HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ENTRY = os.path.join(HERE, "netloom-demo")
CNP_CRD = os.path.join(HERE, "crds", "clusternetworkpolicies.yaml")


def python(part, *argv):
    """The argv of one of the demo's own daemons."""
    return [PYTHON if os.path.exists(PYTHON) else sys.executable, ENTRY, "_run", part, *argv]


def http_ok(prefix, url, *options):
    return (
        subprocess.run(
            [*prefix, "curl", "-fsS", "-m", "2", "-o", "/dev/null", *options, url],
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ).returncode
        == 0
    )


class ControlPlane:
    def __init__(self, instance):
        self.instance = instance
        self.processes = Processes(instance)
        self.prefix = sandbox.enter(instance, "control")
        self.cgroup = sandbox.cgroup(instance, "control")

    def _define(self, name, argv):
        self.processes.define(name, [*self.prefix, *argv], self.cgroup)

    def create(self):
        inst = self.instance
        pki.create(
            inst.path("pki"),
            [*inst.control_addresses(), "127.0.0.1", "::1"],
            inst.url("https", 6443),
        )
        self._define_etcd()
        crds = ["--crd", CNP_CRD] if inst.options.get("cnp_crd", "on") == "on" else []
        service_cidrs = [arg for f in inst.families for arg in ("--service-cidr", SERVICE_CIDRS[f])]
        pki_dir = inst.path("pki")
        self._define(
            "apiserver",
            python(
                "apiserver",
                "--address",
                inst.control_addresses()[0],
                "--cert",
                pki_dir + "/apiserver.crt",
                "--key",
                pki_dir + "/apiserver.key",
                "--client-ca",
                pki_dir + "/ca.crt",
                "--token-file",
                pki_dir + "/token",
                "--journal",
                inst.path("apiserver.journal"),
                "--log-dir",
                inst.path("logs"),
                *service_cidrs,
                *crds,
            ),
        )
        os.makedirs(inst.path("logs"), exist_ok=True)
        controllers = ["--kubeconfig", inst.kubeconfig]
        for family in inst.families:
            controllers += ["--load-balancer-cidr", LOAD_BALANCER_CIDRS[family]]
        if inst.options["pod_cidrs"] == "kubernetes":
            controllers += [arg for f in inst.families for arg in ("--cluster-cidr", POD_CIDRS[f])]
        if inst.options["source"] == "directory":
            os.makedirs(inst.path("manifests"), exist_ok=True)
            controllers += ["--export", inst.path("manifests")]
        self._define("controllers", python("controllers", *controllers))
        self.define_ksr(1)

    def _define_etcd(self):
        url, peer = self.instance.etcd_url, self.instance.url("http", 2380)
        argv = [
            "etcd",
            "--name",
            "demo",
            "--data-dir",
            self.instance.path("etcd"),
            "--listen-client-urls",
            url,
            "--advertise-client-urls",
            url,
            "--listen-peer-urls",
            peer,
            "--initial-advertise-peer-urls",
            peer,
            "--initial-cluster",
            f"demo={peer}",
            "--logger",
            "zap",
            "--log-level",
            "warn",
        ]
        if _etcd_has_no_fsync():
            argv.append("--unsafe-no-fsync")
        self._define("etcd", argv)

    def define_ksr(self, replica):
        """Replica 1 is `ksr`, others `ksr-N`, each with a port of its own."""
        inst = self.instance
        name = "ksr" if replica == 1 else f"ksr-{replica}"
        kubernetes = inst.options["source"] == "kubernetes"
        config = {
            "logLevel": inst.options["log_level"],
            "source": inst.options["source"],
            "etcd": {"endpoints": [inst.etcd_url]},
            "leaderElection": {"enabled": kubernetes},
            "api": {"address": "127.0.0.1", "port": KSR_PORT + replica - 1},
        }
        if kubernetes:
            config["kubernetes"] = {"kubeconfig": inst.kubeconfig}
        else:
            config["directory"] = {"path": inst.path("manifests")}
        with open(inst.path(name + ".yaml"), "w", encoding="utf-8") as file:
            yaml.safe_dump(config, file, sort_keys=False)
        self._define(
            name, [os.path.join(inst.programs(), "netloom-ksr"), "--config", inst.path(name + ".yaml")]
        )
        return name

    def etcd_answers(self):
        return http_ok(self.prefix, self.instance.etcd_url + "/health")

    def apiserver_answers(self):
        return http_ok(
            self.prefix,
            self.instance.url("https", 6443) + "/readyz",
            "--cacert",
            self.instance.path("pki", "ca.crt"),
        )

    def ksr_ready(self, replica=1):
        return http_ok(self.prefix, f"http://127.0.0.1:{KSR_PORT + replica - 1}/readyz")

    def wipe_etcd(self):
        shutil.rmtree(self.instance.path("etcd"), ignore_errors=True)


def _etcd_has_no_fsync():
    """A demo's data need no disk; etcd 3.4 has no such option."""
    done = subprocess.run(
        ["etcd", "--help"], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return "--unsafe-no-fsync" in done.stdout
