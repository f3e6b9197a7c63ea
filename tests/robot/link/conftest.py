"""A server of a learner that keeps episodes in memory, and the certificates of its run."""

import pytest
from helpers.link_data import MemoryEndpoint

from robot.link.certificates import run_pair
from robot.link.server import LinkServer


@pytest.fixture
def endpoint():
    return MemoryEndpoint()


@pytest.fixture
def pair(tmp_path):
    return run_pair(tmp_path)


@pytest.fixture
def server(endpoint, pair):
    with LinkServer(endpoint, "127.0.0.1:0", pair) as running:
        yield running
