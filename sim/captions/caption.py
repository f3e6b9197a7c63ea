"""A caption, and what is known of a state that captions speak of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

DONE = "done"
"""Relation of an instruction, true when it has been carried out."""


@dataclass(frozen=True)
class Caption:
    """A text and what it says.

    Attributes:
        text: The caption.
        noun: The object that it speaks of.
        relation: What it says of it, a word of the task's kind such as "held"; `DONE` of an instruction.
        place: Phrase of the place, "" where it names none.
    """

    text: str
    noun: str
    relation: str
    place: str = ""


class Facts(Protocol):
    """What is true of a rendered state."""

    def truth(self, caption: Caption) -> bool | None:
        """Whether the caption is true; None where nobody can say. One about an object that isn't there is false."""
        ...


@dataclass(frozen=True)
class KnownFacts:
    """Facts as a table.

    Attributes:
        nouns: The objects that the table speaks of.
        truths: (Relation, place) -> whether it is so, None where nobody can say; of what is missing nobody can.
        others: Other objects in the scene, of which nobody says anything.
    """

    nouns: frozenset[str]
    truths: Mapping[tuple[str, str], bool | None]
    others: frozenset[str] = field(default_factory=frozenset)

    def truth(self, caption: Caption) -> bool | None:
        """See `Facts.truth`."""
        if caption.noun in self.nouns:
            return self.truths.get((caption.relation, caption.place))
        return None if caption.noun in self.others else False
