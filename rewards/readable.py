"""Refuses texts that a text tower can't read: unknown words, too long, too like their opposite, or taken for it.

A tower never says that it understood nothing. Words whose rows of the token table are zero were never seen in training
and are all the same to it; what lies beyond its context is cut off; and two texts that it embeds almost alike are one
text to whatever learns behind it. All three make a policy that does one thing for two instructions, and a judge that
calls both done.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from trajectories.errors import ConfigError
from trajectories.manifest import EpisodeInfo
from trajectories.types import DIRECTIONS

if TYPE_CHECKING:
    from rewards.backbone import Backbone

RULES = 1
"""Number of the rules below; whoever changes what is refused counts it up, so that texts of before are read again."""
_FROM_AND_TO = re.compile(
    r"(?P<what>.+?) (?:(?:that|which) is )?"
    r"(?P<source>(?:in|on|at|under|behind|beside|inside|near)\b(?: \w+)*? the \w+),?"
    r" and (?P<act>\w+) it (?P<target>.+)",
    re.IGNORECASE,
)
"""E.g. "take the pot that is in the sink and set it on the rack"."""


def require_readable(backbone: Backbone, wordings: Mapping[tuple[str, str], Sequence[str]]) -> None:
    """Refuse texts that a backbone can't read, before anything is trained on them.

    Args:
        backbone: Whose text tower reads them.
        wordings: (Task, direction) -> its wordings.

    Raises:
        ConfigError: Naming words that the tower never learned, a text that it would cut off, one that it takes for its
            opposite, or one that is too like one of the opposite direction; says what to do.
    """
    for text in dict.fromkeys(text for texts in wordings.values() for text in texts):
        _require_read(backbone, text)
        if backbone.is_embedded:
            _require_goal_read(backbone, text)
    for task in dict.fromkeys(task for task, _ in wordings):
        forward, backward = (list(wordings.get((task, direction), ())) for direction in DIRECTIONS)
        if forward and backward:
            _require_apart(backbone, forward, backward)


def recorded_wordings(infos: Iterable[EpisodeInfo]) -> dict[tuple[str, str], list[str]]:
    """(Task, direction) -> the distinct instructions that its episodes were recorded under."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for info in infos:
        found.setdefault((info.task, info.direction), {})[info.instruction] = None
    return {goal: list(texts) for goal, texts in found.items()}


def _require_read(backbone: Backbone, text: str) -> None:
    if backbone.cuts_off(text):
        raise ConfigError(
            f"The instruction {text!r} is too long for the text tower of {backbone.name!r}, which reads "
            f"{backbone.context} tokens (about as many words) with both ends; the rest would be cut off. Say it "
            "shorter."
        )
    unread = backbone.unread_words(text)
    if unread:
        raise ConfigError(
            f"The text tower of {backbone.name!r} never learned {', '.join(map(repr, unread))} in {text!r}: such words "
            f"are all the same to it. {_instead(backbone)}"
        )


def _require_goal_read(backbone: Backbone, text: str) -> None:
    """Refuse a text that says where from, too, when the embedded tower reads that as where to.

    Both directions may be read like that, each as the other, so that comparing them tells nothing. Without where from a
    text says the same, and no place is left to be mistaken.
    """
    said = _FROM_AND_TO.fullmatch(text.strip().rstrip("."))
    if said is None:
        return
    meant, opposite = (f"{said['what']} and {said['act']} it {said[place]}" for place in ("target", "source"))
    read, wrong = (backbone.encode_text([text]) @ backbone.encode_text([meant, opposite]).T)[0].tolist()
    if wrong > read:
        raise ConfigError(
            f"The text tower of {backbone.name!r} takes {text!r} for its opposite: the cosine with {opposite!r} is "
            f"{wrong:.2f}, that with {meant!r} {read:.2f}. Leave out where from: say {meant!r}."
        )


def _require_apart(backbone: Backbone, forward: list[str], backward: list[str]) -> None:
    cosines = backbone.encode_text(forward) @ backbone.encode_text(backward).T
    row, column = divmod(int(cosines.argmax()), len(backward))
    highest = float(cosines[row, column])
    if highest > backbone.alike:
        raise ConfigError(
            f"The text tower of {backbone.name!r} can't tell {backward[column]!r} from its opposite {forward[row]!r}: "
            f"the cosine of their embeddings is {highest:.3f}, and more than {backbone.alike} is too much. Word them "
            f"differently: name the two goals rather than the motion. {_instead(backbone)}"
        )


def _instead(backbone: Backbone) -> str:
    if backbone.is_embedded:
        return (
            "It ships with Regrasp for the tasks of the twin and knows their words alone. For any other task give a "
            "CLIP that was trained on natural texts: reward=clip, in every verb of the run."
        )
    return "Or give another model: reward.backbone and reward.pretrained, in every verb of the run."
