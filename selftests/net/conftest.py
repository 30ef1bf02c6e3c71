# SPDX-License-Identifier: Apache-2.0
import os
import sys

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))

import cluster as clusters  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "unless(case=f): no test of parameters for which f(**parameters) is true")


def pytest_collection_modifyitems(config, items):
    """What would be no case of what is tested is not collected: `skipped` is for what cannot run here."""
    def tested(item):
        return not any(mark.kwargs["case"](**item.callspec.params) for mark in item.iter_markers("unless"))

    config.hook.pytest_deselected(items=[item for item in items if not tested(item)])
    items[:] = [item for item in items if tested(item)]


@pytest.fixture(scope="module")
def cluster():
    """Two nodes, dual stack, VXLAN; shared by a module's tests, which leave it as they found it."""
    with clusters.Cluster("--nodes", "2", "--agent-config", '{"ipam": {"quarantine": "1s"}}') as up:
        yield up
