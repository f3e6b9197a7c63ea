"""The space of instructions: any text of at most 400 characters, in whatever script."""

from __future__ import annotations

import string
from typing import Any

from gymnasium import spaces

LONGEST = 400


class InstructionSpace(spaces.Text):
    """Gymnasium's text space holds the characters of a list alone; people's instructions are in any language.

    Samples consist of ASCII characters.
    """

    def __init__(self, longest: int = LONGEST) -> None:
        """Build the space.

        Args:
            longest: Number of characters at most.
        """
        super().__init__(longest, min_length=0, charset=string.printable)

    def contains(self, x: Any) -> bool:
        """Whether it is a text that is short enough."""
        return isinstance(x, str) and self.min_length <= len(x) <= self.max_length
