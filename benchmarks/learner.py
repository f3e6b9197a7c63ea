"""Milliseconds of the learner's updates, beside plain PyTorch in the same run and beside the arithmetic floor.

    python benchmarks/learner.py            a table for people
    python benchmarks/learner.py --json     one JSON object on standard output

WSRL: UTD 4 on 4 x 256 transitions, 10 critics of 2 x 256 with LayerNorm, 2 targets drawn, observation 39, action 7.
Cal-QL: batch 256, 10 actions from each of uniform, policy and next policy; 10 critics, and 2. The actor takes the
minimum over all critics, as published for both. The floor is the least arithmetic of batched products over the
machine's matrix-product rate. Rate, ours (compiled, and as it is: "eager") and the plain version take turns, and each
figure is the median of its turns, so that all of them meet the same machine. What learning from images costs is
measured by `benchmarks.updates.images`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.timing import best_ms, medians, synchronise
from benchmarks.updates.arithmetic import calql_operations, matmul_rate, wsrl_operations
from benchmarks.updates.images import image_figures
from benchmarks.updates.plain import PlainAgent
from policies.agent.agent import Agent
from policies.agent.allocator import keep_freed_memory
from policies.agent.config import AgentConfig, NetworkConfig, PhaseConfig
from policies.common.batch import Batch

STATE, ACTION, HIDDEN = 39, 7, (256, 256)
BATCH, UTD, CRITICS, SUBSET, ACTIONS = 256, 4, 10, 2, 10


def random_columns(rows: int, device: torch.device) -> dict[str, Tensor]:
    """Columns of `rows` transitions with standard normal states."""
    draws = torch.Generator(device=device).manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draws, device=device)

    return {
        "state": normal(rows, STATE),
        "next_state": normal(rows, STATE),
        "action": normal(rows, ACTION).tanh(),
        "reward": -torch.ones(rows, device=device),
        "discount": torch.full((rows,), 0.99, device=device),
        "mc_return": normal(rows) - 10.0,
    }


def as_batch(columns: dict[str, Tensor]) -> Batch:
    """The same for `Agent`."""
    rows, device = len(columns["reward"]), columns["reward"].device
    return Batch(
        observation={"state": columns["state"]},
        next_observation={"state": columns["next_state"]},
        instruction=torch.zeros(rows, dtype=torch.int64, device=device),
        action=columns["action"],
        reward=columns["reward"],
        discount=columns["discount"],
        mc_return=columns["mc_return"],
        imitate=torch.zeros(rows, device=device),
        source=torch.zeros(rows, dtype=torch.uint8, device=device),
    )


def make_agent(critics: int, subset: int | None, phase: PhaseConfig, device: torch.device, compile_: bool) -> Agent:
    """An agent in the phase that is to be measured."""
    config = AgentConfig(
        networks=NetworkConfig(actor_hidden=HIDDEN, critic_hidden=HIDDEN, critics=critics),
        gamma=0.99,
        target_critics=subset,
        target_range=None,
        offline=phase,
        compile=compile_,
    )
    return Agent(config, STATE, 0, ACTION, device=device)


@dataclass(frozen=True)
class Work:
    """What is measured.

    Attributes:
        versions: Name of a version -> one update.
        operations: Floating-point operations that an update can't do without.
    """

    versions: Mapping[str, Callable[[], object]]
    operations: float


def wsrl(device: torch.device) -> Work:
    """One WSRL step of UTD 4."""
    columns = random_columns(BATCH * UTD, device)
    batch = as_batch(columns)
    plain = PlainAgent(STATE, ACTION, CRITICS, HIDDEN, device, SUBSET)
    ours, eager = (
        make_agent(CRITICS, SUBSET, PhaseConfig(actor_q="min"), device, compile_) for compile_ in (True, False)
    )
    versions = {
        "ours": lambda: ours.update(batch, UTD),
        "eager": lambda: eager.update(batch, UTD),
        "plain": lambda: plain.wsrl(columns, UTD),
    }
    return Work(versions, wsrl_operations(STATE, ACTION, HIDDEN, CRITICS, SUBSET, BATCH, UTD))


def calql(critics: int, device: torch.device) -> Work:
    """One Cal-QL update: the regulariser on every critic, the minimum over two targets."""
    columns = random_columns(BATCH, device)
    batch = as_batch(columns)
    subset = None if critics == SUBSET else SUBSET
    phase = PhaseConfig(cql_alpha=5.0, cql_actions=ACTIONS, cql_critics=None, actor_q="min")
    plain = PlainAgent(STATE, ACTION, critics, HIDDEN, device, subset)
    ours, eager = (make_agent(critics, subset, phase, device, compile_) for compile_ in (True, False))
    versions = {
        "ours": lambda: ours.update(batch),
        "eager": lambda: eager.update(batch),
        "plain": lambda: plain.calql(columns, ACTIONS),
    }
    return Work(versions, calql_operations(STATE, ACTION, HIDDEN, critics, subset, BATCH, ACTIONS))


def measure(work: Work, device: torch.device, turns: int) -> dict[str, float]:
    """Median milliseconds of each version, and of the floor, whose rate is measured anew in each turn."""
    floors: list[float] = []

    def rate() -> None:
        floors.append(work.operations / matmul_rate(device) * 1e3)

    found = medians({"rate": rate, **work.versions}, device, turns)
    return {**found, "floor": median(floors)}


def launch_share(update: Callable[[], object], device: torch.device) -> float:
    """Share of an update's wall time in which a GPU's kernels don't run: launching and waiting."""
    updates = 20
    wall_ms = median(best_ms(update, device, rounds=1, warm=0) for _ in range(updates))
    with profile(activities=[ProfilerActivity.CUDA]) as trace:
        for _ in range(updates):
            update()
        synchronise(device)
    busy_ms = sum(event.self_device_time_total for event in trace.key_averages()) / 1e3 / updates
    return max(0.0, 1.0 - busy_ms / wall_ms)


def measure_all(device: torch.device, turns: int) -> dict[str, float | str]:
    """All figures, by the names of the JSON object."""
    figures: dict[str, float | str] = {"device": describe(device)}
    works = {"wsrl_utd4": wsrl(device), "calql10": calql(10, device), "calql2": calql(2, device)}
    for name, work in works.items():
        found = measure(work, device, turns)
        figures[f"{name}_ms"] = round(found["ours"], 2)
        figures[f"{name}_floor_ms"] = round(found["floor"], 2)
        figures[f"{name}_eager_ms"] = round(found["eager"], 2)
        figures[f"plain_{name}_ms"] = round(found["plain"], 2)
    if device.type == "cuda":
        update = works["wsrl_utd4"].versions["ours"]
        figures["wsrl_utd4_launch_share"] = round(launch_share(update, device), 3)
    return figures | image_figures(device, turns)


def describe(device: torch.device) -> str:
    """What the figures were measured on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--turns", type=int, default=7, help="turns that the versions take (default 7)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="torch device")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    figures = measure_all(torch.device(options.device), options.turns)
    if options.json:
        print(json.dumps(figures))
        return
    print(figures["device"])
    print(f"{'milliseconds an update':24} {'ours':>8} {'eager':>8} {'plain':>8} {'floor':>8}  ours/floor plain/ours")
    for name in ("wsrl_utd4", "calql10", "calql2"):
        keys = (f"{name}_ms", f"{name}_eager_ms", f"plain_{name}_ms", f"{name}_floor_ms")
        ours, eager, plain, floor = (float(figures[key]) for key in keys)
        print(
            f"{name:24} {ours:8.1f} {eager:8.1f} {plain:8.1f} {floor:8.1f}  {ours / floor:10.2f} {plain / ours:10.2f}"
        )
    for name in ("state_utd1", "image_frozen", "image_end_to_end", "image_end_to_end_128"):
        print(f"{name:24} {float(figures[f'{name}_ms']):8.1f}")
    print(f"image transitions a second from replay: {float(figures['replay_image_transitions_per_s']):,.0f}")
    if "wsrl_utd4_launch_share" in figures:
        rate, share = 1e3 / float(figures["wsrl_utd4_ms"]), figures["wsrl_utd4_launch_share"]
        print(f"{rate:.0f} WSRL steps a second; {share:.0%} of the time no kernel runs")


if __name__ == "__main__":
    main()
