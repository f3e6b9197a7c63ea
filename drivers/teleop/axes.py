"""Which controls of a device drive which axis of the arm, and with which sign."""

from __future__ import annotations

from collections.abc import Mapping

from drivers.teleop.keys import require_control
from drivers.teleop.motion import AXES
from trajectories.errors import ConfigError

Terms = tuple[tuple[str, float], ...]
"""Controls and their signs."""


class AxisMap:
    """Base-frame axis -> signed sum of controls, from a configuration such as {"dx": "-ABS_Y", "dz": "+KEY_R -KEY_F"}.

    An axis that isn't named stays still.
    """

    def __init__(self, mapping: Mapping[str, str], controls: frozenset[str]) -> None:
        """Parse and check.

        Args:
            mapping: Axis -> controls, each with its sign, separated by spaces.
            controls: Names that the device has.

        Raises:
            ConfigError: On an unknown axis, sign or control.
        """
        unknown = sorted(set(mapping) - set(AXES))
        if unknown:
            raise ConfigError(f"axes: there is no axis {unknown[0]!r}; expected one of {', '.join(AXES)}.")
        self._terms: tuple[Terms, ...] = tuple(_parse(axis, mapping.get(axis, ""), controls) for axis in AXES)

    @property
    def controls(self) -> frozenset[str]:
        """Every control that moves the arm."""
        return frozenset(name for terms in self._terms for name, _ in terms)

    def deflections(self, values: Mapping[str, float]) -> list[float]:
        """Six deflections in [-1, 1] from the controls' values; a control without value is at rest."""
        return [min(1.0, max(-1.0, sum(sign * values.get(name, 0.0) for name, sign in terms))) for terms in self._terms]


def _parse(axis: str, text: str, controls: frozenset[str]) -> Terms:
    terms = []
    for term in text.split():
        if term[0] not in "+-":
            raise ConfigError(f"axes.{axis}: {term!r} has no sign; write +{term} or -{term}.")
        require_control(term[1:], controls, f"axes.{axis}")
        terms.append((term[1:], -1.0 if term[0] == "-" else 1.0))
    return tuple(terms)
