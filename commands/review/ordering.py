"""Which judged episodes a person should look at first: the doubtful and the surprising ones. Pure functions.

Each clue is worth 0 ... 1 times its weight below; an episode's doubt is the sum. Episodes that nobody has spoken about
come before all others, among equals the newest first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from rewards.debounce import sustained
from trajectories.types import DIRECTIONS, Direction, Float32, Outcome
from trajectories.verdicts import Verdict

AT_ODDS, UNDECIDED, NEAR, LONG_UNSURE, UNUSUAL = 3.0, 2.0, 1.0, 1.0, 0.5
"""Weights of the clues, see `clues_of`."""
_NEAR_WITHIN = 0.25
"""A probability this far from the threshold is not near it any more."""
_UNSURE_FROM = 0.2
_UNSURE_SHARE = 0.4
"""From this share of its frames on an episode was unsure for as long as counts."""
_WINDOW, _LEAST = 20, 8
"""Episodes of one direction that say what is usual, and how many it takes."""
_DONE_AT, _NOT_DONE_AT = 0.7, 0.3


@dataclass(frozen=True)
class Judged:
    """An episode as its judge left it.

    Attributes:
        id: Of the episode; ids sort by time.
        direction: "forward" or "backward".
        outcome: What the judge said.
        probability: float32 (T + 1,) of success, NaN where no judge ran.
        cut_short: Whether a fault ended it: then nobody asked the judge.
        opinion: What something else thinks of its end, 0 not done ... 1 done, such as a measure of progress or the
            twin's predicate; None where nothing does.
        verdict: What a person said that holds, or None.
    """

    id: str
    direction: Direction
    outcome: Outcome
    probability: Float32
    cut_short: bool = False
    opinion: float | None = None
    verdict: Verdict | None = None


@dataclass(frozen=True)
class Doubt:
    """Why an episode is worth a look.

    Attributes:
        score: The larger, the sooner.
        reasons: In words, the weightiest first.
    """

    score: float = 0.0
    reasons: tuple[str, ...] = field(default=())


def furthest(probability: Float32, frames: int) -> float:
    """The highest threshold that `frames` consecutive probabilities all reach; NaN without as many."""
    known = np.asarray(probability, np.float64)
    reached = sustained(np.where(np.isfinite(known), known, -np.inf), frames)
    best = float(reached.max(initial=-np.inf))
    return best if np.isfinite(best) else float("nan")


def doubt_of(episode: Judged, threshold: float, frames: int, usual: float | None = None) -> Doubt:
    """How doubtful or surprising the judge's word is.

    - at odds (`AT_ODDS`): another opinion of the end contradicts it;
    - undecided (`UNDECIDED`): the judge said nothing although no fault cut the episode short;
    - near (`NEAR`): the probability that decided was near the threshold;
    - long unsure (`LONG_UNSURE`): for many frames the probability was neither low nor above the threshold;
    - unusual (`UNUSUAL`): episodes of this direction mostly ended otherwise of late.

    Args:
        episode: As judged.
        threshold: Of the judge.
        frames: Consecutive frames above it that a decision takes.
        usual: Share of successes among the last episodes of this direction; None where these are too few.
    """
    found: list[tuple[float, str]] = []
    success = episode.outcome == "success"
    decided = episode.outcome != "unknown"
    if decided and episode.opinion is not None:
        against = episode.opinion <= _NOT_DONE_AT if success else episode.opinion >= _DONE_AT
        found.append((AT_ODDS * against, f"another opinion of its end is {episode.opinion:.2f}"))
    if not decided and not episode.cut_short:
        found.append((UNDECIDED, "the judge did not decide"))
    reached = furthest(episode.probability, frames)
    if np.isfinite(reached):
        near = max(0.0, 1.0 - abs(reached - threshold) / _NEAR_WITHIN)
        found.append((NEAR * near, f"{frames} frames in a row reached {reached:.2f}, the threshold is {threshold:.2f}"))
        unsure = (episode.probability > _UNSURE_FROM) & (episode.probability < threshold)
        share = float(unsure.mean())
        text = f"the judge was unsure for {int(unsure.sum())} of {len(unsure)} frames"
        found.append((LONG_UNSURE * min(1.0, share / _UNSURE_SHARE), text))
    if decided and usual is not None:
        against_usual = max(0.0, 1.0 - 2.0 * (usual if success else 1.0 - usual))
        found.append((UNUSUAL * against_usual, f"of late {100 * usual:.0f} % of this direction succeeded"))
    worth = sorted((clue for clue in found if clue[0] > 0.05), key=lambda clue: -clue[0])
    return Doubt(sum(weight for weight, _ in found), tuple(text for _, text in worth))


def in_order(episodes: Iterable[Judged], threshold: float, frames: int) -> list[tuple[Judged, Doubt]]:
    """Episodes with their doubt: those without a verdict first, then by doubt, then the newest.

    Args:
        episodes: In any order.
        threshold: Of the judge.
        frames: Consecutive frames above it that a decision takes.
    """
    recent: dict[Direction, deque[bool]] = {direction: deque(maxlen=_WINDOW) for direction in DIRECTIONS}
    found = []
    for episode in sorted(episodes, key=lambda one: one.id):
        before = recent[episode.direction]
        found.append((episode, doubt_of(episode, threshold, frames, _share(before))))
        said = None if episode.verdict is None else episode.verdict.outcome
        counts = said or episode.outcome
        if counts != "unknown":
            before.append(counts == "success")
    found.reverse()  # the newest first, among equals
    return sorted(found, key=lambda pair: (pair[0].verdict is not None, -round(pair[1].score, 6)))


def _share(recent: Sequence[bool] | deque[bool]) -> float | None:
    return sum(recent) / len(recent) if len(recent) >= _LEAST else None
