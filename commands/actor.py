"""`regrasp actor`: the robot-side process."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig
from tqdm import tqdm

from commands.checkpoints import find_policy, finetune_folder
from commands.judges import classifier_of
from commands.learner import tls_of
from commands.twins import TwinSettings, cached_twin
from trajectories.store import TrajectoryStore

if TYPE_CHECKING:
    from policies.policy import LearnedPolicy
    from robot.session import ResetFreeSession

STATUS_FILE = "actor.json"
OUTBOX = "outbox"


def open_session(config: DictConfig, policy: LearnedPolicy, outbox: TrajectoryStore, start: int) -> ResetFreeSession:
    """The reset-free session in the twin, judged by the reward model alone.

    Args:
        config: Settings.
        policy: Who acts.
        outbox: Gets every episode.
        start: Number of this start of the actor: draws go on differently after a restart.
    """
    from rewards.judge import VlmReward
    from robot.session import ResetFreeSession

    settings = TwinSettings.from_config(config)
    twin = cached_twin(settings)
    rng = np.random.default_rng([int(config.seed), start])
    policy.seed(int(rng.integers(2**31)))
    twin.reset("forward", rng)
    return ResetFreeSession(
        twin.env,
        policy,
        VlmReward(classifier_of(config, settings.spec())),
        config.task.name,
        twin.task.instructions,
        twin.attendant,
        rng=rng,
        on_episode=outbox.commit,
        max_steps=int(config.task.max_steps),
        help_after=int(config.robot.help_after),
        referee=twin.success,
        metadata={"kind": "online", "method": str(config.method.name), "seed": int(config.seed)},
    )


def run(config: DictConfig) -> None:
    """Collect episodes for the learner until the run is finished or stopped."""
    import torch

    from policies.policy import load_policy
    from robot.actor import Actor, ActorOptions
    from robot.actor_status import ActorStatus
    from robot.link.client import LearnerClient

    torch.set_num_threads(1)
    settings = TwinSettings.from_config(config)
    folder = finetune_folder(Path(config.run_dir), config.method.name)
    pretrained = find_policy(Path(config.run_dir), "pretrained", config.method.name)
    policy = load_policy(pretrained, settings.spec(), seed=int(config.seed))
    stop = threading.Event()
    with (
        TrajectoryStore(folder / OUTBOX, settings.spec()) as outbox,
        tqdm(
            total=int(config.finetune.steps),
            desc="acting",
            unit="step",
            dynamic_ncols=True,
        ) as bar,
    ):

        def show(status: ActorStatus) -> None:
            bar.set_postfix_str(describe(status), refresh=False)
            bar.update(status.steps - bar.n)

        with LearnerClient(config.link.address, tls_of(config), notify=tqdm.write, interrupt=stop) as client:
            status_path = folder / STATUS_FILE
            starts = next_start(folder)
            Actor(
                open_session(config, policy, outbox, starts),
                client,
                policy.load,
                outbox,
                policy.digest,
                ActorOptions(status_path=status_path, notify=tqdm.write, on_status=show),
                stop,
            ).run()


def next_start(folder: Path) -> int:
    """How often an actor of this run was started before; counts this start."""
    path = folder / "actor_starts"
    count = int(path.read_text()) if path.exists() else 0
    path.write_text(str(count + 1))
    return count


def describe(status: Any) -> str:
    """Success of the training stream and calls for help, for a progress bar."""
    rates = [
        f"{direction} {100 * tally.recent_rate:.0f} %"
        for direction, tally in sorted(status.training.items(), reverse=True)
        if tally.recent_rate is not None
    ]
    helps = sum(status.helps.values())
    return ", ".join([*rates, f"{helps} resets", f"policy {status.policy_version}"])
