"""`ReplayParts`: a replay's content in files that are added to, so that saving costs what is new and not what there is.

    index.json               which parts there are, in order, and what the caller says about all of them
    part_000007.safetensors  episodes that were added between two saves (`policies.replay.replay_file`)

The index is replaced in one step after its newest part is whole: what a kill leaves besides is not read and is removed
at the next save. Parts whose episodes have all made room for newer ones are removed, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from policies.replay.replay import Replay
from policies.replay.replay_file import load_contents, save_contents
from trajectories.durable import replace_file
from trajectories.errors import CheckpointError

KIND = "regrasp-replay-parts-1"
INDEX = "index.json"


@dataclass(frozen=True)
class Part:
    """One file.

    Attributes:
        name: Of the file.
        end: Episodes that had ever been added to the replay when it was written: those up to its own newest.
    """

    name: str
    end: int


class ReplayParts:
    """The files of one replay.

    Attributes:
        replay: The content.
        folder: Where the files are.
        saved: Episodes ever added that are in the files, or have made room for newer ones.
    """

    def __init__(self, folder: Path, replay: Replay) -> None:
        """Nothing is read or written yet.

        Args:
            folder: Created by the first save.
            replay: Empty until `load`.
        """
        self.replay, self.folder, self.saved = replay, folder, 0
        self._parts: list[Part] = []

    def load(self, accept: Callable[[Mapping[str, Any]], None], warn: Callable[[CheckpointError], None]) -> bool:
        """Fill the replay, which is empty, from the files; False, with the replay as it was, where there are none.

        A part that can't be read ends it: `saved` then says how many episodes the parts before it reach to.

        Args:
            accept: Called with the caller's word about the files; raises CheckpointError to refuse all of them.
            warn: Told of a part that can't be read.

        Raises:
            CheckpointError: The index is damaged, or the files are refused.
        """
        if not (self.folder / INDEX).is_file():
            return False
        parts, about = self._index()
        accept(about)
        for part in parts:
            try:
                contents = load_contents(self.folder / part.name, self.replay.settings)
                if self._parts:
                    self.replay.extend(contents)
                else:
                    self.replay.restore(contents)
            except CheckpointError as error:
                warn(error)
                break
            self._parts.append(part)
            self.saved = part.end
        return True

    def save(self, added: int, about: Mapping[str, Any]) -> None:
        """Write the episodes that came since the last save.

        Args:
            added: Episodes ever added to the replay.
            about: JSON, given to `load`'s `accept`.

        Raises:
            CheckpointError: The disk refuses; the files are as they were.
        """
        fresh, held = added - self.saved, self.replay.episodes
        before = self._parts if fresh <= held else []  # else some made room before they were ever saved
        kept = [part for part in before if part.end > added - held]
        part = Part(f"part_{added:09d}.safetensors", added)
        save_contents(self.replay.contents(min(fresh, held)), self.folder / part.name, {})
        whole = {"kind": KIND, "parts": [asdict(one) for one in (*kept, part)], "about": dict(about)}
        try:
            replace_file(self.folder / INDEX, json.dumps(whole).encode())
        except OSError as error:
            raise CheckpointError(f"{self.folder / INDEX} can't be written: {error}. Make room.") from error
        self._parts, self.saved = [*kept, part], added
        self._tidy()

    def _index(self) -> tuple[list[Part], Mapping[str, Any]]:
        path = self.folder / INDEX
        try:
            whole = json.loads(path.read_text(encoding="utf-8"))
            if whole["kind"] != KIND:
                raise CheckpointError(f"{path} holds {whole['kind']!r}; expected {KIND!r}.")
            return [Part(str(one["name"]), int(one["end"])) for one in whole["parts"]], whole["about"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path} is damaged: {error!r}.") from error

    def _tidy(self) -> None:
        """Remove what the index doesn't name."""
        names = {part.name for part in self._parts}
        for path in self.folder.glob("part_*.safetensors"):
            if path.name not in names:
                path.unlink(missing_ok=True)
