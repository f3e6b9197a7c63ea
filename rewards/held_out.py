"""Cross-validation: every episode is judged by an ensemble that never saw it, by rules that never saw it.

Calibration and threshold are of the mean of an ensemble, as it is deployed: each part of the episodes is judged by an
ensemble that learned from all the others, and the rules are fitted to those judgements. What rules made like this are
worth is measured one level further out: for each part they are made anew from ensembles that knew nothing of that
part, neither in training nor as held-out judgements, and are tried on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from rewards.calibration import Calibration, choose_threshold, fit_calibration
from rewards.certificate import Certificate, by_chance
from rewards.config import DecisionConfig
from rewards.debounce import sustained
from rewards.frames import OTHER
from rewards.gathering import RewardData
from rewards.samples import Samples
from rewards.trust import choose_trust, mixed
from trajectories.errors import ConfigError
from trajectories.types import Float64

LEAST_LOOKS = 4
"""Episodes of each outcome whose scenes were looked at from home, for a calibration of its own."""
Judge = Callable[[frozenset[int], NDArray[np.bool_]], Float64]
"""Parts that an ensemble must not learn from, samples (S,) -> its logits of those samples."""


@dataclass(frozen=True)
class HeldOutLogits:
    """Logits of the S samples by ensembles that did not learn from their part.

    Attributes:
        outer: float64 (S,) by the ensemble that learned from all other parts.
        inner: float64 (K, S); row f by ensembles that did not learn from part f either, NaN in part f itself.
    """

    outer: Float64
    inner: Float64


def judge_held_out(judge: Judge, samples: Samples, folds: int, step: Callable[[], None]) -> HeldOutLogits:
    """Judge every sample by ensembles that never saw its part.

    Args:
        judge: Trains an ensemble and applies it.
        samples: S samples.
        folds: Number of parts K.
        step: Called after each of the K + K (K - 1) / 2 ensembles.
    """
    outer, inner = np.full(len(samples), np.nan), np.full((folds, len(samples)), np.nan)
    for fold in range(folds):
        mine = samples.folds == fold
        outer[mine] = judge(frozenset({fold}), mine)
        step()
    for a, b in combinations(range(folds), 2):
        both = np.isin(samples.folds, (a, b))
        logits = np.full(len(samples), np.nan)
        logits[both] = judge(frozenset({a, b}), both)
        inner[a, samples.folds == b] = logits[samples.folds == b]
        inner[b, samples.folds == a] = logits[samples.folds == a]
        step()
    return HeldOutLogits(outer, inner)


@dataclass(frozen=True)
class Rules:
    """From logits to decisions.

    Attributes:
        calibration: Logit to probability.
        threshold: What consecutive probabilities must reach.
        for_rate: The threshold that the stated false-positive rate alone asks for, before recall and floor.
        trust: How far the logits count against the prior (`rewards.trust`), before calibration; 1 without one.
        home: Logit to probability where the arm is home and looks at what it left (`fit_home`).
    """

    calibration: Calibration
    threshold: float
    for_rate: float
    trust: float = 1.0
    home: Calibration | None = None

    def probability(self, logits: Float64, prior: Float64 | None) -> Float64:
        """Calibrated probabilities (S,) of logits and, where there is one, their prior (S,)."""
        return self.calibration(mixed(logits, prior, self.trust))


def fit_rules(
    data: RewardData,
    task: str,
    samples: Samples,
    logits: Float64,
    config: DecisionConfig,
    prior: Float64 | None = None,
) -> Rules:
    """Calibration and threshold from held-out logits (S,) of the task's own frames; samples of NaN are left out.

    Calibration is of the frames that count towards done, all others never get a probability. The threshold is of
    whole episodes: a failure counts against it with all its frames, a success with those before it may have
    succeeded, both under the wording that they get furthest with; a success is found by its remaining frames, under
    the wording that finds it least.

    Args:
        data: Episodes.
        task: The task that the rules are for.
        samples: S samples.
        logits: float64 (S,).
        config: Settings.
        prior: float64 (S,) zero-shot logits, against which the others have to show their worth; None where there are
            none.

    Raises:
        ConfigError: When frames or episodes of one kind are missing.
    """
    tasks = np.array([data.goals[goal][0] == task for goal in samples.goals])
    usable = samples.own & samples.known & samples.counts & tasks & np.isfinite(logits)
    if not samples.labels[usable].any():
        raise ConfigError(
            f"The gripper is commanded closed in every frame that shows {task!r} done, and with "
            "reward.require_open_gripper such frames never count. Go on for some steps after letting go, or set "
            "reward.require_open_gripper=false for a task that ends with the gripper closed."
        )
    if samples.labels[usable].all():
        raise ConfigError(
            f"No frame that shows {task!r} not done says anything: in all of them the gripper is commanded closed, and "
            "with reward.require_open_gripper such frames never count, or it had let go for the last time before a "
            "success. Record episodes that fail with the gripper open, or set reward.require_open_gripper=false."
        )
    labels, weights, trust = samples.labels[usable], samples.weights[usable], 1.0
    if prior is not None:
        trust = choose_trust(logits[usable], prior[usable], labels, weights, samples.episode_of()[usable])
    scores = mixed(logits, prior, trust)
    calibration = fit_calibration(scores[usable], labels, weights)
    probability = calibration(scores)
    seen = [spans for spans in episode_spans(data, task, samples, probability, config.frames) if spans.judged]
    choice = choose_threshold(
        [float(spans.before.max()) for spans in seen if spans.before is not None],
        [float(spans.after.min()) for spans in seen if spans.success],
        config.false_positive_rate,
        config.least_recall,
        config.least_probability,
    )
    return Rules(calibration, choice.value, choice.for_rate, trust, fit_home(data, samples, scores, usable))


def fit_home(data: RewardData, samples: Samples, scores: Float64, usable: NDArray[np.bool_]) -> Calibration | None:
    """Calibration of the frames from home alone; None where too few episodes of either outcome were looked at.

    Each episode counts once, since the frames of a scene at rest are alike, and both outcomes weigh alike: while a task
    is tried one frame in twenty may show it done, and the other calibration says so; what an episode left is as likely
    done as not.

    Args:
        data: Episodes.
        samples: S samples.
        scores: float64 (S,).
        usable: bool (S,) samples that may be learned from.
    """
    of = samples.episode_of()
    mine = usable & np.array([*(episode.aftermath for episode in data.episodes), False])[of]
    labels, looks = samples.labels[mine], of[mine]
    counts = {label: len(np.unique(looks[labels == label])) for label in (True, False)}
    if min(counts.values()) < LEAST_LOOKS:
        return None
    once = samples.weights[mine] / np.bincount(looks, samples.weights[mine])[looks]
    half = 0.5 * sum(counts.values())
    return fit_calibration(scores[mine], labels, once * half / np.where(labels, counts[True], counts[False]))


@dataclass(frozen=True)
class EpisodeSpans:
    """How far an episode's frames get: the highest threshold that consecutive ones all reach.

    Attributes:
        fold: Part that it belongs to.
        direction: Of its goal.
        success: Whether it succeeded.
        before: float64 (W,) of the frames in which it surely is not done, under each wording; None where those are too
            few for any decision.
        after: float64 (W,) of its other frames, -inf where there are too few.
        judged: Whether there are probabilities of it.
    """

    fold: int
    direction: str
    success: bool
    before: Float64 | None
    after: Float64
    judged: bool


def episode_spans(
    data: RewardData, task: str, samples: Samples, probability: Float64, frames: int
) -> Iterator[EpisodeSpans]:
    """The task's whole episodes, those aside in which the arm only looks at what it left.

    Args:
        data: Episodes.
        task: Whose episodes.
        samples: S samples.
        probability: float64 (S,), NaN where there is none.
        frames: Consecutive frames that a decision needs.
    """
    gated = np.where(samples.counts, probability, -np.inf)
    for index, episode in enumerate(data.episodes):
        if data.goals[episode.goal][0] != task or not episode.complete or episode.aftermath:
            continue
        series, before = samples.series(gated, index), episode.labels == OTHER
        yield EpisodeSpans(
            episode.fold,
            data.goals[episode.goal][1],
            episode.outcome == "success",
            _furthest(series[before], frames) if before.sum() >= frames else None,
            _furthest(series[~before], frames),
            bool(np.isfinite(samples.series(probability, index)).all()),
        )


def _furthest(series: Float64, frames: int) -> Float64:
    """(T, W) -> (W,)."""
    return np.array([sustained(column, frames).max(initial=-np.inf) for column in series.T])


@dataclass(frozen=True)
class Trial:
    """What rules do on episodes that nothing was fitted to.

    Attributes:
        probability: float64 (S,) by rules that never saw the sample's part; 0 where a frame does not count.
        above: bool (S,) whether that reaches their threshold.
        certificate: What becomes of whole episodes: a failure, or the part of another one before success, is called
            done when any wording says so, a success is found when every wording says so.
    """

    probability: Float64
    above: NDArray[np.bool_]
    certificate: Certificate


def try_rules(
    data: RewardData,
    task: str,
    samples: Samples,
    logits: HeldOutLogits,
    config: DecisionConfig,
    prior: Float64 | None = None,
    trust: float = 1.0,
) -> Trial:
    """For each part: make rules without it, then judge it by them.

    Args:
        data: As of `fit_rules`, likewise what follows.
        task: See there.
        samples: See there.
        logits: By judges that did not learn from the samples' parts.
        config: See there.
        prior: See there.
        trust: That of the rules for all parts: how episodes are ranked to see whether chance might do so, too.

    Raises:
        ConfigError: As `fit_rules`.
    """
    probability, above = np.full(len(samples), np.nan), np.zeros(len(samples), bool)
    stopped, found = [], list[tuple[str, bool]]()
    for fold in range(config.folds):
        rules = fit_rules(data, task, samples, logits.inner[fold], config, prior)
        mine = samples.folds == fold
        values = np.where(mine, rules.probability(logits.outer, prior), np.nan)
        probability[mine] = np.where(samples.counts, values, 0.0)[mine]
        above[mine] = (samples.counts & (values >= rules.threshold))[mine]
        for spans in episode_spans(data, task, samples, values, config.frames):
            if spans.fold == fold:
                if spans.before is not None:
                    stopped.append(bool((spans.before >= rules.threshold).any()))
                if spans.success:
                    found.append((spans.direction, bool((spans.after >= rules.threshold).all())))
    each = {name: [hit for direction, hit in found if direction == name] for name in dict(found)}
    hits = {name: (sum(row), len(row)) for name, row in each.items()}
    scores = mixed(logits.outer, prior, trust)
    count, chance = sum(hit for _, hit in found), _ranked_by_chance(data, task, samples, scores, config)
    return Trial(probability, above, Certificate(sum(stopped), len(stopped), count, len(found), hits, chance))


def _ranked_by_chance(data: RewardData, task: str, samples: Samples, scores: Float64, config: DecisionConfig) -> float:
    """`rewards.certificate.by_chance` of how far successes get after, and all episodes before success."""
    spans = list(episode_spans(data, task, samples, scores, config.frames))
    after = [float(one.after.min()) for one in spans if one.success]
    return by_chance(after, [float(one.before.max()) for one in spans if one.before is not None])
