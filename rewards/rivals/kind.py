"""Makes a kind of reward model of a score: frames, cross-validation, rules, folder and judge are the same for all."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rewards.backbone import Backbone
from rewards.certified import CertifiedRules, certified_rules, judges_to_train
from rewards.config import DecisionConfig, RewardConfig
from rewards.evaluation import figures_table
from rewards.folder import read_folder, write_folder
from rewards.gathering import RewardData, gather
from rewards.kind import RewardKind
from rewards.pairs import cross_pairs, joined, own_pairs
from rewards.rivals.judge import ScoredReward
from rewards.rivals.scorer import Lessons, Scorer, Standardised, score_rows
from rewards.rivals.stored_rules import described_rules, require_kind, stored_rules
from rewards.samples import Wordings, samples_of
from rewards.threads import computing_with
from rewards.vlm_kind import MODEL_SETTINGS, backbone_from, threads_from
from trajectories.durable import replace_file
from trajectories.errors import CheckpointError, ConfigError
from trajectories.settings import merged
from trajectories.types import Direction, Episode, Float64, RobotSpec

Settings = TypeVar("Settings", bound=DecisionConfig)


class RivalKind(RewardKind, Generic[Settings]):
    """A kind of reward model that is a score of single frames on a frozen backbone.

    It learns from the task's own episodes alone; those of other tasks are passed over.

    Attributes:
        name: Of the kind, for messages and files.
        defaults: Its settings, with the paper's values.
        trunk: Whether its scorer needs the input of the backbone's last block.
    """

    name: str
    defaults: Settings
    trunk: bool = False

    @abstractmethod
    def fit(self, lessons: Lessons, config: Settings) -> Scorer:
        """Learn a scorer; the same lessons and settings give the same one.

        Raises:
            ConfigError: When the lessons don't suffice.
        """

    @abstractmethod
    def restore(self, tensors: Mapping[str, Tensor], config: Settings) -> Scorer:
        """The scorer of these tensors, as `Scorer.tensors` gave them.

        Raises:
            KeyError, RuntimeError: When they don't fit.
        """

    def train(
        self,
        episodes: Iterable[Episode],
        task: str,
        instructions: Mapping[Direction, Sequence[str]],
        spec: RobotSpec,
        settings: Mapping[str, Any],
        folder: Path,
        progress: Callable[[str, float], None],
    ) -> str:
        """Write scorer, rules and `training.json`; returns the figures on held-out folds."""
        config, backbone = self._config(settings, spec), backbone_from(settings)
        progress("embedding frames", 0.0)
        own = (episode for episode in episodes if episode.task == task)
        data = gather(own, task, backbone, spec, self._gathering(config), instructions)
        rules, scorer = self._learn(data, task, backbone, config, progress)
        goals = {text: index for index, words in enumerate(data.wordings) for text in words}
        description = described_rules(self.name, config, rules, config.frames, goals, spec) | {
            "backbone": {"name": backbone.name, "digest": backbone.digest},
            "scale": [scorer.centre, scorer.spread],
        }
        write_folder(folder, scorer.scorer.tensors(), description)
        report = {"config": asdict(config), "task": task, **rules.report}
        replace_file(folder / "training.json", json.dumps(report, indent=1).encode())
        progress("done", 1.0)
        return (
            f"{figures_table(rules.report['held_out'])}\n\n"
            f"Decision: {config.frames} frames in a row above {rules.threshold.value:.3f}.\n"
            f"{rules.certificate.words(config.false_positive_rate)}"
        )

    def load(self, folder: Path, spec: RobotSpec, settings: Mapping[str, Any]) -> ScoredReward:
        """Load scorer and rules on the backbone of the settings.

        Raises:
            CheckpointError: When the folder is incomplete, damaged, of another kind or for another backbone.
            SpecMismatchError: When it was trained for another robot.
        """
        description, tensors = read_folder(folder, f"reward model of kind {self.name!r}")
        backbone = backbone_from(settings)
        try:
            self._require_own(description, folder, backbone)
            config = merged(self.defaults, description["settings"], "reward")
            scorer = Standardised(self.restore(_on(backbone, tensors), config), *map(float, description["scale"]))
            rules = stored_rules(description, config.camera, config.require_open_gripper, config.frames)
        except (KeyError, TypeError, ValueError, RuntimeError, ConfigError) as error:
            raise CheckpointError(
                f"The reward model in {folder} is damaged: {error}. Run `regrasp train-reward` again."
            ) from error
        spec.require_same(rules.spec, f"The reward model in {folder}")
        return ScoredReward(scorer, rules, backbone, self.trunk, threads_from(settings))

    def training_settings(self, settings: Mapping[str, Any], spec: RobotSpec) -> dict[str, Any]:
        """All of its own."""
        return asdict(self._config(settings, spec))

    def _config(self, settings: Mapping[str, Any], spec: RobotSpec) -> Settings:
        raw = {key: value for key, value in settings.items() if key not in MODEL_SETTINGS}
        return merged(replace(self.defaults, camera=next(iter(spec.cameras))), raw, "reward")

    def _gathering(self, config: Settings) -> RewardConfig:
        """The decision's settings for `rewards.gathering.gather`: no changed copies of frames."""
        shared = {name: getattr(config, name) for name in DecisionConfig.__dataclass_fields__}
        return RewardConfig(**shared, augmentations=0, finetune_last_block=self.trunk)

    def _learn(
        self,
        data: RewardData,
        task: str,
        backbone: Backbone,
        config: Settings,
        progress: Callable[[str, float], None],
    ) -> tuple[CertifiedRules, Standardised]:
        (own, known), cross = own_pairs(data), cross_pairs(data, backbone, np.random.default_rng(config.seed))
        samples = samples_of(data, Wordings(data, backbone), own, known, cross)
        learnt = joined(own[known], cross)
        judges, done = judges_to_train(config.folds), 0

        def step() -> None:
            nonlocal done
            done += 1
            progress(f"judge {min(done + 1, judges)} of {judges}", 0.5 + 0.5 * done / judges)

        def fitted(without: frozenset[int]) -> Standardised:
            pairs = learnt[~np.isin(learnt.folds, list(without))]
            lessons = Lessons(data, pairs, without)
            with computing_with(1):
                scorer = self.fit(lessons, config)
            return Standardised.over(scorer, lessons)

        def judge(without: frozenset[int], chosen: NDArray[np.bool_]) -> Float64:
            return score_rows(fitted(without), data.features, samples.rows[chosen], samples.goals[chosen])

        progress(f"judge 1 of {judges}", 0.5)
        rules = certified_rules(data, task, samples, judge, config, step)
        return rules, fitted(frozenset())

    def _require_own(self, description: Mapping[str, Any], folder: Path, backbone: Backbone) -> None:
        require_kind(description, self.name, folder)
        trained_on = description["backbone"]
        if trained_on["digest"] != backbone.digest:
            raise CheckpointError(
                f"The reward model in {folder} was trained on backbone {trained_on['name']} "
                f"({trained_on['digest'][:12]}), but {backbone.name} ({backbone.digest[:12]}) is loaded. Load that "
                "backbone, or run `regrasp train-reward` again."
            )


def _on(backbone: Backbone, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.to(backbone.device) for name, tensor in tensors.items()}
