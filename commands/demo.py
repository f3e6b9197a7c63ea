"""`regrasp demo`: the whole path in the twin, and a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from commands import collect, evaluate_reward, finetune, pretrain, report, train_reward
from commands.checkpoints import finetune_folder, pretrained_folder, snapshots
from commands.evaluate import evaluate
from commands.stages import Stages
from commands.twins import TwinSettings


def run(config: DictConfig) -> None:
    """Run what is not done yet, then write the report."""
    run_dir = Path(config.run_dir)
    stages = Stages(run_dir)
    OmegaConf.save(config, run_dir / "settings.yaml", resolve=True)
    overrides = list(HydraConfig.get().overrides.task)
    stages.run("collect", lambda: collect.run(config))
    stages.run("pretrain", lambda: pretrain.run(config))
    stages.run("train reward", lambda: train_reward.run(config))
    stages.run("evaluate reward", lambda: evaluate_reward.run(config))
    stages.run("evaluate before", lambda: _evaluate(config, pretrained_folder(run_dir), "pretrained"))
    stages.run("fine-tune", lambda: finetune.finetune(config, overrides))
    stages.run("evaluate after", lambda: _evaluate_after(config, run_dir))
    path = report.write(config, run_dir, stages.seconds)
    print(f"\nReport: {path.resolve()}")


def _evaluate(
    config: DictConfig,
    policy: Path,
    name: str,
    episodes: int | None = None,
    modes: Sequence[str] | None = None,
    videos: int | None = None,
) -> None:
    evaluate(
        TwinSettings.from_config(config),
        policy,
        Path(config.run_dir) / "evaluations" / name,
        episodes=int(config.evaluate.episodes) if episodes is None else episodes,
        modes=tuple(config.evaluate.modes if modes is None else modes),
        seed=int(config.evaluate.seed),
        max_steps=int(config.task.max_steps),
        workers=int(config.workers),
        videos=int(config.evaluate.videos) if videos is None else videos,
        title=f"evaluating {name}",
    )


def _evaluate_after(config: DictConfig, run_dir: Path) -> None:
    """The last policy in full, those on the way with fewer episodes for the curve."""
    found = snapshots(finetune_folder(run_dir, config.method.name))
    for steps, folder in found[:-1]:
        _evaluate(config, folder, f"step_{steps}", int(config.evaluate.curve_episodes), ("stochastic",), 0)
    _evaluate(config, found[-1][1], f"step_{found[-1][0]}")
