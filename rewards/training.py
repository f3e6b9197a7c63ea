"""Trains the success classifier: an ensemble over held-out parts, hard negatives, calibration, threshold.

Every member is trained without one part of the episodes and judges exactly that part; calibration and
threshold are fitted to those judgements, so no episode is judged by a network that has seen it, and none is
lost to a hold-out set.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from rewards.backbone import Backbone
from rewards.calibration import Threshold, choose_threshold, fit_calibration, sigmoid
from rewards.classifier import Member, SuccessClassifier
from rewards.config import RewardConfig
from rewards.debounce import sustained
from rewards.evaluation import frame_figures
from rewards.frames import OTHER
from rewards.gathering import RewardData, gather
from rewards.pairs import Pairs, cross_pairs, joined, own_pairs, with_copies
from trajectories.types import Episode, Float64, RobotSpec


@dataclass(frozen=True)
class TrainedReward:
    """The classifier and the figures of its training, in plain JSON types."""

    classifier: SuccessClassifier
    report: dict[str, Any]


def train_reward(
    episodes: Iterable[Episode],
    task: str,
    backbone: Backbone,
    spec: RobotSpec,
    config: RewardConfig | None = None,
    progress: Callable[[str, float], None] = lambda stage, share: None,
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

    Raises:
        ConfigError: When `task` has too few successes or failures for the held-out parts.
    """
    config = config or RewardConfig()
    progress("embedding frames", 0.0)
    data = gather(episodes, task, backbone, spec, config)
    (own, known), cross = own_pairs(data), cross_pairs(data, backbone, np.random.default_rng(config.seed))
    labelled = own[known]
    wordings = [backbone.encode_text(words) for words in data.wordings]
    members = []
    own_logits, cross_logits = np.full(len(own), np.nan), np.full(len(cross), np.nan)
    for fold in range(config.folds):
        progress(f"training member {fold + 1} of {config.folds}", 0.5 + 0.5 * fold / config.folds)
        train = joined(labelled[labelled.folds != fold], cross[cross.folds != fold])
        member = _train_member(train, data, wordings, backbone, config, seed=config.seed + fold)
        members.append(member)
        for pairs, logits in ((own, own_logits), (cross, cross_logits)):
            held_out = pairs.folds == fold
            logits[held_out] = _judge(member, pairs[held_out], data, wordings, backbone)
    target = known & np.array([data.goals[goal][0] == task for goal in own.goals])
    calibration = fit_calibration(own_logits[target], own.labels[target])
    probability = dict(zip(own.rows.tolist(), calibration(own_logits).tolist(), strict=True))
    threshold = _threshold(data, task, probability, config)
    classifier = SuccessClassifier(
        backbone=backbone,
        members=tuple(members),
        calibration=calibration,
        threshold=threshold,
        frames=config.frames,
        camera=config.camera,
        require_open_gripper=config.require_open_gripper,
        spec=spec,
    )
    progress("done", 1.0)
    logits = np.concatenate([own_logits[known], cross_logits])
    calibrated = calibration(logits)
    held_out_figures = frame_figures(
        labels=np.concatenate([labelled.labels, cross.labels]),
        before=sigmoid(logits),
        after=calibrated,
        tasks=[data.goals[goal][0] for goal in (*labelled.goals, *cross.goals)],
        kinds=["own instruction"] * len(labelled) + ["another instruction"] * len(cross),
        above=calibrated >= threshold.value,
    )
    report = {
        "config": asdict(config),
        "task": task,
        "episodes": dict(Counter(episode.outcome for episode in data.episodes)),
        "threshold": asdict(threshold),
        "held_out": held_out_figures,
    }
    return TrainedReward(classifier, report)


def _train_member(
    pairs: Pairs,
    data: RewardData,
    wordings: list[Tensor],
    backbone: Backbone,
    config: RewardConfig,
    seed: int,
) -> Member:
    """Two rounds: first on all negatives alike, then with the ones that the first round got most wrong."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    last_block = backbone.last_block() if config.finetune_last_block else None
    member = Member(backbone.image_width, config.hidden, last_block).to(backbone.device)
    everything = with_copies(pairs, data)
    hard = everything[np.zeros(len(everything), bool)]
    for _ in range(2):
        _fit(member, everything, hard, data, wordings, backbone, config, rng)
        negatives = pairs[~pairs.labels]
        scores = _judge(member, negatives, data, wordings, backbone)
        worst = np.argsort(-scores)[: max(len(negatives) // 20, config.batch // 4)]
        hard = with_copies(negatives[worst], data)
    return member.eval().requires_grad_(False)


def _fit(
    member: Member,
    pairs: Pairs,
    hard: Pairs,
    data: RewardData,
    wordings: list[Tensor],
    backbone: Backbone,
    config: RewardConfig,
    rng: np.random.Generator,
) -> None:
    positives, negatives = pairs[pairs.labels], pairs[~pairs.labels]
    optimiser = torch.optim.AdamW(member.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    half = config.batch // 2
    mined = round(config.mined * half) if len(hard) else 0
    member.train()
    if member.last_block is not None:
        member.last_block.eval()  # batch statistics stay the pre-trained ones
    for step in range(config.steps):
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * 0.5 * (1 + math.cos(math.pi * step / config.steps))
        batch = joined(_draw(positives, half, rng), _draw(negatives, half - mined, rng), _draw(hard, mined, rng))
        logits = _forward(member, batch, data, _texts(batch, wordings, rng), backbone)
        labels = torch.from_numpy(batch.labels).to(logits)
        loss = functional.binary_cross_entropy_with_logits(logits, labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    member.eval()


def _forward(member: Member, pairs: Pairs, data: RewardData, texts: Tensor, backbone: Backbone) -> Tensor:
    features = data.features[torch.from_numpy(pairs.rows).to(data.features.pooled.device)]
    return member(features, texts, backbone.zero_shot(features.pooled, texts))


@torch.no_grad()
def _judge(member: Member, pairs: Pairs, data: RewardData, wordings: list[Tensor], backbone: Backbone) -> Float64:
    """Logits under each goal's first wording."""
    parts = [
        _forward(member, part, data, torch.stack([wordings[goal][0] for goal in part.goals]), backbone)
        for part in (pairs[np.arange(i, min(i + 1024, len(pairs)))] for i in range(0, len(pairs), 1024))
    ]
    return torch.cat(parts).double().cpu().numpy() if parts else np.zeros(0)


def _draw(pairs: Pairs, count: int, rng: np.random.Generator) -> Pairs:
    return pairs[rng.integers(len(pairs), size=count)] if count else pairs[np.zeros(0, np.int64)]


def _texts(pairs: Pairs, wordings: list[Tensor], rng: np.random.Generator) -> Tensor:
    """A random wording of each pair's goal: (N, E)."""
    draws = rng.random(len(pairs))
    return torch.stack(
        [wordings[goal][int(u * len(wordings[goal]))] for goal, u in zip(pairs.goals, draws, strict=True)]
    )


def _threshold(data: RewardData, task: str, probability: dict[int, float], config: RewardConfig) -> Threshold:
    """Choose it from the target task's episodes, each judged by the member that has not seen it.

    A failure counts against it with all its frames, a success with those before it may have succeeded; a
    success is found by its remaining frames.
    """
    negatives: list[float] = []
    positives: list[float] = []
    for episode in data.episodes:
        if data.goals[episode.goal][0] != task or not episode.complete or episode.aftermath:
            continue
        values = [probability[row] for row in episode.rows.tolist()]
        series = np.where(episode.counts, values, 0.0)
        before = episode.labels == OTHER
        negatives.append(float(sustained(series[before], config.frames).max(initial=0.0)))
        if episode.outcome == "success":
            positives.append(float(sustained(series[~before], config.frames).max(initial=0.0)))
    return choose_threshold(
        negatives, positives, config.false_positive_rate, config.least_recall, config.least_probability
    )
