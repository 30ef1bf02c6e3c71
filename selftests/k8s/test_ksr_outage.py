# SPDX-License-Identifier: Apache-2.0
"""The API server goes away for long enough that the election ends."""
from cluster import poll
from test_ksr_kubernetes import ALL, fill


def test_an_api_server_away_for_long_costs_the_lead_and_no_object(bed, api):
    fill(api)
    ksr = bed.follow_api(api, election=True).wait_ready()
    epoch = bed.leader()["epoch"]
    api.close()
    poll(lambda: ksr.get("/readyz")[0] == 503, 20, "not ready")
    assert "nobody can be elected" in ksr.get("/readyz")[1]
    assert ksr.get("/livez")[0] == 200
    assert bed.keys() == ALL
    assert bed.leader()["epoch"] == epoch
