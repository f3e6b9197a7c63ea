"""A stage of a fine-tuning run on the disc world, by one process or by ranks.

Arguments: pre-trained folder, store of demonstrations, run's folder, stage, rank that kills itself.
"""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from helpers.blob_world import SPEC, BlobWorld, record
from policies.common.launch import Launch
from policies.common.process_group import open_ranks
from policies.common.ranks import ALONE
from policies.learner.follower import Follower
from policies.learner.learner import Learner
from policies.learner.learner_config import LearnerConfig
from trajectories.store import TrajectoryStore
from trajectories.types import Source
from trajectories.verdicts import Verdict

CONFIG = LearnerConfig(
    steps=160, warmup_steps=40, critic_only=8, utd=2, batch=32, retention=0.25, max_lag=40, person_weight=2.0,
    publish_every=5, checkpoint_every=10, snapshot_every=100, log_every=5,
)  # fmt: skip
UPDATES = (15, 45, 75)
"""Of the run, after each stage."""


def episodes(stage):
    """Two of 30 steps each, a person's and the policy's, and one more in the beginning."""
    found = []
    for number in range(3 if stage == 0 else 1):
        rng = np.random.default_rng((stage, number))
        world = BlobWorld(rng, "red", ("forward", "backward")[number % 2])
        world.reset()
        world.places["red"] = np.array([0.2, 0.0])
        source = Source.PERSON if number == 1 else Source.POLICY
        episode = record(world, lambda _, rng=rng: rng.uniform(-1, 1, 7), steps=30, source=source)
        found.append(replace(episode, id=f"{stage:020d}-{number:08d}", outcome="failure"))
    return found


def settings(store):
    return {"offline": [store], "task": "red_disc", "seed": 2}


def follow(ranks, pretrained, store, dies):
    """What the second rank does; it dies before the 13th update of the stage, or never."""
    follower = Follower(ranks, Path(pretrained), SPEC, CONFIG, **settings(store))
    update, left = follower.agent.update, [13]

    def count(*arguments):
        left[0] -= 1
        if dies and not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return update(*arguments)

    follower.agent.update = count
    follower.run()


def lead(ranks, pretrained, store, run, stage):
    """Open the run's learner, give it the stage's episodes and what a person says of one, train and close."""
    learner = Learner(Path(run), Path(pretrained), SPEC, CONFIG, ranks=ranks, **settings(store))
    for episode in episodes(stage):
        learner.put_episode(episode)
    if stage == 1:
        learner.put_verdict(Verdict(episodes(0)[1].id, "done", "Anna", "review", 10**9, "0"))
    try:
        learner.train(UPDATES[stage] - learner.trainer.updates)
    finally:
        learner.close()


def stage_of(pretrained, demos, run, stage, ranks=ALONE, dies=False):
    torch.set_num_threads(1)
    with TrajectoryStore(Path(demos), read_only=True) as store:
        if ranks.first:
            lead(ranks, pretrained, store, run, stage)
        else:
            follow(ranks, pretrained, store, dies)


def main() -> None:
    pretrained, demos, run, stage, dies = sys.argv[1:]
    with open_ranks(Launch.of(), "cpu") as ranks:
        stage_of(pretrained, demos, run, int(stage), ranks, dies == str(ranks.rank))
    threads = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    left = [name for name in threads if "gloo" in name]
    assert not left, f"{left} would live on while the interpreter ends, which aborts the process at times"


if __name__ == "__main__":
    main()
