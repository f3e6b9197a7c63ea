"""Data sets of the Hugging Face hub: a copy of a repository on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trajectories.errors import ConfigError
from trajectories.formats.foreign import FormatError

PREFIX = "hub:"


@dataclass(frozen=True)
class Repository:
    """A data set on the hub.

    Attributes:
        id: `owner/name`.
        revision: A branch, tag or commit; None: the newest.
    """

    id: str
    revision: str | None = None

    @classmethod
    def of(cls, text: str) -> Repository:
        """From `hub:owner/name` or `hub:owner/name@revision`.

        Raises:
            ConfigError: It is neither.
        """
        id, at, revision = text.removeprefix(PREFIX).partition("@")
        if id.count("/") != 1 or not all(id.split("/")) or (at and not revision):
            raise ConfigError(
                f"{text!r} is no data set of the hub; expected {PREFIX}OWNER/NAME or {PREFIX}OWNER/NAME@REVISION."
            )
        return cls(id, revision or None)

    def fetch(self) -> Path:
        """The folder of a copy on this machine; what an earlier call fetched isn't fetched again.

        Raises:
            FormatError: There is no such data set, or the hub can't be reached.
        """
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

        try:
            return Path(snapshot_download(self.id, repo_type="dataset", revision=self.revision))
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError, RuntimeError) as error:
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise FormatError(
                f"The data set {self.id} can't be had from the hub: {reason} Where there is no network, copy its "
                "folder to "
                "this machine and give the folder as source."
            ) from error
