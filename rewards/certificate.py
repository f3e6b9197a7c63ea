"""What held-out episodes say for sure about a threshold: one-sided bounds, in words for a person, and refusals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scipy.special import betaincinv

from rewards.calibration import Threshold
from rewards.config import DecisionConfig
from trajectories.errors import ConfigError

CONFIDENCE = 0.95
"""Of the bounds that a certificate states."""
CERTAINTY = 0.99
"""Of the bounds that a judge is refused by."""
LIKELY_CHANCE = 0.05 + 1e-9
"""A judge that decides no better than chance is refused where chance ranks as well as it does more often than this.
Three successes above three failures are just enough."""
LEAST_USEFUL_RECALL = 0.5
"""A judge that surely misses more than this share of the successes is refused: most of what succeeds would be learned
as failure."""


def highest_rate(count: int, of: int, confidence: float = CONFIDENCE) -> float:
    """One-sided upper bound of a binomial rate after `count` hits in `of` (Clopper and Pearson 1934)."""
    return 1.0 if count >= of else float(betaincinv(count + 1, of - count, confidence))


def lowest_rate(count: int, of: int, confidence: float = CONFIDENCE) -> float:
    """One-sided lower bound, likewise."""
    return 0.0 if count <= 0 else float(betaincinv(count, of - count + 1, 1.0 - confidence))


def episodes_to_certify(rate: float) -> int:
    """Episodes, none of them a hit, from which the upper bound is at most `rate`: (1 - rate)^n <= 1 - confidence."""
    return math.ceil(math.log(1.0 - CONFIDENCE) / math.log(1.0 - rate) - 1e-9)


def by_chance(positives: Sequence[float], negatives: Sequence[float]) -> float:
    """How likely values that say nothing put the positives above the negatives at least as well as these do.

    The one-sided p-value of Mann and Whitney's test (1947); 1 where all values are alike.
    """
    if len({*positives, *negatives}) < 2:
        return 1.0
    from scipy.stats import mannwhitneyu  # takes longer to import than all the rest of the room but torch

    return float(mannwhitneyu(positives, negatives, alternative="greater").pvalue)


@dataclass(frozen=True)
class Certificate:
    """What a judge does on episodes that nothing was fitted to (`rewards.held_out.try_rules`).

    Attributes:
        stopped: Episodes without success, and beginnings of others, that were called done.
        negatives: Number of those.
        found: Successes that were called done.
        positives: Number of those.
        directions: Direction -> how many successes were found there, and of how many.
        chance: How likely scores that say nothing rank successes above the others at least as well as this judge's
            (`by_chance`).
    """

    stopped: int
    negatives: int
    found: int
    positives: int
    directions: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    chance: float = 0.0

    def threshold(self, value: float) -> Threshold:
        """The threshold with these figures."""
        return Threshold(
            value, self.stopped / self.negatives, self.found / self.positives, self.negatives, self.positives
        )

    def certifies(self, rate: float) -> bool:
        """Whether at most `rate` of the episodes without success are stopped, with `CONFIDENCE`."""
        return highest_rate(self.stopped, self.negatives) <= rate

    def figures(self, rate: float) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "stopped": self.stopped,
            "negatives": self.negatives,
            "false_positive_rate_at_most": highest_rate(self.stopped, self.negatives),
            "found": self.found,
            "positives": self.positives,
            "recall_at_least": lowest_rate(self.found, self.positives),
            "found_by_direction": {name: list(counts) for name, counts in self.directions.items()},
            "ranked_by_chance": self.chance,
            "confidence": CONFIDENCE,
            "stated_rate": rate,
            "certified": self.certifies(rate),
        }

    def words(self, rate: float) -> str:
        """Rate, recall and numbers, and whether the stated rate is certified, as lines for a person."""
        sure = f"{100 * CONFIDENCE:.0f} % confidence"
        lines = [
            f"On episodes that nothing was fitted to: {self.stopped} of {self.negatives} without success called done "
            f"({100 * self.stopped / self.negatives:.1f} %, at most "
            f"{100 * highest_rate(self.stopped, self.negatives):.1f} % with {sure}), {self.found} of {self.positives} "
            f"successes found ({100 * self.found / self.positives:.0f} %, at least "
            f"{100 * lowest_rate(self.found, self.positives):.0f} %)."
        ]
        asked, needed = f"{100 * rate:g} %", episodes_to_certify(rate)
        if self.certifies(rate):
            lines.append(f"False positives: at most the stated {asked}, with {sure}.")
        elif self.negatives < needed:
            lines.append(
                f"n too small to certify {asked}: {self.negatives} episodes without success, and it takes {needed} "
                "with none of them called done. Record more failures, or state a rate that they can show "
                "(reward.false_positive_rate)."
            )
        else:
            lines.append(f"False positives: the stated {asked} is not certified.")
        return "\n".join(lines)

    def require(self, config: DecisionConfig) -> None:
        """Refuse a judge that is certainly not what was asked for, or that can't tell successes from failures at all.

        One whose scores say nothing is calibrated to the share of successes, so that it calls either nothing done or
        everything; few episodes make neither certain. One that calls nothing done, but scores successes higher, only
        lacks the episodes to be sure of.

        Raises:
            ConfigError: When more than `config.false_positive_rate` of the episodes without success, or less than
                `LEAST_USEFUL_RECALL` of the successes, are called done with `CERTAINTY`, or when the successes are
                called done no more often than the others and chance alone might score them so. Says what to do.
        """
        sure = f"with {100 * CERTAINTY:.0f} % confidence"
        if lowest_rate(self.stopped, self.negatives, CERTAINTY) > config.false_positive_rate:
            raise ConfigError(
                f"The judge would call failures done: {self.stopped} of {self.negatives} held-out episodes without "
                f"success, at least {100 * lowest_rate(self.stopped, self.negatives, CERTAINTY):.1f} % {sure}, and "
                f"reward.false_positive_rate is {100 * config.false_positive_rate:g} %. It was not saved. Record more "
                "failures of the kind that look like success, raise reward.least_probability (at the cost of recall), "
                "give a larger backbone, or state the rate that you accept."
            )
        for name, (found, positives) in {"": (self.found, self.positives), **self.directions}.items():
            if highest_rate(found, positives, CERTAINTY) >= LEAST_USEFUL_RECALL:
                continue
            raise ConfigError(
                f"The judge would miss most successes{f' of the {name} task' if name else ''}: it found {found} of "
                f"{positives} held-out ones, at most {100 * highest_rate(found, positives, CERTAINTY):.0f} % {sure}. "
                "It was not saved. A decision takes "
                f"reward.frames={config.frames} frames in a row that count, of those after success: "
                f"only the last reward.success_frames={config.success_frames} and the reward.gap={config.gap} before "
                "them, with the gripper open unless reward.require_open_gripper=false. Lower reward.frames, or record "
                "demonstrations that go on for longer after success. If that is not it, the judge can't see the "
                "difference: record more of both kinds, or give a larger backbone."
            )
        if self.found * self.negatives <= self.stopped * self.positives and self.chance > LIKELY_CHANCE:
            raise ConfigError(
                f"The judge can't tell successes from failures: it called {self.found} of {self.positives} held-out "
                f"successes done, and {self.stopped} of {self.negatives} episodes without success, and it scores "
                "successes no higher than chance might. It was not saved. See whether its cameras show what makes the "
                "difference and whether the recorded outcomes are right, record more of both kinds, or give another "
                "model (reward.backbone; of a model at an address reward.model or reward.prompt)."
            )
