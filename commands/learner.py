"""`regrasp learner`: the learner process."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, cast

from omegaconf import DictConfig
from tqdm import tqdm

from commands.overrides import typed_keys
from factory.calibration import mark_in_use
from factory.data import other_robot
from factory.displacing import displace_of, places_of
from factory.judge_settings import require_trained_like
from factory.link import tls_of
from factory.method_settings import method_settings
from factory.offline_progress import with_progress
from factory.policy import feeding_of, online_agent_config, require_online, with_compile
from factory.run_folders import find_policy, finetune_folder
from factory.sources import kept_sources
from factory.spec import device_of, plain, spec_of
from factory.task import instructions_of
from factory.threads import learner_threads
from policies.common.launch import Launch
from policies.common.ranks import ALONE, Ranks
from trajectories.alignment import EpisodeSource
from trajectories.errors import ConfigError
from trajectories.layout import require_unwritten
from trajectories.settings import build, require_known

if TYPE_CHECKING:
    from pathlib import Path

    from policies.learner.follower import Follower
    from policies.learner.learner import Learner
    from policies.learner.learner_config import LearnerConfig
    from policies.learner.learner_status import LearnerStatus


SAID = "learner: "
"""In front of what the learner tells a person."""
_KEYS = {"replay_device": "replay.device", "max_lag": "robot.max_lag", "displace": "task.displace"}
"""Settings of a run that are neither of the group `finetune` nor of `method` -> their keys."""


def learner_settings(config: DictConfig) -> LearnerConfig:
    """Settings of the learner, but for the agent's.

    Raises:
        ConfigError: For an unknown key, or a value of the wrong type or out of range, with its key.
    """
    from policies.learner.learner_config import LearnerConfig

    feeding, method = feeding_of(config), method_settings(config)
    raw = {
        "method": method.name,
        "retention": feeding.retention,
        "utd": feeding.utd,
        "batch": feeding.batch,
        **{name: getattr(method, name) for name in ("offline", "critic_only", "person_weight", "corrections")},
        "replay_device": config.replay.device,
        "max_lag": config.robot.max_lag,
        "displace": displace_of(config),
    }
    finetune = plain(config.finetune)
    _require_steps_to_learn_in(finetune)
    require_known(finetune, {entry.name for entry in fields(LearnerConfig)} - {*raw, "agent"}, "finetune")
    return cast(LearnerConfig, build(LearnerConfig, {**finetune, **raw}, "finetune", _KEYS))


def _require_steps_to_learn_in(finetune: Mapping[str, Any]) -> None:
    """Refuse a warm-up that a run never leaves."""
    steps, warmup = finetune.get("steps"), finetune.get("warmup_steps")
    if isinstance(steps, int) and isinstance(warmup, int) and 0 < steps <= warmup:
        raise ConfigError(
            f"finetune.warmup_steps={warmup} leaves none of the finetune.steps={steps} to learn in; expected fewer "
            f"steps of warm-up than steps. Give finetune.steps={4 * warmup} or more, or a shorter warm-up: "
            f"finetune.warmup_steps={steps // 4}. Start the actor with the same."
        )


def require_same_settings(config: DictConfig) -> LearnerConfig:
    """Refuse, before anything is loaded, settings of which the run's learner would say that they have changed.

    Returns:
        The settings of the learner, but for the agent's.

    Raises:
        ConfigError: The run was begun with others, or see `learner_settings`.
        CheckpointError: It sets things down elsewhere, and the policy has no places for that.
    """
    from policies.learner.run_conditions import require_run_conditions

    settings = learner_settings(config)
    places_of(config, lambda line: None)
    run, task = finetune_folder(config), str(config.task.name)
    require_run_conditions(run, settings, online_agent_config(config), task, int(config.seed))
    return settings


def open_learner(config: DictConfig, stack: contextlib.ExitStack, ranks: Ranks = ALONE) -> Learner:
    """The learner of the run, new or resumed.

    Args:
        config: Settings.
        stack: Closes the offline store, where the method keeps offline data.
        ranks: Processes that learn together, of which this is the first.

    Raises:
        CheckpointError: When there is no pre-trained policy.
        ConfigError: When the method doesn't go online, the run was begun with other settings, or has a learner, or
            rewards are shaped by progress of which the run's judge says nothing.
    """
    from policies.agent.compile_choice import Workload
    from policies.learner.learner import Learner
    from policies.learner.run_folder import CHECKPOINT, EPISODES

    spec = spec_of(config)
    require_online(config)
    agent, settings = online_agent_config(config), require_same_settings(config)
    require_trained_like(config, typed_keys(), tqdm.write)  # where its judge is on this machine
    require_unwritten(finetune_folder(config) / EPISODES)
    pretrained = find_policy(config, "pretrained")
    if line := other_robot(config):
        print(line)
    offline = offline_of(config, settings, pretrained, stack)
    updates = max(0, settings.steps - settings.warmup_steps - settings.critic_only)
    work = [Workload(agent.warmup, settings.critic_only, settings.batch, settings.utd)]
    work += [Workload(agent.online, updates, settings.batch, settings.utd)]
    agent = with_compile(agent, config, work, device_of(config), finetune_folder(config) / CHECKPOINT)
    return Learner(
        finetune_folder(config),
        pretrained,
        spec,
        replace(settings, agent=agent),
        offline=offline,
        task=config.task.name,
        wordings=instructions_of(config) if offline else None,
        device=device_of(config),
        seed=int(config.seed),
        calibration=mark_in_use(config),
        notify=lambda line: tqdm.write(f"{SAID}{line}"),
        ranks=ranks,
    )


def offline_of(
    config: DictConfig, settings: LearnerConfig, pretrained: Path, stack: contextlib.ExitStack
) -> list[EpisodeSource]:
    """The stores of offline data, where the method keeps some; closed by `stack`."""
    if settings.retention == 0:
        return []
    offline = kept_sources(config, pretrained, stack)
    return with_progress(config, offline, lambda line: tqdm.write(f"{SAID}{line}")) if settings.shaping else offline


def open_follower(config: DictConfig, stack: contextlib.ExitStack, ranks: Ranks) -> Follower:
    """What a process that isn't the first of several does for the learner.

    Args:
        config: Settings.
        stack: Closes the offline store.
        ranks: Processes that learn together.

    Raises:
        CheckpointError: When there is no pre-trained policy.
        ConfigError: A setting is unknown or out of range.
    """
    from policies.learner.follower import Follower

    settings, pretrained = learner_settings(config), find_policy(config, "pretrained")
    offline = offline_of(config, settings, pretrained, stack)
    return Follower(
        ranks,
        pretrained,
        spec_of(config),
        settings,
        offline=offline,
        task=config.task.name,
        wordings=instructions_of(config) if offline else None,
        device=device_of(config),
        seed=int(config.seed),
    )


def run(config: DictConfig) -> None:
    """Serve and train until the run is complete or stopped; of several processes the first one serves."""
    import torch

    from policies.agent.allocator import keep_freed_memory
    from policies.common.process_group import open_ranks
    from policies.learner.run_learner import run_learner

    threads = learner_threads(config)
    torch.set_num_threads(threads.threads)
    tqdm.write(f"{SAID}{threads.why}")
    keep_freed_memory()
    with contextlib.ExitStack() as stack:
        ranks = stack.enter_context(open_ranks(Launch.of(), device_of(config)))
        if not ranks.first:
            open_follower(config, stack, ranks).run()
            return
        learner = open_learner(config, stack, ranks)
        total = max(1, int(config.finetune.steps) - int(config.finetune.warmup_steps))
        bar = stack.enter_context(tqdm(total=total, desc="learning", unit="update", dynamic_ncols=True))

        def show(status: LearnerStatus) -> None:
            there = f"{status.episodes} episodes, {status.steps} steps, {status.owed} updates behind"
            bar.set_postfix_str(there, refresh=False)
            bar.update(min(status.updates, total) - bar.n)

        complete = run_learner(
            learner,
            config.link.address,
            tls_of(config),
            on_status=show,
            say=lambda line: tqdm.write(f"{SAID}{line}"),
            on_ready=lambda address: tqdm.write(f"{SAID}waiting for actors at {address}"),
        )
    if not complete:
        print(f"{SAID}stopped with a checkpoint; the same command goes on")
