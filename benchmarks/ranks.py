"""Updates a second of one process and of several that share each batch, replay included.

    torchrun --nproc-per-node N benchmarks/ranks.py      one line of JSON, by the first process
    torchrun --nproc-per-node 1 benchmarks/ranks.py      the same by one

"states": Cal-QL with cloning as `regrasp pretrain` does it on keypoints, batches of 256, 10 critics of 2 x 128, 51
numbers a frame. "images": the same through the CNN of `encoder=cnn`, trained along, on images of 96 x 96. Each process
gets as many threads as it has cores, and the median of several runs counts: others use the machine, too. Not compiled.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.timing import synchronise
from policies.agent.agent import Agent
from policies.agent.config import AgentConfig, NetworkConfig
from policies.common.launch import Launch
from policies.common.process_group import open_ranks
from policies.common.ranks import Ranks
from policies.perception.encoders.config import EncoderConfig
from policies.perception.encoders.encoder import Encoder
from policies.perception.encoders.frames import frame_fields
from policies.replay.replay import Replay
from policies.replay.ring_buffer import Fields

BATCH, STATE, PROPRIO, WORDS = 256, 51, 13, 128
EPISODES, STEPS = 50, 40
RUNS = 7


def filled(fields: Fields, ranks: Ranks, device: torch.device) -> Replay:
    """A replay of random frames, a third of whose steps are worth copying."""
    rng = np.random.default_rng(0)
    replay = Replay(EPISODES * (STEPS + 1), fields, gamma=0.95, device=device, ranks=ranks)
    for number in range(EPISODES):
        zeros, flags = np.zeros(STEPS, np.float32), np.zeros(STEPS, bool)
        frames = {
            name: rng.integers(0, 256, (STEPS + 1, *shape), np.uint8)
            if dtype == torch.uint8
            else rng.standard_normal((STEPS + 1, *shape)).astype(np.float32)
            for name, (shape, dtype) in fields.items()
        }
        actions = rng.uniform(-1, 1, (STEPS, 7)).astype(np.float32)
        source = np.full(STEPS, number % 3 == 0, np.uint8)
        replay.add_episode(frames, actions, zeros - 1, flags, flags, zeros - 10, source, 0)
    return replay


def updates_a_second(encoder: Encoder | None, ranks: Ranks, device: torch.device, count: int) -> float:
    """Median of several runs of `count` updates."""
    networks = NetworkConfig(actor_hidden=(256, 256), critic_hidden=(128, 128), critics=10)
    size = STATE if encoder is None else encoder.size
    agent = Agent(AgentConfig(networks=networks), size, WORDS, device=device, encoder=encoder)
    agent.set_instructions(torch.randn(16, WORDS, generator=torch.Generator().manual_seed(0)))
    agent.join(ranks)
    fields: Fields = {"state": ((STATE,), torch.float32)} if encoder is None else frame_fields(encoder)
    replay, seconds = filled(fields, ranks, device), []
    for _ in range(RUNS + 1):
        synchronise(device)
        started = time.perf_counter()
        for _ in range(count):
            agent.update(replay.sample(BATCH))
        synchronise(device)
        seconds.append(time.perf_counter() - started)
    return count / median(seconds[1:])


def main() -> None:
    """Measure, and print one line."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    launch = Launch.of()
    device = torch.device(launch.device("cuda" if torch.cuda.is_available() else "cpu"))
    threads = max(1, len(os.sched_getaffinity(0)) // launch.local_count)
    torch.set_num_threads(threads)
    with open_ranks(launch, device) as ranks:
        torch.manual_seed(0)
        cnn = Encoder(EncoderConfig(), {"front": (96, 96)}, PROPRIO, WORDS)
        found = {
            "states": updates_a_second(None, ranks, device, 20),
            "images": updates_a_second(cnn, ranks, device, 1),
        }
        if ranks.first:
            rounded = {f"{name}_updates_per_s": round(value, 2) for name, value in found.items()}
            print(json.dumps({"processes": ranks.count, "threads_each": threads, "device": device.type, **rounded}))


if __name__ == "__main__":
    main()
