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


def best_ms(work: Callable[[], object], device: torch.device, rounds: int, warm: int = 3) -> float:
    """Milliseconds of the fastest of `rounds` calls after `warm` others; slow ones measure the machine's other work."""
    for _ in range(warm):
        work()
    best = float("inf")
    for _ in range(rounds):
        synchronise(device)
        start = time.perf_counter()
        work()
        synchronise(device)
        best = min(best, time.perf_counter() - start)
    return best * 1e3


def medians(
    versions: Mapping[str, Callable[[], object]], device: torch.device, turns: int, rounds: int = 3
) -> dict[str, float]:
    """Median milliseconds of each version over turns that they take: all of them meet the same machine."""
    found: dict[str, list[float]] = {name: [] for name in versions}
    for version in versions.values():
        best_ms(version, device, rounds=1, warm=2 if rounds == 1 else 5)
    for _ in range(turns):
        for name, version in versions.items():
            found[name].append(best_ms(version, device, rounds, warm=1 if rounds > 1 else 0))
    return {name: median(values) for name, values in found.items()}


def fastest(
    ways: Mapping[str, Callable[[], object]], rounds: int, finish: Callable[[], object] = lambda: None, calls: int = 1
) -> dict[str, float]:
    """Seconds of each way's fastest call; the ways take turns, and `finish` waits for what they left to a device."""
    best = dict.fromkeys(ways, float("inf"))
    for call in ways.values():
        call()
    for _ in range(rounds):
        for name, call in ways.items():
            finish()
            start = time.perf_counter()
            for _ in range(calls):
                call()
            finish()
            best[name] = min(best[name], (time.perf_counter() - start) / calls)
    return best
