# SPDX-License-Identifier: Apache-2.0
"""The API server goes away for long enough that the election ends."""
from cluster import poll
from test_ksr_kubernetes import ALL, fill


def test_an_api_server_away_for_long_costs_the_lead_and_no_object(bed, api):
    fill(api)
    ksr = bed.follow_api(api, election=True).wait_ready()
    epoch = bed.leader()["epoch"]
    api.close()
    said = lambda: ksr.get("/readyz")  # noqa: E731
    poll(lambda: said()[0] == 503 and "nobody can be elected" in said()[1], 120, lambda: f"{said()}")
    assert ksr.get("/livez")[0] == 200
    assert bed.keys() == ALL
    assert bed.leader()["epoch"] == epoch
