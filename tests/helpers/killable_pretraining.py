"""Pre-training on the disc world, of which a process kills itself with SIGKILL, if it gets so far.

Arguments: store, folder, encoder, stage, step, rank of that process.
"""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import torch

from helpers.blob_world import fake_text
from helpers.small_policies import RED_WORDINGS, SMALL, SMALL_CNN
from policies.common.launch import Launch
from policies.common.process_group import open_ranks
from policies.common.ranks import ALONE
from policies.learner.pretrain import pretrain
from policies.learner.pretrain_config import PretrainConfig
from policies.perception.keypoint_config import KeypointConfig
from trajectories.store import TrajectoryStore

SETTINGS = PretrainConfig(
    clone_steps=30, steps=30, batch=32, agent=SMALL, checkpoint_every=7, log_every=5, held_out=0.2, held_out_every=12,
    keypoints=KeypointConfig(steps=12, batch=8),
)  # fmt: skip
ON_IMAGES = replace(SETTINGS, encoder=SMALL_CNN, batch=16)


def train(store, folder, config=SETTINGS, progress=None, notify=None, seed=3, ranks=ALONE, beside=()):
    """Pre-train on a store's path; returns what `pretrain` does."""
    torch.set_num_threads(1)
    with TrajectoryStore(store, read_only=True) as opened:
        return pretrain(
            [opened], "red_disc", RED_WORDINGS, fake_text, "fake", config, folder,
            seed=seed, progress=progress, notify=notify or (lambda line: None), ranks=ranks, beside=beside,
        )  # fmt: skip


def main() -> None:
    store, folder, encoder, stage, step, rank = sys.argv[1:]
    with open_ranks(Launch.of(), "cpu") as ranks:

        def kill(told, done, total):
            if (told, done, ranks.rank) == (stage, int(step), int(rank)):
                os.kill(os.getpid(), signal.SIGKILL)

        train(Path(store), Path(folder), ON_IMAGES if encoder == "cnn" else SETTINGS, kill, ranks=ranks)


if __name__ == "__main__":
    main()
