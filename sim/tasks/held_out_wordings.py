"""Instructions of the tasks that people fine-tune in words that no demonstration of theirs is given in.

They are made of words that the tasks' own wordings are made of, so that it is the sentence that is new.
"""

from __future__ import annotations

from collections.abc import Mapping

from trajectories.types import Direction

Wordings = Mapping[Direction, tuple[str, ...]]


def _put(noun: str, forward: str, backward: str) -> Wordings:
    """Of a task whose wordings are `sim.tasks.wordings.put`, by where to.

    Where from is left out: the embedded text tower takes "pick up the pot that is in the sink and set it on the rack"
    for its opposite (cosine 0.97 with that, 0.59 with what it says).
    """

    def wordings(phrase: str) -> tuple[str, ...]:
        return (
            f"set the {noun} {phrase}",
            f"take the {noun} and place it {phrase}",
            f"pick up the {noun} and set it {phrase}",
        )

    return {"forward": wordings(forward), "backward": wordings(backward)}


def _sweep(target: str, source: str) -> tuple[str, ...]:
    return (
        f"sweep the candy from the {source} to the {target} of the tray",
        f"push all the candy over to the {target} of the tray",
    )


HELD_OUT: dict[str, Wordings] = {
    "pot_pick_place": _put("pot", "on the rack", "in the sink"),
    "pot_lid": _put("lid", "on the pot", "on the rack"),
    "bin_weight": _put("weight", "in the bin", "on the mat"),
    "bin_vase": _put("vase", "in the bin", "on the mat"),
    "bin_bench": _put("bench", "in the bin", "on the mat"),
    "candy_sweeping": {"forward": _sweep("far side", "near side"), "backward": _sweep("near side", "far side")},
    "cloth_folding": {
        "forward": (
            "fold the cloth so that the near edge lies on the far edge",
            "lay the near edge on the far edge of the cloth",
        ),
        "backward": ("spread the cloth out so that it lies flat", "pull the near edge of the cloth back"),
    },
    "cube_covering": {
        "forward": ("pull the cloth over the red cube", "take the cloth and cover the cube with it"),
        "backward": ("drag the cloth off the cube", "pull the cloth away from the red cube"),
    },
}
"""Task -> direction -> wordings. Of a task that isn't here there are none."""
