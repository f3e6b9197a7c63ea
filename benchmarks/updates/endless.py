"""A learner at full load, for other benchmarks to run beside: WSRL updates of the published size without a break.

    python -m benchmarks.updates.endless THREADS

It prints a line when it begins, and after each hundred updates how long one took.
"""

from __future__ import annotations

import sys
import time

from benchmarks.learner import BATCH, CRITICS, SIZES, SUBSET, UTD, as_batch, make_agent, random_columns


def main() -> None:
    """Update until it is ended."""
    import torch

    from policies.agent.phase_config import PhaseConfig

    torch.set_num_threads(int(sys.argv[1]))
    sizes, device = SIZES["published"], torch.device("cpu")
    agent = make_agent(sizes, CRITICS, SUBSET, PhaseConfig(actor_q="min"), device, compile_=False)
    batch = as_batch(random_columns(BATCH * UTD, sizes, device))
    print("updating", flush=True)
    while True:
        begin = time.perf_counter()
        for _ in range(100):
            agent.update(batch, UTD)
        print(f"{10 * (time.perf_counter() - begin):.1f} ms an update", flush=True)


if __name__ == "__main__":
    main()
