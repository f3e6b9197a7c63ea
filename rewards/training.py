"""Trains the success classifier: an ensemble, its calibration, its threshold, and what they are worth.

The ensemble learns from all episodes. Its rules are fitted to the judgements of ensembles that were trained like it,
each without one part of the episodes, and are tried on episodes that nothing was fitted to (`rewards.held_out`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rewards.backbone import Backbone
from rewards.certificate import Certificate
from rewards.certified import certified_rules, judges_to_train
from rewards.classifier import SuccessClassifier
from rewards.config import RewardConfig
from rewards.doubt_fitting import fit_doubt
from rewards.ensemble import EnsembleTrainer
from rewards.gathering import gather
from rewards.pairs import cross_pairs, joined, own_pairs
from rewards.readable import require_readable
from rewards.samples import Wordings, samples_of
from trajectories.types import Direction, Episode, Float64, RobotSpec


@dataclass(frozen=True)
class TrainedReward:
    """The classifier, what its threshold is worth, and the figures of its training in plain JSON types."""

    classifier: SuccessClassifier
    certificate: Certificate
    report: dict[str, Any]


def train_reward(
    episodes: Iterable[Episode],
    task: str,
    backbone: Backbone,
    spec: RobotSpec,
    config: RewardConfig | None = None,
    progress: Callable[[str, float], None] = lambda stage, share: None,
    instructions: Mapping[Direction, Sequence[str]] | None = None,
) -> TrainedReward:
    """Train, calibrate and threshold a success classifier.

    Args:
        episodes: Demonstrations and failures of `task` in both directions, and prior data; read once, one at
            a time.
        task: The task that calibration and threshold are for.
        backbone: The frozen vision-language model.
        spec: The robot that recorded the episodes.
        config: Settings.
        progress: Called with the name of the stage and the share of the whole that is done.
        instructions: Direction -> wordings of `task` that shall be judged, beside those that were recorded.

    Raises:
        ConfigError: When `task` has too few successes or failures for the held-out parts, or the threshold is
            certainly not what was asked for (`rewards.certificate`), or the backbone can't read an instruction
            (`rewards.readable`).
    """
    config = config or RewardConfig()
    progress("embedding frames", 0.0)
    data = gather(episodes, task, backbone, spec, config, instructions)
    require_readable(backbone, dict(zip(data.goals, data.wordings, strict=True)))
    (own, known), cross = own_pairs(data), cross_pairs(data, backbone, np.random.default_rng(config.seed))
    wordings = Wordings(data, backbone)
    samples = samples_of(data, wordings, own, known, cross)
    trainer, learnt = EnsembleTrainer(data, wordings, backbone, config), joined(own[known], cross)
    ensembles, done = judges_to_train(config.folds), 0

    def step() -> None:
        nonlocal done
        done += 1
        progress(f"ensemble {min(done + 1, ensembles)} of {ensembles}", 0.5 + 0.5 * done / ensembles)

    def judge(without: frozenset[int], chosen: NDArray[np.bool_]) -> Float64:
        ensemble = trainer.train(learnt[~np.isin(learnt.folds, list(without))])
        return trainer.logits(ensemble, samples.rows[chosen], samples.texts[chosen])

    progress(f"ensemble 1 of {ensembles}", 0.5)
    prior = trainer.zero_shot(samples.rows, samples.texts)
    rules = certified_rules(data, task, samples, judge, config, step, prior)
    deployed = trainer.train(learnt)
    classifier = SuccessClassifier(
        backbone=backbone,
        members=deployed.members,
        time=deployed.time,
        trust=rules.trust,
        home=rules.home,
        calibration=rules.calibration,
        threshold=rules.threshold,
        frames=config.frames,
        cameras=config.views,
        require_open_gripper=config.require_open_gripper,
        spec=spec,
        wordings=tuple(
            text for (name, _), words in zip(data.goals, data.wordings, strict=True) if name == task for text in words
        ),
        doubt=fit_doubt(data, task, config),
    )
    progress("done", 1.0)
    report = {
        "config": asdict(config),
        "task": task,
        "wordings": {"/".join(goal): list(words) for goal, words in zip(data.goals, data.wordings, strict=True)},
        "episodes": dict(Counter(episode.outcome for episode in data.episodes)),
    }
    return TrainedReward(classifier, rules.certificate, report | rules.report)
