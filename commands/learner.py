"""`regrasp learner`: the learner process."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig
from tqdm import tqdm

from factory.calibration import mark_in_use
from factory.link import tls_of
from factory.policy import agent_config, feeding_of, require_online, with_compile
from factory.run_folders import data_folder, find_policy, finetune_folder
from factory.spec import device_of, spec_of
from factory.task import instructions_of
from trajectories.store import TrajectoryStore

if TYPE_CHECKING:
    from policies.learner.learner import Learner
    from policies.learner.learner_status import LearnerStatus


def open_learner(config: DictConfig, stack: contextlib.ExitStack) -> Learner:
    """The learner of the run, new or resumed.

    Args:
        config: Settings.
        stack: Closes the offline store, where the method keeps offline data.

    Raises:
        CheckpointError: When there is no pre-trained policy.
        ConfigError: When the method doesn't go online.
    """
    from policies.agent.compile_choice import Workload
    from policies.learner.learner import Learner
    from policies.learner.learner_config import LearnerConfig
    from policies.learner.run_folder import CHECKPOINT

    run_dir, spec = Path(config.run_dir), spec_of(config)
    require_online(config)
    feeding, finetune, agent = feeding_of(config), config.finetune, agent_config(config)
    pretrained = find_policy(config, "pretrained")
    offline = []
    if feeding.retention > 0:
        offline.append(stack.enter_context(TrajectoryStore(data_folder(run_dir), spec, read_only=True)))
    first = int(config.method.critic_only)
    updates = max(0, int(finetune.steps) - int(finetune.warmup_steps) - first)
    work = [Workload(agent.warmup, first, feeding.batch, feeding.utd)]
    work += [Workload(agent.online, updates, feeding.batch, feeding.utd)]
    settings = LearnerConfig(
        method=str(config.method.name),
        retention=feeding.retention,
        offline=str(config.method.offline),  # type: ignore[arg-type]
        steps=int(finetune.steps),
        warmup_steps=int(finetune.warmup_steps),
        critic_only=int(config.method.critic_only),
        utd=feeding.utd,
        batch=feeding.batch,
        person_weight=float(config.method.person_weight),
        corrections=str(config.method.corrections),  # type: ignore[arg-type]
        replay_bytes=int(finetune.replay_bytes),
        replay_device=config.replay.device,
        freeze_encoder=bool(finetune.freeze_encoder),
        max_lag=int(config.robot.max_lag),
        snapshot_every=int(finetune.snapshot_every),
        agent=with_compile(agent, config, work, device_of(config), finetune_folder(config) / CHECKPOINT),
    )
    return Learner(
        finetune_folder(config),
        pretrained,
        spec,
        settings,
        offline=offline,
        task=config.task.name,
        wordings=instructions_of(config) if offline else None,
        device=device_of(config),
        seed=int(config.seed),
        calibration=mark_in_use(config),
    )


def run(config: DictConfig) -> None:
    """Serve and train until the run is complete or stopped."""
    import torch

    from policies.agent.allocator import keep_freed_memory
    from policies.learner.run_learner import run_learner

    torch.set_num_threads(1)
    keep_freed_memory()
    with contextlib.ExitStack() as stack:
        learner = open_learner(config, stack)
        total = max(1, int(config.finetune.steps) - int(config.finetune.warmup_steps))
        bar = stack.enter_context(tqdm(total=total, desc="learning", unit="update", dynamic_ncols=True))

        def show(status: LearnerStatus) -> None:
            bar.set_postfix_str(f"{status.episodes} episodes, {status.steps} steps", refresh=False)
            bar.update(min(status.updates, total) - bar.n)

        complete = run_learner(
            learner,
            config.link.address,
            tls_of(config),
            on_status=show,
            on_ready=lambda address: tqdm.write(f"learner: waiting for actors at {address}"),
        )
    if not complete:
        print("learner: stopped with a checkpoint; the same command goes on")
