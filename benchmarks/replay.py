"""How fast image transitions are drawn from replay, beside other ways to gather them and beside memory's own speed.

    python benchmarks/replay.py            a table for people
    python benchmarks/replay.py --json     one JSON object on standard output

A transition is an image of 96 x 96 x 3 bytes and the next one, in batches of 256 out of 10,000 frames (276 MB, far more
than any cache); the replay also draws, and gathers actions, rewards and the rest. The floor is a plain copy of as many
bytes from memory that no cache holds. One core; ways take turns, and each figure is that of its fastest call: slower
ones measure the machine's other work. With a GPU (`--device cuda`) batches go to it, from the host and from its own
memory, and calls are timed in runs of ten between synchronisations.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.timing import fastest
from policies.agent.allocator import keep_freed_memory
from policies.replay.mixed_replay import MixedReplay
from policies.replay.replay import Replay
from policies.replay.source_weights import SourceWeights

IMAGE = (96, 96, 3)
IMAGE_BYTES = 96 * 96 * 3
BATCH = 256
EPISODES, STEPS = 244, 40
FRAMES = EPISODES * (STEPS + 1)
Ways = dict[str, Callable[[], object]]


def filled(
    seed: int, *, episodes: int = EPISODES, device: str = "cpu", storage: str = "cpu", person: float = 1
) -> Replay:
    """A full replay of random images; every tenth episode is a person's."""
    rng = np.random.default_rng(seed)
    replay = Replay(
        episodes * (STEPS + 1),
        {"front": (IMAGE, torch.uint8)},
        gamma=0.99,
        device=device,
        storage_device=storage,
        weights=SourceWeights(person=person),
        seed=seed,
    )
    for number in range(episodes):
        zeros, flags = np.zeros(STEPS, np.float32), np.zeros(STEPS, bool)
        images = rng.integers(0, 256, (STEPS + 1, *IMAGE), np.uint8)
        source = np.full(STEPS, number % 10 == 0, np.uint8)
        actions = rng.uniform(-1, 1, (STEPS, 7)).astype(np.float32)
        replay.add_episode({"front": images}, actions, zeros, flags, flags, zeros, source, 0)
    return replay


def other_ways(frames: Tensor) -> Ways:
    """Gathers of frame and next frame alone, from (N, 96, 96, 3)."""
    rows = frames.view(len(frames), -1)
    runs = rows.as_strided((len(rows) - 1, 2 * IMAGE_BYTES), (IMAGE_BYTES, 1))
    kept = torch.empty((2, BATCH, IMAGE_BYTES), dtype=torch.uint8)
    both = torch.empty((BATCH, 2 * IMAGE_BYTES), dtype=torch.uint8)
    plain, out = rows.numpy(), kept.numpy()
    generator = torch.Generator().manual_seed(0)

    def draw() -> Tensor:
        return torch.randint(0, len(rows) - 1, (BATCH,), generator=generator)

    def fresh() -> list[Tensor]:
        index = draw()
        return [rows.index_select(0, index + ahead) for ahead in (0, 1)]

    def into_kept() -> list[Tensor]:
        index = draw()
        return [torch.index_select(rows, 0, index + ahead, out=kept[ahead]) for ahead in (0, 1)]

    def numpy_take() -> list[object]:
        index = draw().numpy()
        return [np.take(plain, index + ahead, 0, out=out[ahead], mode="clip") for ahead in (0, 1)]

    def shared_runs() -> Tensor:
        return torch.index_select(runs, 0, draw(), out=both)

    def brackets() -> list[Tensor]:
        index = draw()
        return [frames[index + ahead] for ahead in (0, 1)]

    return {
        "index_select": fresh,
        "index_select_kept_buffer": into_kept,
        "numpy_take_kept_buffer": numpy_take,
        "runs_of_two_kept_buffer": shared_runs,
        "brackets": brackets,
    }


def plain_copy(frames: Tensor) -> Callable[[], object]:
    """Copies the bytes of one batch from another stretch of memory at every call."""
    rows = frames.view(len(frames), -1)
    kept = torch.empty((2 * BATCH, IMAGE_BYTES), dtype=torch.uint8)
    stretches = len(rows) // (2 * BATCH)
    calls = 0

    def copy() -> Tensor:
        nonlocal calls
        at = calls % stretches * 2 * BATCH
        calls += 1
        return kept.copy_(rows[at : at + 2 * BATCH])

    return copy


def measure_host(rounds: int) -> dict[str, object]:
    """All figures on one core."""
    replay = filled(0)
    half, weighted = EPISODES // 2, filled(1, person=4)
    mixed = MixedReplay(filled(2, episodes=half), filled(3, episodes=half), 0.5)
    frames = replay.gather(torch.arange(len(replay))).observation["front"]
    milliseconds = fastest(
        {
            "replay": lambda: replay.sample(BATCH),
            "by_source": lambda: weighted.sample(BATCH),
            "mixed": lambda: mixed.sample(BATCH),
            "floor": plain_copy(frames),
            **other_ways(frames),
        },
        torch.device("cpu"),
        rounds,
    )
    rates = {name: round(1e3 * BATCH / each) for name, each in milliseconds.items()}
    return {
        "device": "cpu",
        "replay_image_transitions_per_s": rates["replay"],
        "replay_image_bytes_per_s": rates["replay"] * 2 * IMAGE_BYTES,
        "floor_bytes_per_s": rates["floor"] * 2 * IMAGE_BYTES,
        "share_of_floor": round(rates["replay"] / rates["floor"], 3),
        "bytes_per_transition_over_frame": round(replay.nbytes / (len(replay) * IMAGE_BYTES), 4),
        "transitions_per_s": rates,
    }


def measure_gpu(rounds: int, device: str) -> dict[str, object]:
    """Transitions a second that arrive on a GPU."""
    replays = {storage: filled(0, device=device, storage=storage) for storage in ("cpu", device)}
    ways: Ways = {storage: (lambda r=replay: r.sample(BATCH)) for storage, replay in replays.items()}  # type: ignore[misc]
    milliseconds = fastest(ways, torch.device(device), rounds, calls=10)
    rates = {f"from_{storage}": round(1e3 * BATCH / each) for storage, each in milliseconds.items()}
    return {
        "device": torch.cuda.get_device_name(device),
        "replay_image_transitions_per_s": rates[f"from_{device}"],
        "transitions_per_s": rates,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--rounds", type=int, default=60, help="calls of each way (default 60)")
    parser.add_argument("--device", default="cpu", help="where batches go: cpu (default) or cuda")
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    if options.device == "cpu" and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    figures = measure_host(options.rounds) if options.device == "cpu" else measure_gpu(options.rounds, options.device)
    if options.json:
        print(json.dumps(figures))
        return
    print(f"{figures['device']}, batches of {BATCH} image transitions     transitions/s    GB/s")
    rates = figures["transitions_per_s"]
    if isinstance(rates, dict):
        for name, rate in rates.items():
            print(f"  {name:48s} {rate:12,d} {rate * 2 * IMAGE_BYTES / 1e9:7.2f}")
    if "share_of_floor" in figures:
        print(f"share of the floor {figures['share_of_floor']}; bytes of a stored transition over a frame's", end=" ")
        print(figures["bytes_per_transition_over_frame"])


if __name__ == "__main__":
    main()
