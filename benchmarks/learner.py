"""Milliseconds of the learner's updates, beside plain PyTorch in the same run and beside the arithmetic floor.

    python benchmarks/learner.py                                          a table for people
    python benchmarks/learner.py --json                                   one JSON object on standard output
    python benchmarks/learner.py --size bench --only wsrl_utd4            one update at the size of `regrasp bench`

WSRL: UTD 4 on 4 x 256 transitions, 10 critics of 2 x 256 with LayerNorm, 2 targets drawn, observation 39, action 7.
Cal-QL: batch 256, 10 actions from each of uniform, policy and next policy; 10 critics, and 2. The actor takes the
minimum over all critics, as published for both. Smaller networks: `--size`. The floor is the least arithmetic of
batched products over the machine's matrix-product rate: that of `torch.mm`, and, as `floor2`, that of oneDNN, which
is the wider one on some processors (`policies.agent.stacked_product`). Rates, ours (compiled, and as it is: "eager")
and the plain version take turns, and each figure is the median of its turns, so that all of them meet the same machine.
What learning from images costs is measured by `benchmarks.updates.images`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `regrasp` does, before torch loads

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.timing import best_ms, medians, synchronise
from benchmarks.updates.arithmetic import calql_operations, matmul_rate, onednn_rate, wsrl_operations
from benchmarks.updates.images import image_figures
from benchmarks.updates.parts import shares
from benchmarks.updates.plain import PlainAgent
from policies.agent.agent import Agent
from policies.agent.allocator import keep_freed_memory
from policies.agent.config import AgentConfig, NetworkConfig, PhaseConfig
from policies.common.batch import Batch

BATCH, UTD, CRITICS, SUBSET, ACTIONS = 256, 4, 10, 2, 10


@dataclass(frozen=True)
class Sizes:
    """Of networks and tasks.

    Attributes:
        state: Numbers of the observation.
        action: Numbers of the action.
        hidden: Widths of the critics' hidden layers.
        actor: Widths of the actor's.
    """

    state: int = 39
    action: int = 7
    hidden: tuple[int, ...] = (256, 256)
    actor: tuple[int, ...] = (256, 256)


SIZES = {
    "published": Sizes(),
    "demo": Sizes(hidden=(128, 128)),
    "bench": Sizes(24, 5, (64, 64), (64, 64)),
}


def random_columns(rows: int, sizes: Sizes, device: torch.device) -> dict[str, Tensor]:
    """Columns of `rows` transitions with standard normal states."""
    draws = torch.Generator(device=device).manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draws, device=device)

    return {
        "state": normal(rows, sizes.state),
        "next_state": normal(rows, sizes.state),
        "action": normal(rows, sizes.action).tanh(),
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


def make_agent(
    sizes: Sizes, critics: int, subset: int | None, phase: PhaseConfig, device: torch.device, compile_: bool
) -> Agent:
    """An agent in the phase that is to be measured."""
    config = AgentConfig(
        networks=NetworkConfig(actor_hidden=sizes.actor, critic_hidden=sizes.hidden, critics=critics),
        gamma=0.99,
        target_critics=subset,
        target_range=None,
        offline=phase,
        compile=compile_,
    )
    return Agent(config, sizes.state, 0, sizes.action, device=device)


@dataclass(frozen=True)
class Work:
    """What is measured.

    Attributes:
        versions: Name of a version -> one update.
        operations: Floating-point operations that an update can't do without.
    """

    versions: Mapping[str, Callable[[], object]]
    operations: float


def wsrl(sizes: Sizes, device: torch.device) -> Work:
    """One WSRL step of UTD 4."""
    columns = random_columns(BATCH * UTD, sizes, device)
    batch = as_batch(columns)
    plain = PlainAgent(sizes.state, sizes.action, CRITICS, sizes.hidden, sizes.actor, device, SUBSET)
    ours, eager = (
        make_agent(sizes, CRITICS, SUBSET, PhaseConfig(actor_q="min"), device, compile_) for compile_ in (True, False)
    )
    versions = {
        "ours": lambda: ours.update(batch, UTD),
        "eager": lambda: eager.update(batch, UTD),
        "plain": lambda: plain.wsrl(columns, UTD),
    }
    return Work(
        versions, wsrl_operations(sizes.state, sizes.action, sizes.hidden, sizes.actor, CRITICS, SUBSET, BATCH, UTD)
    )


def calql(critics: int, sizes: Sizes, device: torch.device) -> Work:
    """One Cal-QL update: the regulariser on every critic, the minimum over two targets."""
    columns = random_columns(BATCH, sizes, device)
    batch = as_batch(columns)
    subset = None if critics == SUBSET else SUBSET
    phase = PhaseConfig(cql_alpha=5.0, cql_actions=ACTIONS, cql_critics=None, actor_q="min")
    plain = PlainAgent(sizes.state, sizes.action, critics, sizes.hidden, sizes.actor, device, subset)
    ours, eager = (make_agent(sizes, critics, subset, phase, device, compile_) for compile_ in (True, False))
    versions = {
        "ours": lambda: ours.update(batch),
        "eager": lambda: eager.update(batch),
        "plain": lambda: plain.calql(columns, ACTIONS),
    }
    return Work(
        versions,
        calql_operations(sizes.state, sizes.action, sizes.hidden, sizes.actor, critics, subset, BATCH, ACTIONS),
    )


def measure(work: Work, device: torch.device, turns: int) -> dict[str, float]:
    """Median milliseconds of each version, and of the floors, whose rates are measured anew in each turn."""
    floors: list[float] = []
    wide: list[float] = []

    def rate() -> None:
        floors.append(work.operations / matmul_rate(device) * 1e3)
        wide.append(work.operations / onednn_rate(device) * 1e3)

    found = medians({"rate": rate, **work.versions}, device, turns)
    return {**found, "floor": median(floors), "floor2": median(wide)}


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


WORKS: dict[str, Callable[[Sizes, torch.device], Work]] = {
    "wsrl_utd4": wsrl,
    "calql10": partial(calql, 10),
    "calql2": partial(calql, 2),
}


def measure_all(device: torch.device, turns: int, sizes: Sizes, only: str | None) -> dict[str, float | str]:
    """All figures, by the names of the JSON object; with `only`, those of one update."""
    figures: dict[str, float | str] = {"device": describe(device)}
    works = {name: make(sizes, device) for name, make in WORKS.items() if only in (None, name)}
    for name, work in works.items():
        found = measure(work, device, turns)
        figures[f"{name}_ms"] = round(found["ours"], 2)
        figures[f"{name}_floor_ms"] = round(found["floor"], 2)
        figures[f"{name}_floor2_ms"] = round(found["floor2"], 2)
        figures[f"{name}_eager_ms"] = round(found["eager"], 2)
        figures[f"plain_{name}_ms"] = round(found["plain"], 2)
    if device.type == "cuda" and "wsrl_utd4" in works:
        update = works["wsrl_utd4"].versions["ours"]
        figures["wsrl_utd4_launch_share"] = round(launch_share(update, device), 3)
    if only is None:
        figures.update(image_figures(device, turns))
    return figures


def print_parts(device: torch.device, sizes: Sizes, only: str | None) -> None:
    """A line for each update: shares of its time, as it is and compiled."""
    for name, make in WORKS.items():
        if only in (None, name):
            for version, update in make(sizes, device).versions.items():
                if version != "plain":
                    found = ", ".join(f"{part} {share:.0%}" for part, share in shares(update).items())
                    print(f"{name} {version}: {found}")


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
    parser.add_argument("--size", choices=SIZES, default="published", help="of the networks (default published)")
    parser.add_argument("--parts", action="store_true", help="where the time of ours and of the eager update goes")
    parser.add_argument("--only", choices=WORKS, help="one of the updates, and nothing from images")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    if options.parts:
        print_parts(torch.device(options.device), SIZES[options.size], options.only)
        return
    figures = measure_all(torch.device(options.device), options.turns, SIZES[options.size], options.only)
    if options.json:
        print(json.dumps(figures))
        return
    print(figures["device"])
    columns = ("ours", "eager", "plain", "floor", "floor2")
    heads = " ".join(f"{name:>8}" for name in columns)
    print(f"{'milliseconds an update':24} {heads}  ours/floor plain/ours")
    for name in WORKS:
        if f"{name}_ms" not in figures:
            continue
        keys = (f"{name}_ms", f"{name}_eager_ms", f"plain_{name}_ms", f"{name}_floor_ms", f"{name}_floor2_ms")
        values = [float(figures[key]) for key in keys]
        ours, _, plain, floor, _ = values
        row = " ".join(f"{value:8.1f}" for value in values)
        print(f"{name:24} {row}  {ours / floor:10.2f} {plain / ours:10.2f}")
    if options.only:
        return
    for name in ("state_utd1", "image_frozen", "image_end_to_end", "image_end_to_end_128"):
        print(f"{name:24} {float(figures[f'{name}_ms']):8.1f}")
    print(f"image transitions a second from replay: {float(figures['replay_image_transitions_per_s']):,.0f}")
    if "wsrl_utd4_launch_share" in figures:
        rate, share = 1e3 / float(figures["wsrl_utd4_ms"]), figures["wsrl_utd4_launch_share"]
        print(f"{rate:.0f} WSRL steps a second; {share:.0%} of the time no kernel runs")


if __name__ == "__main__":
    main()
