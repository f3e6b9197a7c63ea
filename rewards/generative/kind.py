"""A generative vision-language model as a kind of reward model: nothing is trained, its answers are calibrated."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rewards.certified import CertifiedRules, certified_rules
from rewards.classifier import ImageFeatures, frames_that_count
from rewards.evaluation import figures_table
from rewards.folder import read_folder, write_folder
from rewards.frames import OTHER, SUCCESS
from rewards.gathering import EpisodeRows, Goal, RewardData
from rewards.generative.client import ChatClient
from rewards.generative.config import GenerativeConfig
from rewards.generative.judge import GenerativeReward, ending_of
from rewards.kind import RewardKind
from rewards.rivals.stored_rules import described_rules, require_kind, stored_rules
from rewards.samples import Samples
from rewards.vlm_kind import MODEL_SETTINGS
from trajectories.durable import replace_file
from trajectories.errors import CheckpointError, ConfigError
from trajectories.kinds import AFTERMATH, kind_of
from trajectories.settings import merged
from trajectories.types import DIRECTIONS, Direction, Episode, Float64, RobotSpec

NAME = "generative_vlm"
CALLS_FILE = "calls.jsonl"
"""In the folder of the reward model: a line for every question that was asked."""
_OF_USE = ("address", "key_env", "timeout_s", "retries", "backoff_s", "pair_prompt")
"""Settings that may change between training and use."""


class GenerativeKind(RewardKind):
    """Asks about the end of each recorded episode, and calibrates the answers on known outcomes."""

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
        """Write rules and `training.json`; returns the figures on held-out folds.

        Raises:
            ConfigError: For a wrong setting, a server that refuses the questions, or too few episodes.
            Unanswered: When a question got no answer.
        """
        config = chat_settings(settings, spec)
        client = ChatClient(config, folder / CALLS_FILE)
        goals: list[Goal] = [(task, direction) for direction in DIRECTIONS]
        answers = _Answers(goals, spec, config)
        for episode in episodes:
            if episode.task == task and episode.outcome != "unknown" and kind_of(episode) != AFTERMATH:
                progress(f"asked about {len(answers.episodes)} episodes", 0.0)
                answers.add(episode, client)
        words = {d: dict.fromkeys([*instructions.get(d, ()), *answers.wordings[d]]) for d in DIRECTIONS}
        rules = answers.rules(task, tuple(tuple(words[direction]) for direction in DIRECTIONS))
        known = {text: index for index, direction in enumerate(DIRECTIONS) for text in words[direction]}
        description = described_rules(NAME, config, rules, 1, known, spec)
        write_folder(folder, {"logits": torch.from_numpy(np.array(answers.logits))}, description)
        report = {"config": asdict(config), "task": task, **rules.report}
        replace_file(folder / "training.json", json.dumps(report, indent=1).encode())
        progress("done", 1.0)
        return (
            f"{figures_table(rules.report['held_out'])}\n\n"
            f"Decision: at the end of an episode, one answer with a calibrated probability above "
            f"{rules.threshold.value:.3f}.\n{rules.certificate.words(config.false_positive_rate)}"
        )

    def load(self, folder: Path, spec: RobotSpec, settings: Mapping[str, Any]) -> GenerativeReward:
        """Load the rules; the server is that of the settings, the question that of the training.

        Raises:
            CheckpointError: When the folder is incomplete, damaged or of another kind, or its model or question is
                another than that of the settings: the rules would not hold for it.
            SpecMismatchError: When it was trained for another robot.
        """
        description, _ = read_folder(folder, f"reward model of kind {NAME!r}")
        try:
            require_kind(description, NAME, folder)
            trained = merged(GenerativeConfig(), description["settings"], "reward")
            rules = stored_rules(description, trained.camera, trained.require_open_gripper, frames=1)
        except (KeyError, TypeError, ValueError, ConfigError) as error:
            raise CheckpointError(
                f"The reward model in {folder} is damaged: {error}. Run `regrasp train-reward` again."
            ) from error
        spec.require_same(rules.spec, f"The reward model in {folder}")
        asked = chat_settings(settings, spec)
        for name in ("model", "prompt", "shown", "stride", "side", "quality", "top_logprobs", "max_tokens"):
            if getattr(asked, name) != getattr(trained, name):
                raise CheckpointError(
                    f"The answers in {folder} were calibrated with reward.{name}={getattr(trained, name)!r}, but the "
                    f"settings say {getattr(asked, name)!r}. Give the same, or run `regrasp train-reward` again."
                )
        return GenerativeReward(ChatClient(asked, folder / CALLS_FILE), trained, rules)

    def training_settings(self, settings: Mapping[str, Any], spec: RobotSpec) -> dict[str, Any]:
        """What decides answers and rules; not where the server is and how patiently it is asked."""
        config = asdict(chat_settings(settings, spec))
        return {name: value for name, value in config.items() if name not in _OF_USE}


def chat_settings(settings: Mapping[str, Any], spec: RobotSpec) -> GenerativeConfig:
    """The settings of the group `reward` for this kind; it looks through the robot's first camera unless told.

    Raises:
        ConfigError: For a wrong one.
    """
    raw = {key: value for key, value in settings.items() if key not in MODEL_SETTINGS}
    return merged(replace(GenerativeConfig(), camera=next(iter(spec.cameras))), raw, "reward")


@dataclass
class _Answers:
    """The answers about recorded episodes, in their order."""

    goals: list[Goal]
    spec: RobotSpec
    config: GenerativeConfig

    def __post_init__(self) -> None:
        self.episodes: list[EpisodeRows] = []
        self.logits: list[float] = []
        self.wordings: dict[str, dict[str, None]] = {direction: {} for direction in DIRECTIONS}
        self._seen: Counter[tuple[int, str]] = Counter()

    def add(self, episode: Episode, client: ChatClient) -> None:
        ending, config = ending_of(episode, self.config), self.config
        counts = frames_that_count(episode.proprio[-1:], self.spec, config.require_open_gripper)
        logit = 0.0
        if counts[0]:
            question = config.question(ending.instruction, len(ending.pictures))
            logit = client.ask(question, ending.pictures, ending.about).logit
        self.logits.append(logit)
        self.wordings[episode.direction][episode.instruction] = None
        goal = self.goals.index((episode.task, episode.direction))
        number = self._seen[goal, episode.outcome]
        self._seen[goal, episode.outcome] += 1
        self.episodes.append(
            EpisodeRows(
                id=episode.id,
                goal=goal,
                outcome=episode.outcome,
                rows=np.array([len(self.episodes)]),
                labels=np.array([SUCCESS if episode.outcome == "success" else OTHER], np.int8),
                counts=counts,
                aftermath=False,
                complete=True,
                fold=number % config.folds,
            )
        )

    def rules(self, task: str, wordings: tuple[tuple[str, ...], ...]) -> CertifiedRules:
        """Calibration, threshold and certificate; the model never learned from any episode.

        Raises:
            ConfigError: When there are too few, or the model can't tell them apart.
        """
        for outcome in ("success", "failure"):
            count = sum(episode.outcome == outcome for episode in self.episodes)
            if count < self.config.folds:
                raise ConfigError(
                    f"The answers about {task!r} are calibrated on at least {self.config.folds} episodes marked "
                    f"{outcome}, got {count}. Record more with `regrasp collect`, or lower reward.folds (at least 3)."
                )
        rows = np.arange(len(self.episodes))
        features = ImageFeatures(torch.zeros(len(rows), 0))
        data = RewardData(features, tuple(self.goals), wordings, tuple(self.episodes), {})
        everything = np.ones(len(rows), bool)
        samples = Samples(
            rows=rows,
            texts=np.zeros_like(rows),
            goals=np.array([episode.goal for episode in self.episodes]),
            labels=np.array([episode.outcome == "success" for episode in self.episodes]),
            folds=np.array([episode.fold for episode in self.episodes]),
            known=everything,
            counts=np.array([bool(episode.counts[0]) for episode in self.episodes]),
            own=everything,
            weights=np.ones(len(rows)),
            episodes=np.arange(len(rows) + 1),
        )
        logits = np.array(self.logits)

        def judge(without: frozenset[int], chosen: NDArray[np.bool_]) -> Float64:
            return logits[chosen]

        return certified_rules(data, task, samples, judge, self.config.decision(), lambda: None)
