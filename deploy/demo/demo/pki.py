# SPDX-License-Identifier: Apache-2.0
"""A CA of the cluster's own, the API server's certificate, an admin's one, a token, kubeconfigs."""
import json
import os
import secrets
import subprocess

_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def _openssl(*args):
    subprocess.run(
        ["openssl", *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def _issue(folder, name, subject, extensions):
    path = os.path.join(folder, name)
    with open(path + ".ext", "w", encoding="ascii") as file:
        file.write(extensions)
    _openssl("req", *_KEY, "-keyout", path + ".key", "-out", path + ".csr", "-subj", subject)
    _openssl(
        "x509",
        "-req",
        "-in",
        path + ".csr",
        "-CA",
        folder + "/ca.crt",
        "-CAkey",
        folder + "/ca.key",
        "-CAcreateserial",
        "-days",
        "365",
        "-extfile",
        path + ".ext",
        "-out",
        path + ".crt",
    )


def create(folder, addresses, server):
    """Everything below `folder`; `server` is the API server's URL."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    _openssl(
        "req",
        "-x509",
        *_KEY,
        "-keyout",
        folder + "/ca.key",
        "-out",
        folder + "/ca.crt",
        "-days",
        "365",
        "-subj",
        "/CN=netloom-demo",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
    )
    names = ",".join(
        ["DNS:kubernetes", "DNS:kubernetes.default.svc", *(f"IP:{a}" for a in addresses)]
    )
    _issue(
        folder,
        "apiserver",
        "/CN=apiserver",
        f"subjectAltName={names}\nextendedKeyUsage=serverAuth\n",
    )
    _issue(folder, "admin", "/O=system:masters/CN=admin", "extendedKeyUsage=clientAuth\n")
    token = secrets.token_hex(16)
    with open(
        os.open(folder + "/token", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        "w",
        encoding="ascii",
    ) as file:
        file.write(token)
    _kubeconfig(folder + "/kubeconfig", folder, server, {"token": token})
    _kubeconfig(
        folder + "/kubeconfig-cert",
        folder,
        server,
        {"client-certificate": folder + "/admin.crt", "client-key": folder + "/admin.key"},
    )


def _kubeconfig(path, folder, server, user):
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "demo",
        "preferences": {},
        "clusters": [
            {
                "name": "demo",
                "cluster": {"server": server, "certificate-authority": folder + "/ca.crt"},
            }
        ],
        "users": [{"name": "admin", "user": user}],
        "contexts": [{"name": "demo", "context": {"cluster": "demo", "user": "admin"}}],
    }
    with open(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as file:
        json.dump(config, file, indent=1)  # JSON is YAML
