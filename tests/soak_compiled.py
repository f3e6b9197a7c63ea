"""Every method's updates by the real compiler beside eager ones: the same numbers, and what an update takes.

python tests/soak_compiled.py                    all methods, both families; some ten minutes
python tests/soak_compiled.py --methods wsrl iql
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).resolve().parents[1]))
sys.path.append(str(Path(__file__).resolve().parent))

from helpers.small_agent import batch, small

from policies.agent.methods import METHODS

UPDATES = 10


def compare(name: str, family: str) -> str:
    """One line: the largest difference of any tensor after some updates in all phases."""
    warnings.simplefilter("error", RuntimeWarning)
    agents, took = [small(name, family, compile_) for compile_ in (True, False)], [0.0, 0.0]
    for phase in ("offline", "warmup", "online"):
        for number, agent in enumerate(agents):
            agent.set_phase(phase)
            for seed in range(UPDATES):
                start = time.perf_counter()
                agent.update(batch(12, seed), utd=2)
                took[number] += time.perf_counter() - start
    fast, plain = (agent.state()[0] for agent in agents)
    for key, value in plain.items():
        torch.testing.assert_close(fast[key], value, rtol=1e-3, atol=1e-4, msg=f"{name} {family} {key}")
    worst = max(
        float((fast[key].double() - value.double()).abs().max()) for key, value in plain.items() if value.numel()
    )
    return f"{name:18} {family:10} largest difference {worst:.1e}; compiled with compiling {took[0]:.0f} s"


def main() -> None:
    """Print a line a method; an AssertionError names the first tensor that differs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--methods", nargs="+", default=sorted(METHODS.own))
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.methods:
        for family in ("locomotion", "antmaze"):
            print(compare(name, family), flush=True)


if __name__ == "__main__":
    main()
