"""Milliseconds of the learner's updates, beside plain PyTorch in the same run and beside the arithmetic floor.

    python benchmarks/learner.py            a table for people
    python benchmarks/learner.py --json     one JSON object on standard output

WSRL: UTD 4 on 4 x 256 transitions, 10 critics of 2 x 256 with LayerNorm, 2 targets drawn, observation 39, action 7.
Cal-QL: batch 256, 10 actions from each of uniform, policy and next policy; 10 critics, and 2. The floor is the least
arithmetic over the machine's best matrix-product rate, measured in the same run. Ours and the plain version take
turns, and each figure is the best of its rounds: slower ones measure the machine's other work. What learning from
images costs is measured by `benchmarks.updates.images`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.updates.arithmetic import best_ms, calql_operations, matmul_rate, wsrl_operations
from benchmarks.updates.images import image_figures
from benchmarks.updates.plain import PlainAgent
from policies.agent import Agent
from policies.allocator import keep_freed_memory
from policies.batch import Batch
from policies.config import AgentConfig, NetworkConfig, PhaseConfig

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


def take_turns(
    ours: Callable[[], object], plain: Callable[[], object], device: torch.device, rounds: int
) -> list[float]:
    """Best milliseconds of both, measured alternately."""
    bests = [float("inf"), float("inf")]
    for turn in range(rounds):
        for i, work in enumerate((ours, plain)):
            bests[i] = min(bests[i], best_ms(work, device, rounds=3, warm=5 if turn == 0 else 0))
    return bests


def wsrl(device: torch.device, rounds: int, compile_: bool) -> dict[str, float]:
    """One WSRL step of UTD 4, and the floor of its arithmetic in operations."""
    columns = random_columns(BATCH * UTD, device)
    batch = as_batch(columns)
    agent = make_agent(CRITICS, SUBSET, PhaseConfig(), device, compile_)
    plain = PlainAgent(STATE, ACTION, CRITICS, HIDDEN, device, SUBSET)
    ours_ms, plain_ms = take_turns(
        lambda: agent.online_update(batch, UTD), lambda: plain.wsrl(columns, UTD), device, rounds
    )
    operations = wsrl_operations(STATE, ACTION, HIDDEN, CRITICS, SUBSET, BATCH, UTD)
    return {"ours": ours_ms, "plain": plain_ms, "operations": operations}


def calql(critics: int, device: torch.device, rounds: int, compile_: bool) -> dict[str, float]:
    """One Cal-QL update: the regulariser on every critic, the minimum over two targets."""
    columns = random_columns(BATCH, device)
    batch = as_batch(columns)
    subset = None if critics == SUBSET else SUBSET
    phase = PhaseConfig(cql_alpha=5.0, cql_actions=ACTIONS, cql_critics=None)
    agent = make_agent(critics, subset, phase, device, compile_)
    plain = PlainAgent(STATE, ACTION, critics, HIDDEN, device, subset)
    ours_ms, plain_ms = take_turns(
        lambda: agent.pretrain_update(batch), lambda: plain.calql(columns, ACTIONS), device, rounds
    )
    operations = calql_operations(STATE, ACTION, HIDDEN, critics, subset, BATCH, ACTIONS)
    return {"ours": ours_ms, "plain": plain_ms, "operations": operations}


def measure(device: torch.device, rounds: int, compile_: bool) -> dict[str, float | str]:
    """All figures."""
    rate = matmul_rate(device)
    figures: dict[str, float | str] = {"device": describe(device), "matmul_gflop_per_s": round(rate / 1e9, 1)}
    parts = {
        "wsrl_utd4": wsrl(device, rounds, compile_),
        "calql10": calql(10, device, rounds, compile_),
        "calql2": calql(2, device, rounds, compile_),
    }
    rate = max(rate, matmul_rate(device))
    for name, part in parts.items():
        figures[f"{name}_ms"] = round(part["ours"], 2)
        figures[f"{name}_floor_ms"] = round(part["operations"] / rate * 1e3, 2)
        figures[f"plain_{name}_ms"] = round(part["plain"], 2)
    return figures | image_figures(device, rounds, compile_)


def describe(device: torch.device) -> str:
    """What the figures were measured on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each version, three updates a turn (default 5)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="torch device")
    parser.add_argument("--compile", action="store_true", help="ours through torch.compile")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    figures = measure(torch.device(options.device), options.rounds, options.compile)
    if options.json:
        print(json.dumps(figures))
        return
    print(f"{figures['device']}: {figures['matmul_gflop_per_s']} GFLOP/s in matrix products")
    print(f"{'milliseconds an update':28} {'ours':>8} {'plain':>8} {'floor':>8}  ours / floor")
    for name in ("wsrl_utd4", "calql10", "calql2"):
        ours, plain, floor = (float(figures[key]) for key in (f"{name}_ms", f"plain_{name}_ms", f"{name}_floor_ms"))
        print(f"{name:28} {ours:8.1f} {plain:8.1f} {floor:8.1f}  {ours / floor:.2f}")
    for name in ("state_utd1", "image_frozen", "image_end_to_end", "image_end_to_end_128"):
        print(f"{name:28} {float(figures[f'{name}_ms']):8.1f}")
    print(f"image transitions a second from replay: {float(figures['replay_image_transitions_per_s']):,.0f}")


if __name__ == "__main__":
    main()
