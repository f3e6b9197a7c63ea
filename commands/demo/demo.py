"""`regrasp demo`: the whole path, from data to report; stages that are done are not done again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from commands import evaluate_reward, finetune, pretrain, train_reward
from commands.collect import collect
from commands.demo.evaluating_beside import evaluate_on_the_way, evaluating_beside, spare_workers
from commands.demo.stages import Stage, Stages, chosen, flat
from commands.evaluate.evaluate import evaluate_in_twin, plan_of
from commands.report import report
from factory.displacing import AUTO
from factory.policy import agent_config, encoder_config, require_online
from factory.reward import kind_name, require_readable_task
from factory.run_folders import (
    finetune_folder,
    pretrained_folder,
    snapshots,
)
from trajectories.durable import replace_file
from trajectories.writer_lock import only_writer, require_no_writer

_SESSION = ("robot.help_after", "robot.max_lag", "task.displace")
"""What only a session of fine-tuning reads."""
_AMOUNTS = ("evaluate.episodes", "evaluate.curve_episodes", "finetune.steps")
_ELSEWHERE = ("reward.allow_download", "finetune.snapshot_every", "finetune.accept_changes")
"""Groups that fine-tuning reads have these, which don't decide what it learns."""
_ONLINE = ("pretrain.held_out_every", "pretrain.checkpoint_every")
"""Settings of pre-training that don't decide what it learns."""


def run(config: DictConfig) -> None:
    """Run what is not done yet, then write the report."""
    run_dir, overrides = Path(config.run_dir), list(HydraConfig.get().overrides.task)
    require_online(config)
    stages, planned = Stages(run_dir, other_profile(config)), stages_of(config, overrides)
    for stage in planned:
        stages.check(stage)  # before anything is loaded, done or written
    for folder in (run_dir, finetune_folder(config)):
        require_no_writer(folder)
    require_readable_task(config)
    with only_writer(run_dir):
        run_dir.mkdir(parents=True, exist_ok=True)
        replace_file(settings_file(config), OmegaConf.to_yaml(config, resolve=True).encode())
        for stage in planned:
            stages.run(stage)
        command = shlex.join(["regrasp", "demo", *overrides])
        path = report.write(config, run_dir, stages.seconds, command, settings_file(config))
    print(f"\nReport: {path.resolve()}")


def other_profile(config: DictConfig) -> str:
    """The profile that a demo in the run folder was last done with, "profile=NAME", where it is not that of `config`.

    Empty where it is the same, or no file says it.
    """
    for path in sorted(Path(config.run_dir).glob("settings*.yaml")):
        with suppress(OSError, YAMLError, OmegaConfBaseException):
            name = OmegaConf.select(OmegaConf.load(path), "profile")
            if name is not None:
                return "" if name == config.profile else f"profile={name}"
    return ""


def settings_file(config: DictConfig) -> Path:
    """Where the settings are written that the method was trained with in this run folder."""
    name = "settings.yaml" if config.method.name == "regrasp" else f"settings_{config.method.name}.yaml"
    return Path(config.run_dir) / name


def stages_of(config: DictConfig, overrides: Sequence[str]) -> list[Stage]:
    """The stages with what each depends on: whole groups of settings, so that new ones count without being named here.

    Left out is what only says where and how fast things are done. A stage depends on those before it, too, which refuse
    what they weren't done with.

    Args:
        config: All settings.
        overrides: What makes child processes compose the same settings.
    """
    method = str(config.method.name)
    of_method = "" if config.method.registry is None else f" ({method})"
    kind = {"reward.kind": kind_name(config)}
    judged = chosen(config, "task", "robot", "evaluate", without=(*_SESSION, *_AMOUNTS))
    learned = chosen(config, "robot", "reward", "method", "finetune", without=(*_ELSEWHERE, *_AMOUNTS)) | kind
    if config.task.get("displace", 0) not in (0, AUTO):
        learned["task.displace"] = config.task.displace
    before = Stage(
        f"evaluate before{of_method}",
        lambda: evaluate_in_twin(config, plan_of(config, pretrained_folder(config))),
        judged,
        chosen(config, "evaluate.episodes"),
        again=True,
    )
    tune = Stage(
        f"fine-tune ({method})",
        lambda: _finetune(config, overrides),
        learned | losses(config),
        chosen(config, "finetune.steps"),
    )
    return [
        Stage(
            "collect", lambda: collect.run(config), chosen(config, "task", "seed", "robot", "collect", without=_SESSION)
        ),
        Stage(f"pretrain{of_method}", lambda: pretrain.run(config), taught(config)),
        Stage(
            "train reward",
            lambda: train_reward.run(config),
            chosen(config, "reward", without=("reward.allow_download",)) | kind,
        ),
        Stage("evaluate reward", lambda: evaluate_reward.run(config), chosen(config, "evaluate_reward"), again=True),
        *((tune, before) if spare_workers(config) else (before, tune)),
        Stage(
            f"evaluate after ({method})",
            lambda: _evaluate_after(config),
            judged,
            chosen(config, *_AMOUNTS),
            again=True,
        ),
    ]


def taught(config: DictConfig) -> dict[str, Any]:
    """What the result of the stage "pretrain" depends on."""
    own = ("method.registry", "method.family", "method.hidden", "method.batch", "method.initial_temperature")
    encoder = encoder_config(config)
    unread = () if encoder is None or encoder.keypoints else ("pretrain.shrink_places",)
    without = (*_ONLINE, *unread)
    settings = chosen(config, "pretrain", "encoder", *own, "reward.backbone", "reward.pretrained", without=without)
    return settings | losses(config, without=("compile", "online", "warmup"))


def losses(config: DictConfig, without: Sequence[str] = ("compile",)) -> dict[str, Any]:
    """Networks, losses and optimisers as they come out of the settings, defaults included, but for some parts."""
    agent = agent_config(config)
    whole = agent.to_dict() | {"n_step": agent.n_step, "actor_average": agent.actor_average}
    for phase in ("warmup", "online"):
        whole[phase] |= {"start_spread": agent.phase(phase).start_spread}
    return flat("agent", {name: value for name, value in whole.items() if name not in without})


def _finetune(config: DictConfig, overrides: Sequence[str]) -> None:
    """Fine-tune; where cores are left, what is to be evaluated is evaluated meanwhile."""
    with evaluating_beside(config):
        finetune.finetune(config, list(overrides))


def _evaluate_after(config: DictConfig) -> None:
    """The last policy in full, those on the way with fewer episodes for the curve."""
    evaluate_on_the_way(config)
    evaluate_in_twin(config, plan_of(config, snapshots(finetune_folder(config))[-1][1]))
