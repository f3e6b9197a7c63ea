"""The two newest checkpoints of a training: when the newest is damaged, the one before it is there.

policy_400.safetensors, policy_800.safetensors     by the number of updates; the next one removes the oldest
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from policies.common.ranks import Ranks, Shared
from policies.common.refused_writes import wait_for_room
from policies.common.tensor_file import read_tensors, write_tensors
from trajectories.conditions import require_same_identity
from trajectories.disk_full import AGAIN_S
from trajectories.errors import CheckpointError

KEPT = 2


@dataclass(frozen=True)
class KeptCheckpoint:
    """A loaded checkpoint.

    Attributes:
        number: Of updates.
        path: Its file.
        tensors: On the CPU.
        header: JSON of the caller.
    """

    number: int
    path: Path
    tensors: Mapping[str, Tensor]
    header: Mapping[str, Any]


class KeptCheckpoints:
    """Checkpoints of one training in one folder; the files are written whole or not at all.

    Attributes:
        folder: Where they are.
    """

    def __init__(
        self,
        folder: Path,
        stem: str,
        kind: str,
        identity: Mapping[str, Any],
        notify: Callable[[str], None],
        again_s: float = AGAIN_S,
        deciding: Collection[str] | None = None,
    ) -> None:
        """Name the checkpoints of a training; nothing is read or written yet.

        Args:
            folder: Made with the first checkpoint.
            stem: Of the files' names.
            kind: What the files say that they hold.
            identity: Plain JSON of all that decides the numbers; a checkpoint of another one is refused.
            notify: Gets lines for people: about a damaged file, and a disk that refuses.
            again_s: Pause between two attempts at the last checkpoint while the disk refuses.
            deciding: Entries of the identity that decide; the others are neither kept nor compared. None: all do.
        """
        self.folder, self._stem, self._kind, self._deciding = Path(folder), stem, kind, deciding
        self._identity = self._decisive(identity)
        self._notify, self._again_s = notify, again_s
        self._waiting = False

    def newest(self) -> KeptCheckpoint | None:
        """The newest checkpoint that can be read; None when there is none at all.

        Raises:
            CheckpointError: All are damaged, or the settings are not those it was made with.
        """
        damaged: list[str] = []
        for number, path in sorted(checkpoint_files(self.folder, self._stem).items(), reverse=True):
            try:
                tensors, header, _ = read_tensors(path, self._kind)
            except CheckpointError as error:
                damaged.append(str(error))
                continue
            made = self._decisive(header["identity"])
            require_same_identity(made, self._identity, f"The checkpoint {path}", self._advice)
            for line in damaged:
                self._notify(f"{line} Going on with the checkpoint before it, {path.name}.")
            return KeptCheckpoint(number, path, tensors, header["content"])
        if damaged:
            raise CheckpointError(f"No checkpoint can be read: {' '.join(damaged)} {self._advice}")
        return None

    def path(self, number: int) -> Path:
        """File of the checkpoint of so many updates."""
        return self.folder / f"{self._stem}_{number}.safetensors"

    def save(self, number: int, tensors: Mapping[str, Tensor], header: Mapping[str, Any], *, last: bool) -> None:
        """Write a checkpoint; then all but the two newest go.

        A disk that refuses doesn't end the training: it goes on without this checkpoint, and the one before stays.
        Only the last one, whose loss would cost what was learned, is tried again until the disk has room.

        Args:
            number: Of updates.
            tensors: All that decides how training goes on.
            header: JSON besides.
            last: Whether the training ends with it.
        """
        whole = {"identity": self._identity, "content": dict(header)}

        def write() -> None:
            write_tensors(self.path(number), self._kind, tensors, whole)

        if last:
            wait_for_room(write, self._notify, what="the checkpoint", work="the command", again_s=self._again_s)
        else:
            try:
                write()
            except CheckpointError as error:  # `write_tensors` raises for the disk alone
                if not self._waiting:
                    self._notify(f"{error} Training goes on; the next checkpoint is tried as usual.")
                self._waiting = True
                return
            if self._waiting:
                self._notify(f"The disk has room again: the checkpoint of update {number} is stored.")
        self._waiting = False
        for _, old in sorted(checkpoint_files(self.folder, self._stem).items())[:-KEPT]:
            old.unlink(missing_ok=True)

    def _decisive(self, identity: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in identity.items() if self._deciding is None or name in self._deciding}

    @property
    def _advice(self) -> str:
        return f"Go on with the settings of then, give another run_dir, or delete {self.folder} to begin anew."


def shared_newest(checkpoints: KeptCheckpoints, ranks: Ranks) -> KeptCheckpoint | None:
    """The first rank's `KeptCheckpoints.newest`, on all ranks: only that one has to have the files."""
    found: list[KeptCheckpoint | None] = []

    def read() -> Shared | None:
        found.append(checkpoints.newest())
        saved = found[0]
        return None if saved is None else (saved.tensors, {"number": saved.number, "content": dict(saved.header)})

    made = ranks.from_first(read)
    if found or made is None:
        return found[0] if found else None
    number = int(made[1]["number"])
    return KeptCheckpoint(number, checkpoints.path(number), made[0], made[1]["content"])


def checkpoint_files(folder: Path, stem: str) -> dict[int, Path]:
    """Number of updates -> file of a checkpoint in `folder`, damaged ones included."""
    pattern = re.compile(rf"{re.escape(stem)}_(\d+)\.safetensors")
    matches = [(pattern.fullmatch(path.name), path) for path in folder.glob(f"{stem}_*.safetensors")]
    return {int(match[1]): path for match, path in matches if match}
