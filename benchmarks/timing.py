"""Time of calls on a machine that others use, too: ways that are compared take turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

import torch


def synchronise(device: torch.device) -> None:
    """Wait for the device's queue; nothing on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def best_ms(work: Callable[[], object], device: torch.device, rounds: int, warm: int = 3, calls: int = 1) -> float:
    """Milliseconds of a call in the fastest of `rounds`, each of `calls` without a wait between, after `warm` calls.

    Slow rounds measure the machine's other work.
    """
    for _ in range(warm):
        work()
    best = float("inf")
    for _ in range(rounds):
        synchronise(device)
        start = time.perf_counter()
        for _ in range(calls):
            work()
        synchronise(device)
        best = min(best, time.perf_counter() - start)
    return best * 1e3 / calls


def _in_turns(
    ways: Mapping[str, Callable[[], object]], device: torch.device, turns: int, rounds: int, warm: int, calls: int = 1
) -> dict[str, list[float]]:
    """`best_ms` of each way in each of the turns that they take: all of them meet the same machine."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, way in ways.items():
            found[name].append(best_ms(way, device, rounds, warm, calls))
    return found


def medians(
    versions: Mapping[str, Callable[[], object]], device: torch.device, turns: int, rounds: int = 3
) -> dict[str, float]:
    """Median milliseconds of each version over turns that they take."""
    for version in versions.values():
        best_ms(version, device, rounds=1, warm=2 if rounds == 1 else 5)
    found = _in_turns(versions, device, turns, rounds, warm=1 if rounds > 1 else 0)
    return {name: median(values) for name, values in found.items()}


def fastest(
    ways: Mapping[str, Callable[[], object]], device: torch.device, turns: int, calls: int = 1
) -> dict[str, float]:
    """Milliseconds of each way's fastest call in turns that they take, each of `calls`."""
    for way in ways.values():
        way()
    return {name: min(values) for name, values in _in_turns(ways, device, turns, 1, 0, calls).items()}
