"""Inject faults into the virtual line."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from trajectories.numbers import NS_PER_S


@dataclass
class BusFaults:
    """Probabilities are per reply packet. Everything random comes from `seed`.

    Attributes:
        damaged: Probability that a bit flips.
        dropped: Probability that a reply is lost.
        truncated: Probability that a reply ends early.
        doubled: Probability that a reply is sent twice.
        late: Probability that a reply comes `late_s` late; replies after it wait for it.
        late_s: How late.
        garbage: Probability of random bytes before a reply.
        deaf: Probability that an instruction isn't heard by anybody.
        dead: Servos that neither listen nor answer.
        seed: Of the random choices.
    """

    damaged: float = 0.0
    dropped: float = 0.0
    truncated: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    late_s: float = 0.02
    garbage: float = 0.0
    deaf: float = 0.0
    dead: set[int] = field(default_factory=set)
    seed: int = 0
    _rng: np.random.Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Seed the generator."""
        self._rng = np.random.default_rng(self.seed)

    def happens(self, probability: float) -> bool:
        """Draw once."""
        return probability > 0 and bool(self._rng.random() < probability)

    def spoil(self, packet: bytes) -> tuple[list[bytes], int]:
        """What becomes of a reply.

        Returns:
            (the pieces that really go out, ns that they come late).
        """
        if self.happens(self.dropped):
            return [], 0
        if self.happens(self.damaged):
            at = int(self._rng.integers(len(packet)))
            packet = packet[:at] + bytes((packet[at] ^ 1 << int(self._rng.integers(8)),)) + packet[at + 1 :]
        if self.happens(self.truncated):
            packet = packet[: int(self._rng.integers(1, len(packet)))]
        pieces = [packet]
        if self.happens(self.garbage):
            pieces.insert(0, self._rng.bytes(int(self._rng.integers(1, 24))))
        if self.happens(self.doubled):
            pieces.append(packet)
        return pieces, round(self.late_s * NS_PER_S) if self.happens(self.late) else 0
