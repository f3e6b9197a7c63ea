"""The expert's deliberate failures: what a reward model has to tell from success."""

from __future__ import annotations

from typing import Final, Literal

Failure = Literal["miss", "drop", "wrong_place", "hover", "edge", "hold", "border"]

FAILURES: tuple[Failure, ...] = ("hover", "edge", "miss", "wrong_place", "drop", "hold")
"""miss: closes beside the object. drop: lets go on the way. wrong_place: puts it down elsewhere. hover: stays above
the goal with the object held. edge: lets go at the goal's edge. hold: sets it down at the goal and never lets go."""

BORDER: Final = "border"
"""Lets go within a centimetre of the last place that still counts, as often inside as outside: whether it failed is for
the predicate to say. For looks at what was left alone, since a demonstration had better not be imitated there."""
