# SPDX-License-Identifier: Apache-2.0
"""The API server as a process."""
import argparse
import ipaddress
import signal
import ssl
import threading

import yaml

from .errors import ApiError
from .http import Server
from .resources import Registry
from .rest import Rest
from .store import Store

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


def bootstrap(rest, service_cidrs, address, port):
    """What every cluster starts with."""
    find = rest.registry.find
    for name in NAMESPACES:
        _ensure(rest, find("", "v1", "namespaces"), "", {"metadata": {"name": name}})
    cidr = ipaddress.ip_network(service_cidrs[0])
    _ensure(
        rest,
        find("", "v1", "services"),
        "default",
        {
            "metadata": {
                "name": "kubernetes",
                "labels": {"component": "apiserver", "provider": "kubernetes"},
            },
            "spec": {
                "clusterIPs": [str(cidr[1])],
                "clusterIP": str(cidr[1]),
                "ports": [{"name": "https", "port": 443, "targetPort": port}],
            },
        },
    )
    slice_ = {
        "metadata": {"name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": f"IPv{ipaddress.ip_address(address).version}",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }
    _ensure(rest, find("discovery.k8s.io", "v1", "endpointslices"), "default", slice_)


def _ensure(rest, res, namespace, obj):
    try:
        rest.create(res, namespace, obj, {})
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise


def add_crds(rest, files):
    res = rest.registry.find("apiextensions.k8s.io", "v1", "customresourcedefinitions")
    for name in files:
        with open(name, encoding="utf-8") as file:
            for crd in yaml.safe_load_all(file):
                _ensure(rest, res, "", crd)


def main(argv):
    parser = argparse.ArgumentParser(prog="netloom-demo-apiserver")
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, default=6443)
    parser.add_argument("--cert", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--client-ca", required=True)
    parser.add_argument("--token-file", required=True)
    parser.add_argument("--service-cidr", action="append", required=True)
    parser.add_argument(
        "--crd", action="append", default=[], metavar="FILE", help="there from the first start on"
    )
    parser.add_argument("--journal")
    parser.add_argument("--log-dir")
    args = parser.parse_args(argv)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(args.cert, args.key)
    context.load_verify_locations(args.client_ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    with open(args.token_file, encoding="ascii") as file:
        token = file.read().strip()
    rest = Rest(Store(args.journal), Registry(), args.service_cidr)
    if not rest.store.list(("", "namespaces"))[1]:
        add_crds(rest, args.crd)  # who deletes one later means it
    bootstrap(rest, args.service_cidr, args.address, args.port)
    server = Server((args.address, args.port), context, rest, token, args.log_dir)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.2)
