"""A judge's rules, from held-out episodes, with what they are worth on episodes that nothing was fitted to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rewards.calibration import Calibration, Threshold, sigmoid
from rewards.certificate import Certificate
from rewards.config import DecisionConfig
from rewards.evaluation import frame_figures
from rewards.gathering import RewardData
from rewards.held_out import Judge, Trial, fit_rules, judge_held_out, try_rules
from rewards.samples import Samples
from trajectories.types import Float64


@dataclass(frozen=True)
class CertifiedRules:
    """From logits to decisions, and what these are worth.

    Attributes:
        calibration: Logit to probability.
        threshold: With what rules made like it did on held-out episodes.
        certificate: The same with bounds.
        trust: How far the logits count against the prior, before calibration (`rewards.trust`).
        home: Logit to probability where the arm is home and looks at what it left; None: as anywhere.
        report: "threshold", "certificate" and "held_out" (`rewards.evaluation.frame_figures`) in plain JSON types.
    """

    calibration: Calibration
    threshold: Threshold
    certificate: Certificate
    report: dict[str, Any]
    trust: float = 1.0
    home: Calibration | None = None


def judges_to_train(folds: int) -> int:
    """How many judges cross-validation in K parts trains, with the one that is deployed."""
    return 1 + folds * (folds + 1) // 2


def certified_rules(
    data: RewardData,
    task: str,
    samples: Samples,
    judge: Judge,
    config: DecisionConfig,
    step: Callable[[], None],
    prior: Float64 | None = None,
) -> CertifiedRules:
    """Fit calibration and threshold to judges that never saw the episodes, and try rules made like them.

    Args:
        data: Episodes and their frames.
        task: The task that the rules are for.
        samples: What is judged.
        judge: Trains a judge without some parts and applies it.
        config: Settings.
        step: Called after each judge that was trained.
        prior: float64 (S,) zero-shot logits, against which a judge's have to show their worth; None for judges without.

    Raises:
        ConfigError: When frames or episodes of one kind are missing, or the rules are certainly not what was asked
            for (`rewards.certificate.Certificate.require`).
    """
    held_out = judge_held_out(judge, samples, config.folds, step)
    rules = fit_rules(data, task, samples, held_out.outer, config, prior)
    trial = try_rules(data, task, samples, held_out, config, prior, rules.trust)
    trial.certificate.require(config)
    threshold = trial.certificate.threshold(rules.threshold)
    report = {
        "threshold": asdict(threshold) | {"for_rate_alone": rules.for_rate},
        "trust": rules.trust,
        "certificate": trial.certificate.figures(config.false_positive_rate),
        "held_out": _figures(data, samples, held_out.outer, trial),
    }
    return CertifiedRules(rules.calibration, threshold, trial.certificate, report, rules.trust, rules.home)


def _figures(data: RewardData, samples: Samples, logits: Float64, trial: Trial) -> dict[str, Any]:
    """`frame_figures` of the samples whose label is known."""
    known = samples.known
    tasks = [data.goals[goal][0] for goal in samples.goals[known]]
    return frame_figures(
        labels=samples.labels[known],
        before=np.where(samples.counts, sigmoid(logits), 0.0)[known],
        after=trial.probability[known],
        tasks=tasks,
        kinds=["own instruction" if own else "another instruction" for own in samples.own[known]],
        above=trial.above[known],
    )
