"""`regrasp train-reward`: the success classifier from the store's successes and failures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from factory.reward import backbone_of
from factory.run_folders import data_folder, reward_folder
from factory.spec import spec_of
from trajectories.errors import CorruptEpisodeError
from trajectories.kinds import AFTERMATH, kind_of
from trajectories.store import TrajectoryStore
from trajectories.types import Episode


def episodes_of(store: TrajectoryStore, kinds: tuple[str, ...]) -> Iterator[Episode]:
    """The store's episodes of these kinds, one at a time; damaged ones are reported and left out."""
    for info in store.infos():
        if kind_of(info) in kinds:
            try:
                yield store.read(info.id)
            except CorruptEpisodeError as error:
                tqdm.write(f"left out: {error}")


def run(config: DictConfig) -> None:
    """Train, print the figures on held-out folds, save."""
    import torch

    from rewards.config import RewardConfig
    from rewards.files import save_classifier
    from rewards.training import train_reward

    torch.set_num_threads(int(config.workers))
    settings: dict[str, Any] = OmegaConf.to_container(config.reward, resolve=True)  # type: ignore[assignment]
    backbone = backbone_of(config)
    run_dir, spec = Path(config.run_dir), spec_of(config)
    with (
        TrajectoryStore(data_folder(run_dir), spec, read_only=True) as store,
        tqdm(total=100, desc="training reward", unit="%", dynamic_ncols=True) as bar,
    ):

        def show(stage: str, share: float) -> None:
            bar.set_postfix_str(stage, refresh=False)
            bar.update(100 * share - bar.n)

        trained = train_reward(
            episodes_of(store, ("demo", "failure", "prior", AFTERMATH)),
            config.task.name,
            backbone,
            spec,
            RewardConfig(**{f.name: settings[f.name] for f in fields(RewardConfig) if f.name in settings}),
            show,
        )
    folder = reward_folder(run_dir)
    save_classifier(trained.classifier, folder)
    (folder / "training.json").write_text(json.dumps(trained.report, indent=1))
    print(figures_table(trained.report["held_out"]))
    threshold = trained.report["threshold"]
    print(f"\nDecision: {trained.classifier.frames} frames in a row above {threshold['value']:.3f}. Saved in {folder}")


def figures_table(figures: dict[str, Any]) -> str:
    """Figures by task as lines for a terminal."""
    names = {
        "balanced_accuracy_at_threshold": "bal. accuracy",
        "auroc": "AUROC",
        "false_positives_at_95_recall": "FPR at 95 %",
        "calibration_error_before": "ECE before",
        "calibration_error_after": "ECE after",
    }
    lines = [f"{'task':22}" + "".join(f"{title:>15}" for title in names.values())]
    for task, row in {**figures["by_task"], "all": figures["all"]}.items():
        cells = ["-" if row[key] is None else f"{row[key]:.3f}" for key in names]
        lines.append(f"{task:22}" + "".join(f"{cell:>15}" for cell in cells))
    return "\n".join(lines)
