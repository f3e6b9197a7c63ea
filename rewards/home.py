"""How a judge reads what an episode left, the arm at home: by a calibration and a threshold of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rewards.calibration import Calibration

HOME_THRESHOLD = 0.5
"""From home, where both outcomes weigh alike in the calibration, more likely done than not is done."""


@dataclass(frozen=True)
class View:
    """From a score to what may count.

    Attributes:
        calibration: Score to probability.
        threshold: What consecutive probabilities must reach.
    """

    calibration: Calibration
    threshold: float


def home_view(home: Calibration | None, usual: View) -> View:
    """The view from home; the usual one where no looks from home were learned from."""
    return usual if home is None else View(home, HOME_THRESHOLD)


def stored_home(description: Mapping[str, Any]) -> Calibration | None:
    """The calibration of looks from home; None where there is none, or a version that had none wrote it."""
    home = description.get("home")
    return None if home is None else Calibration(**home)
