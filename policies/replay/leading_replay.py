"""A replay that several ranks have, and that only the first one is fed: it tells the others what it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from policies.common.orders import tell
from policies.replay.replay import Replay
from policies.replay.replay_file import ReplayContents
from policies.replay.ring_buffer import as_tensor
from trajectories.errors import CheckpointError
from trajectories.types import Bool, Float32, UInt8

_ADD, _RELABEL, _EXTEND, _RESTORE, _SHOW = "add", "relabel", "extend", "restore", "show"
_FRAME = "frame."


class LeadingReplay(Replay):
    """The first rank's; see `Replay`. What belongs to its frames is sent to all, and each rank keeps its own."""

    def add_episode(
        self,
        observation: Mapping[str, NDArray[Any] | Tensor],
        executed: Float32,
        rewards: Float32,
        terminated: Bool,
        truncated: Bool,
        mc_returns: Float32,
        source: UInt8,
        instruction: int | Sequence[int],
        imitate: Bool | None = None,
        gain: Float32 | None = None,
        begins: int | None = None,
    ) -> None:
        """See `Replay.add_episode`."""
        columns = {
            "executed": executed, "rewards": rewards, "terminated": terminated, "truncated": truncated,
            "mc_returns": mc_returns, "source": source, "imitate": imitate, "gain": gain,
        }  # fmt: skip
        tensors = {name: as_tensor(column) for name, column in columns.items() if column is not None}
        tensors |= {_FRAME + name: as_tensor(values) for name, values in observation.items()}
        told = [instruction] if isinstance(instruction, int) else list(instruction)
        tell(self.ranks, _ADD, tensors, instruction=told)
        super().add_episode(
            observation, executed, rewards, terminated, truncated, mc_returns, source, told, imitate, gain, begins
        )

    def relabel(
        self, episode: int, rewards: Float32, terminated: Bool, mc_returns: Float32, *, worth_copying: bool
    ) -> None:
        """See `Replay.relabel`."""
        columns = {"rewards": rewards, "terminated": terminated, "mc_returns": mc_returns}
        tensors = {name: as_tensor(column) for name, column in columns.items()}
        tell(self.ranks, _RELABEL, tensors, episode=episode, worth_copying=bool(worth_copying))
        super().relabel(episode, rewards, terminated, mc_returns, worth_copying=worth_copying)

    def restore(self, contents: ReplayContents) -> None:
        """See `Replay.restore`."""
        _tell(self, _RESTORE, replace(contents, lengths=[], copies=[], columns={}))
        super().restore(contents)  # which extends what is then empty

    def extend(self, contents: ReplayContents) -> None:
        """See `Replay.extend`."""
        _tell(self, _EXTEND, contents)
        super().extend(contents)

    def contents(self, newest: int | None = None) -> ReplayContents:
        """See `Replay.contents`."""
        tell(self.ranks, _SHOW, newest=newest)
        return super().contents(newest)


def obey(replay: Replay, order: str, tensors: Mapping[str, Tensor], words: Mapping[str, Any]) -> bool:
    """Do in another rank's replay what the first one's does; False for an order to somebody else.

    An order that the first rank's replay refuses is refused here in the same way, and changes nothing.
    """
    if order == _ADD:
        columns: dict[str, Any] = {
            name: tensor.numpy() for name, tensor in tensors.items() if not name.startswith(_FRAME)
        }
        frames = {name.removeprefix(_FRAME): tensor for name, tensor in tensors.items() if name.startswith(_FRAME)}
        replay.add_episode(frames, instruction=words["instruction"], **columns)
    elif order == _RELABEL:
        labels: dict[str, Any] = {name: tensor.numpy() for name, tensor in tensors.items()}
        replay.relabel(**words, **labels)
    elif order in (_RESTORE, _EXTEND):
        try:
            (replay.restore if order == _RESTORE else replay.extend)(_received(tensors, words))
        except CheckpointError:
            return True
    elif order == _SHOW:
        replay.contents(words["newest"])
    else:
        return False
    return True


def _tell(replay: Replay, order: str, contents: ReplayContents) -> None:
    columns = {
        f"{ring}.{name}": torch.cat(list(parts))
        for ring, found in contents.columns.items()
        for name, parts in found.items()
    }
    plain = {entry.name: getattr(contents, entry.name) for entry in fields(contents)}
    words = {name: value for name, value in plain.items() if name not in ("columns", "generator")}
    tell(replay.ranks, order, {**columns, "generator": contents.generator}, **words)


def _received(tensors: Mapping[str, Tensor], words: Mapping[str, Any]) -> ReplayContents:
    columns: dict[str, dict[str, list[Tensor]]] = {ring: {} for ring in words["first"]}
    for key, tensor in tensors.items():
        ring, _, name = key.partition(".")
        if name:
            columns[ring][name] = [tensor]
    return ReplayContents(columns=columns, generator=tensors["generator"], **words)
