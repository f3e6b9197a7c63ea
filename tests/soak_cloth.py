"""A gripper that pinches, drags, lifts, squeezes and throws the cloth, for as long as it is let.

    python tests/soak_cloth.py --steps 10000

Each step is one of the twin's control steps of 0.2 s, 100 steps of the physics. The hand goes to the tag, to other
nodes of the cloth and to the cube, closes, carries them anywhere in its box, or moves at random. It ends with a table;
at once when the physics becomes unstable, and with status 1 when a limit of `tests/helpers/cloth_limits.py` is broken.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from helpers.cloth_limits import CARELESS, Watch
from helpers.rough_hand import RoughHand

from sim.twin import make_twin


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10_000, help="control steps")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    twin = make_twin("cube_covering", seed=arguments.seed, cameras=())
    hand, watch = RoughHand(twin, arguments.seed), Watch(twin.scene)
    cpu = time.process_time()
    for step in range(arguments.steps):
        hand.step()
        watch.look()
        if step % 1000 == 999:
            print(json.dumps({"steps": step + 1, **watch.figures()}), flush=True)
    cpu = time.process_time() - cpu
    figures = {"steps": arguments.steps, "steps_per_cpu_second": round(arguments.steps / cpu, 1), **watch.figures()}
    print(json.dumps(figures, indent=2))
    broken = watch.broken(CARELESS)
    if broken:
        sys.exit(f"broken: {', '.join(broken)}")


if __name__ == "__main__":
    main()
