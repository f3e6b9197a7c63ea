"""Instructions in several wordings that mean the same."""

from __future__ import annotations


def put(noun: str, phrase: str, source: str) -> tuple[str, ...]:
    """Wordings of "put NOUN there".

    Args:
        noun: E.g. "pot".
        phrase: Where to, e.g. "in the sink".
        source: Where from, e.g. "on the rack".
    """
    return (
        f"put the {noun} {phrase}",
        f"place the {noun} {phrase}",
        f"move the {noun} so that it is {phrase}",
        f"pick up the {noun} and put it {phrase}",
        f"take the {noun} that is {source} and set it {phrase}",
    )


def push(noun: str, phrase: str) -> tuple[str, ...]:
    """Wordings of "push NOUN there"."""
    return (
        f"push the {noun} {phrase}",
        f"slide the {noun} until it is {phrase}",
        f"shove the {noun} so that it ends up {phrase}",
        f"move the {noun} {phrase} without lifting it",
    )
