# SPDX-License-Identifier: Apache-2.0
import os
import sys

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))

import cluster as clusters  # noqa: E402


@pytest.fixture(scope="module")
def cluster():
    """Two nodes, dual stack, VXLAN; shared by a module's tests, which leave it as they found it."""
    with clusters.Cluster("--nodes", "2", "--agent-config", '{"ipam": {"quarantine": "1s"}}') as up:
        yield up
