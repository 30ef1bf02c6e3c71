# SPDX-License-Identifier: Apache-2.0
"""netloom-ksr and an API server with TLS: who is trusted, who may enter, and what is rotated."""
import base64

from cluster import poll
from fakekube import FakeKube
from test_ksr_kubernetes import ALL, PODS, fill, pod


def b64(path):
    with open(path, "rb") as f:
        return base64.b64encode(f.read()).decode()


def test_a_ca_and_a_client_certificate_open_the_door(bed):
    pki = bed.pki()
    api = FakeKube(pki=pki, want_cert=True)
    fill(api)
    bed.follow_api(
        api,
        cluster={"certificate-authority-data": b64(pki.path("ca.crt"))},
        user={"client-certificate": pki.path("client.crt"),
              "client-key-data": b64(pki.path("client.key"))},
    ).wait_ready()
    assert bed.keys() == ALL
    api.close()


def test_a_server_of_another_ca_is_not_trusted(bed):
    pki = bed.pki()
    api = FakeKube(pki=pki)
    pki.renew()
    ksr = bed.follow_api(api, cluster={"certificate-authority": pki.path("ca.crt")})
    poll(lambda: "certificate" in ksr.logged(), 60, lambda: ksr.logged())
    poll(lambda: ksr.get("/readyz")[0] == 503, 60, "it is not ready")
    assert not bed.keys()
    assert not api.requests
    api.close()


def test_insecure_is_said_aloud(bed):
    api = FakeKube(pki=bed.pki())
    fill(api)
    ksr = bed.follow_api(api, cluster={"insecure-skip-tls-verify": True}).wait_ready()
    assert bed.keys() == ALL
    assert "not verified" in ksr.logged()
    api.close()


def test_a_rotated_ca_is_read_again(bed):
    pki = bed.pki()
    api = FakeKube(pki=pki)
    fill(api)
    bed.follow_api(api, cluster={"certificate-authority": pki.path("ca.crt")}).wait_ready()
    api.close()
    pki.renew()
    api.put(PODS, pod("fresh"))
    api.start(pki)
    bed.wait_keys("pod", {"default/web", "default/fresh"})
    api.close()
