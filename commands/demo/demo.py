"""`regrasp demo`: the whole path, from data to report; stages that are done are not done again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from commands import evaluate_reward, finetune, pretrain, train_reward
from commands.collect import collect
from commands.demo.stages import Stages, chosen
from commands.evaluate.evaluate import Plan, evaluate, is_done
from commands.report import report
from factory.arm import arm_of
from factory.policy import PUBLISHED, require_online
from factory.reward import require_readable_task
from factory.run_folders import (
    evaluation_folder,
    evaluations_folder,
    finetune_folder,
    pretrained_folder,
    snapshots,
)
from factory.twin import TwinSettings


def run(config: DictConfig) -> None:
    """Run what is not done yet, then write the report."""
    require_readable_task(config)
    run_dir = Path(config.run_dir)
    stages = Stages(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, run_dir / "settings.yaml", resolve=True)
    overrides = list(HydraConfig.get().overrides.task)
    require_online(config)
    method = str(config.method.name)
    of_method = "" if config.method.registry is None else f" ({method})"
    robot = ("robot.name", "robot.model", "robot.cameras", "robot.image_size", "robot.randomise", "robot.spread")
    stages.run("collect", lambda: collect.run(config), chosen(config, "task", "seed", *robot, "collect"))
    stages.run(f"pretrain{of_method}", lambda: pretrain.run(config), taught(config))
    stages.run("train reward", lambda: train_reward.run(config), chosen(config, "reward"))
    stages.run("evaluate reward", lambda: evaluate_reward.run(config), chosen(config, "evaluate_reward"), extend=True)
    judged = chosen(config, "evaluate.episodes", "evaluate.modes", "evaluate.seed")
    stages.run(f"evaluate before{of_method}", lambda: _evaluate(config, pretrained_folder(config)), judged, extend=True)
    stages.run(
        f"fine-tune ({method})",
        lambda: finetune.finetune(config, overrides),
        chosen(config, "finetune.steps"),
        extend=True,
    )
    stages.run(
        f"evaluate after ({method})",
        lambda: _evaluate_after(config, run_dir),
        judged | chosen(config, "finetune.steps", "evaluate.curve_episodes"),
        extend=True,
    )
    path = report.write(config, run_dir, stages.seconds)
    print(f"\nReport: {path.resolve()}")


def taught(config: DictConfig) -> dict[str, Any]:
    """What the result of the stage "pretrain" depends on.

    Settings that came later are left out at their defaults: runs that were begun before them go on.
    """
    losses = ("agent.networks", "agent.offline") if config.method.registry is None else PUBLISHED
    settings = chosen(config, "pretrain.encoder_steps", "pretrain.clone_steps", "pretrain.steps", "encoder", *losses)
    later = {"pretrain.held_out": 0, "agent.n_step": 1, "agent.critic_loss": None, "agent.critic_range": None}
    return settings | {name: value for name, value in chosen(config, *later).items() if value != later[name]}


def _evaluate(
    config: DictConfig,
    policy: Path,
    episodes: int | None = None,
    modes: Sequence[str] | None = None,
    videos: int | None = None,
) -> None:
    episodes = int(config.evaluate.episodes) if episodes is None else episodes
    modes = tuple(config.evaluate.modes if modes is None else modes)
    out, seed = evaluation_folder(evaluations_folder(config), policy), int(config.evaluate.seed)
    if is_done(out, policy, episodes, modes, seed, arm_of(config).name):
        return
    films = int(config.evaluate.videos) if videos is None else videos
    plan = Plan(policy, episodes, modes, seed, int(config.task.max_steps), films)
    evaluate(TwinSettings.from_config(config), plan, out, int(config.workers), f"evaluating {policy.name}")


def _evaluate_after(config: DictConfig, run_dir: Path) -> None:
    """The last policy in full, those on the way with fewer episodes for the curve."""
    found = snapshots(finetune_folder(config))
    for _, folder in found[:-1]:
        _evaluate(config, folder, int(config.evaluate.curve_episodes), ("stochastic",), 0)
    _evaluate(config, found[-1][1])
