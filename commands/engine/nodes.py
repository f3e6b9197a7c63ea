"""The nodes of a Ray cluster: whether each can do the work, and which are gone."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from tqdm import tqdm

from commands.engine.node import NodeError, require_same_software, software

_LOOK_S = 2.0
_PROBE_S = 300.0


class Nodes:
    """Looks after the nodes for as long as the context lasts, and says beside the progress bar what becomes of them.

    Args:
        ray: The module, connected.
        title: What the work is called.

    Attributes:
        processors: Of all nodes that are there.
    """

    def __init__(self, ray: Any, title: str) -> None:
        self._ray, self._title = ray, title
        self._over = threading.Event()
        self._known: dict[str, bool] = {}
        self.processors = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Nodes:
        nodes = self._alive()
        self._known = {node["NodeID"]: True for node in nodes}
        self.processors = sum(map(_processors, nodes))
        if not self.processors:
            tqdm.write(f"{self._title}: the cluster has no processor to compute on, waiting for a node with some.")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def require_same_software(self) -> None:
        """Ask each node that computes, but one that is gone by the time of its answer.

        Raises:
            NodeError: Naming one that lacks Regrasp, has other versions or doesn't answer.
        """
        ray = self._ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        probe = ray.remote(num_cpus=0, max_retries=0)(require_same_software)
        asked = []
        for node in self._alive():
            if _processors(node):
                there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                asked.append((node["NodeID"], _name(node), probe.options(scheduling_strategy=there)))
        answers = [(identity, name, probe.remote(software(), name)) for identity, name, probe in asked]
        for identity, name, answer in answers:
            try:
                ray.get(answer, timeout=_PROBE_S)
            except ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, NodeError):
                    raise error.cause from error
                raise NodeError(
                    f"Node {name} of the cluster can't load Regrasp ({_last_line(error.cause)}). Install the same "
                    "version there, into the environment in which its `ray start` runs."
                ) from error
            except ray.exceptions.RayError as error:
                if all(node["NodeID"] != identity for node in self._alive()):
                    continue  # it died, and the cluster learned of that only now
                raise NodeError(f"Node {name} of the cluster doesn't answer ({str(error).strip()}).") from error

    def _alive(self) -> list[Mapping[str, Any]]:
        return [node for node in self._ray.nodes() if node["Alive"]]

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_S):
            try:
                nodes = self._ray.nodes()
            except Exception:  # the connection ends; what waits for results says so
                return
            self.processors = left = sum(_processors(node) for node in nodes if node["Alive"])
            for node in nodes:
                identity, alive = node["NodeID"], bool(node["Alive"])
                if self._known.get(identity, False) and not alive:
                    rest = (
                        f"{left} processors go on with what it had" if left else "none is left, waiting for another one"
                    )
                    tqdm.write(f"{self._title}: node {_name(node)} is gone; {rest}.")
                elif alive and identity not in self._known:
                    tqdm.write(f"{self._title}: node {_name(node)} has come.")
                self._known[identity] = alive


def _last_line(error: BaseException) -> str:
    return next(reversed(str(error).strip().splitlines()), type(error).__name__)


def _name(node: Mapping[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']}, {node['NodeID'][:8]})"


def _processors(node: Mapping[str, Any]) -> int:
    return int(node["Resources"].get("CPU", 0))
