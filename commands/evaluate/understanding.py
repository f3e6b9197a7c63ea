"""Whether a policy understands what a matrix will say to it, asked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from omegaconf import DictConfig

from commands.evaluate.axes import Axis
from factory.evaluated_policy import PolicySource, open_policy
from factory.reward import backbone_of
from factory.spec import plain
from trajectories.errors import ConfigError
from trajectories.types import DIRECTIONS, Direction


class Told(Protocol):
    """A part of a matrix, as far as words go."""

    @property
    def task(self) -> str:
        """Its name."""

    @property
    def axis(self) -> Axis:
        """What is changed."""

    @property
    def instructions(self) -> Mapping[Direction, Sequence[str]]:
        """What the policy is told."""


def require_understood(config: DictConfig, source: PolicySource, cells: Sequence[Told]) -> PolicySource:
    """The policy, reading held-out wordings, too, if there are any and it is one in a folder.

    Raises:
        ConfigError: It doesn't know an instruction of a task, or its text tower can't read a held-out one; says which,
            and what to leave out.
        MissingDependencyError: The text tower's weights are not on this machine.
    """
    reworded = [cell for cell in cells if cell.axis.rewords]
    if reworded and not source.served:
        source = source.reading([text for cell in reworded for text in _all(cell)], plain(config.reward))
        _require_read(config, source, reworded)
    known = open_policy(source).instructions
    if known is None:
        return source
    for cell in cells:
        unknown = [text for text in _all(cell) if text not in known]
        if unknown:
            what = f"{cell.axis.name!r} out of evaluate.axes" if cell.axis.rewords else f"{cell.task} out of the tasks"
            raise ConfigError(
                f"The policy {source.where} doesn't know {len(unknown)} of the instructions of {cell.task}"
                f"{', held-out' if cell.axis.rewords else ''}, such as {unknown[0]!r}; it knows {len(known)}, such as "
                f"{known[0]!r}. Leave {what}, or give a policy that learned the task. Nothing was run."
            )
    return source


def _require_read(config: DictConfig, source: PolicySource, cells: Sequence[Told]) -> None:
    """Refuse held-out wordings that the text tower of the policy can't read, or where that isn't the settings' one."""
    from rewards.readable import require_readable

    try:
        open_policy(source)
        require_readable(backbone_of(config), {(c.task, way): c.instructions[way] for c in cells for way in DIRECTIONS})
    except ConfigError as error:
        raise ConfigError(
            f"The axis 'wording' has sentences that this policy can't be told. {error} Or leave it out of "
            "evaluate.axes. Nothing was run."
        ) from error


def _all(cell: Told) -> list[str]:
    return [text for way in DIRECTIONS for text in cell.instructions[way]]
