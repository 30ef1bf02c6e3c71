# SPDX-License-Identifier: Apache-2.0
import os
import sys

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))

import fakekube  # noqa: E402
import ksr  # noqa: E402


@pytest.fixture
def bed():
    """An empty etcd, an empty folder of manifests, no replica yet."""
    if reason := ksr.missing():
        pytest.skip(reason)
    bed = ksr.Bed()
    yield bed
    bed.close()


@pytest.fixture
def api():
    server = fakekube.FakeKube()
    yield server
    server.close()
