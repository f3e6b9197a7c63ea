"""Lines of a text file that a person names in the settings."""

from __future__ import annotations

from pathlib import Path

from trajectories.errors import ConfigError


def lines_of(path: Path, what: str, advice: str) -> list[str]:
    """The lines of a UTF-8 file.

    Args:
        path: The file.
        what: What it holds, e.g. "labels"; for messages.
        advice: Where such a file comes from, a sentence.

    Raises:
        ConfigError: There is no such file, or it is no text.
    """
    if not path.is_file():
        raise ConfigError(f"There is no file of {what} {path}. {advice}")
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no file of {what}: it is no UTF-8 text ({error}). {advice}") from error
