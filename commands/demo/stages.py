"""The stages of a demo: each runs once per run folder and settings, its time is kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from trajectories.errors import ConfigError


def chosen(config: DictConfig, *names: str) -> dict[str, Any]:
    """The settings `names` (dotted; a group gives all of its leaves) as a flat dictionary of plain values."""
    found: dict[str, Any] = {}
    for name in names:
        value = OmegaConf.select(config, name)
        if isinstance(value, DictConfig):
            found |= chosen(config, *(f"{name}.{key!s}" for key in value))
        else:
            found[name] = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    return found


class Stages:
    """What has been done in a run folder, with seconds and settings, in `stages.json`."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / "stages.json"
        self._asked: set[str] = set()
        self._done: dict[str, Any] = json.loads(self._path.read_text()) if self._path.exists() else {}

    @property
    def seconds(self) -> dict[str, float]:
        """Stage -> how long it took, of those asked for: a folder may hold those of other methods, too."""
        return {name: entry["seconds"] for name, entry in self._done.items() if name in self._asked}

    def run(self, name: str, work: Callable[[], object], settings: Mapping[str, Any], *, extend: bool = False) -> None:
        """Do `work` unless the stage is done.

        Args:
            name: Of the stage.
            work: What it does.
            settings: What its result depends on. Those that weren't written down then are taken to be the same.
            extend: Whether other settings go on with what is there (more steps, more episodes). If not, they are an
                error: later stages rest on this one.

        Raises:
            ConfigError: The stage was done with other settings and can't be extended.
        """
        self._asked.add(name)
        before = self._done.get(name)
        if before is not None:
            changed = [key for key in settings if before["settings"].get(key, settings[key]) != settings[key]]
            if not changed:
                print(f"== {name}: done before, {before['seconds']:.0f} s", flush=True)
                return
            if not extend:
                was = ", ".join(f"{key}={before['settings'].get(key)} (now {settings[key]})" for key in changed)
                raise ConfigError(
                    f"The stage {name!r} in {self._path.parent} was done with {was}, and later stages rest on it. "
                    "Give the same settings, or another run_dir=... for a run of its own."
                )
        print(f"== {name}", flush=True)
        started = time.monotonic()
        work()
        spent = time.monotonic() - started + (before["seconds"] if before is not None else 0.0)
        self._done[name] = {"seconds": spent, "settings": dict(settings)}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(self._done, indent=1))
        partial.replace(self._path)
