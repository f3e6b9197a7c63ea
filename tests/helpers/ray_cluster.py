"""A Ray cluster of two nodes on this machine, on loopback, which tells nobody that it is used."""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]
TRIES = 2000
VARIABLES = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # 127.0.0.1 isn't taken for this machine's address in the network
    "RAY_DISABLE_DOCKER_CPU_WARNING": "1",
    "RAY_ENABLE_RUNTIME_METRICS": "0",
    "RAY_worker_register_timeout_seconds": "250",
    "RAY_memory_monitor_refresh_ms": "0",  # other work's memory shall not end a test
    "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}",  # jobs of tests
}


class TwoNodes:
    """The head, which the command is a driver of, and another node, with one processor each."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(
            initialize_head=True, head_node_args={**_node(), "no_monitor": True, "include_log_monitor": False}
        )
        self.address = self._cluster.address
        self.second = self._cluster.add_node(**_node())

    def kill(self) -> None:
        """The second node, as when its power goes."""
        self._cluster.remove_node(self.second, allow_graceful=False)

    def add(self, **settings: Any) -> None:
        """A second node again."""
        self.second = self._cluster.add_node(**_node(), **settings)

    def close(self) -> None:
        """End both."""
        self._cluster.shutdown()


def _node() -> dict[str, Any]:
    own = {"runtime_env_agent_port": free_port(), "include_dashboard": False}
    return {"num_cpus": 1, "node_ip_address": "127.0.0.1", **own}


def free_port() -> int:
    """A port of loopback that nothing listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _no_page(node: Any, **_: Any) -> None:
    """Without the server of Ray's web page, which starts a process even where there shall be no page."""
    node._webui_url = None


def _said_before(start_raylet: Callable[..., None]) -> Callable[..., None]:
    """Ray's agent says that it has no such ports (-1) in files, for which a node waits 15 s and then dies."""

    def start(node: Any, *args: Any, **settings: Any) -> None:
        for name in ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port"):
            Path(node.get_session_dir_path(), f"{name}_{node._node_id}").write_text("-1", encoding="utf-8")
        start_raylet(node, *args, **settings)

    return start


def _patient(get_node: Callable[..., Any]) -> Callable[..., Any]:
    """Ray gives a node 30 s to start, which is little where other work has the processors."""

    def wait(*args: Any) -> Any:
        for _ in range(TRIES):
            with contextlib.suppress(RuntimeError):
                return get_node(*args)
            time.sleep(0.1)
        return get_node(*args)

    return wait


@contextlib.contextmanager
def two_nodes() -> Iterator[TwoNodes]:
    """Both nodes for a while."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in VARIABLES.items():
            patch.setenv(name, value)
        from ray._private import ray_constants, services
        from ray._private.node import Node

        patch.setattr(Node, "start_api_server", _no_page)
        patch.setattr(Node, "start_raylet", _said_before(Node.start_raylet))
        patch.setattr(services, "get_node", _patient(services.get_node))
        patch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", False)  # as the variable says, whoever imported it first
        cluster = TwoNodes()
        try:
            yield cluster
        finally:
            cluster.close()
