"""From the scores of frames to decisions, by one view of the scene: while a task is tried, or with the arm at home."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rewards.calibration import Calibration
from rewards.debounce import Debounce
from rewards.doubt import Doubt, DoubtRules

HOME_THRESHOLD = 0.5
"""From home, where both outcomes weigh alike in the calibration, likelier done than not is done."""
HOME_FAILING = 0.1
"""From home, where nothing hides what was left, what is as likely done as this is no sure failure."""


HOME_FRAMES = 3
"""So many frames in a row say that it is sure; a look from home takes as many at least."""


class Decision:
    """Follows frames seen in one view.

    Attributes:
        calibration: Score to probability.
        threshold: What consecutive probabilities must reach.
        debounce: Whether enough of them did.
        doubt: When nobody knows; None for judges that never say so.
        failing: Below this probability what is seen is surely not done; None where that can't be said.
    """

    def __init__(
        self,
        calibration: Calibration,
        threshold: float,
        frames: int,
        rules: DoubtRules | None = None,
        failing: float | None = None,
    ) -> None:
        """Decide by `frames` in a row, unsure by `rules`, where `failing` counts as said in `rewards.doubt.Doubt`."""
        self.calibration, self.threshold, self.failing = calibration, threshold, failing
        self.debounce, self._surely_not = Debounce(threshold, frames), 0
        self.doubt = None if rules is None else Doubt(rules, frames, threshold, failing)

    def refutes(self, probability: float, counts: bool, unsure: bool) -> bool:
        """Take the next frame; returns whether it and those before, as many as a look takes, surely show it not done.

        A frame that doesn't count, or of which the judge is unsure, ends the row.
        """
        sure = self.failing is not None and counts and not unsure and probability < self.failing
        self._surely_not = self._surely_not + 1 if sure else 0
        return self._surely_not >= HOME_FRAMES

    def reset(self) -> None:
        """Forget all frames."""
        self.debounce.reset()
        self._surely_not = 0
        if self.doubt is not None:
            self.doubt.reset()


def decisions(
    calibration: Calibration,
    threshold: float,
    home: Calibration | None,
    frames: int,
    rules: DoubtRules | None = None,
) -> tuple[Decision, Decision]:
    """The usual decision and that from home, which is the usual one where no looks from home were learned from."""
    usual = Decision(calibration, threshold, frames, rules)
    return usual, usual if home is None else Decision(home, HOME_THRESHOLD, frames, rules, HOME_FAILING)


def stored_home(description: Mapping[str, Any]) -> Calibration | None:
    """The calibration of looks from home; None where there is none, or a version that had none wrote it."""
    home = description.get("home")
    return None if home is None else Calibration(**home)
