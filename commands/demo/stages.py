"""The stages of a demo: each runs once per run folder and settings, its time is kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from trajectories.conditions import completed, differences, short_digest
from trajectories.durable import replace_file
from trajectories.errors import ConfigError

_AS_EVER = {
    "reward.kind": "classifier",
    "agent.actor_average": 0.0,
    "agent.warmup.start_spread": 1.0,
    "agent.online.start_spread": 1.0,
    "pretrain.began_done": False,
    "pretrain.shrink_places": False,
    "encoder.keypoints": False,
    "task.displace": "auto",
}
"""Settings that earlier versions didn't write down where they were so."""


def chosen(config: DictConfig, *names: str, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The settings `names` as a flat dictionary of plain values.

    Args:
        config: All settings.
        names: Dotted; a group gives all of its leaves.
        without: Dotted names of leaves and of groups that are left out.
    """
    found: dict[str, Any] = {}
    for name in names:
        if name in without:
            continue
        value = OmegaConf.select(config, name)
        if isinstance(value, DictConfig):
            found |= chosen(config, *(f"{name}.{key!s}" for key in value), without=without)
        else:
            found[name] = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    return found


def flat(name: str, value: Any) -> dict[str, Any]:
    """Nested plain values as a flat dictionary, as `chosen` gives them."""
    if not isinstance(value, Mapping) or not value:
        return {name: value}
    return {key: leaf for part in value for key, leaf in flat(f"{name}.{part}", value[part]).items()}


@dataclass(frozen=True)
class Stage:
    """A part of a demo.

    Attributes:
        name: For people and `stages.json`.
        work: What it does.
        settings: What its result depends on.
        grows: Amounts besides (steps, episodes): larger ones go on with what is there, smaller ones are refused.
        again: Whether other settings do it once more, beside what is there. If not they are refused: what is there
            rests on them.
    """

    name: str
    work: Callable[[], object]
    settings: Mapping[str, Any]
    grows: Mapping[str, float] = field(default_factory=dict)
    again: bool = False

    @property
    def noted(self) -> dict[str, Any]:
        """Everything that is written down when it is done."""
        return json.loads(json.dumps({**self.settings, **self.grows}))  # type: ignore[no-any-return]

    def goes_on(self, name: str, then: Any) -> bool:
        """Whether the stage can go on with what is there, for which the setting `name` was `then`."""
        return self.again if name not in self.grows else bool(self.grows[name] >= then)


class Stages:
    """What has been done in a run folder, with seconds and settings, in `stages.json`.

    Args:
        run_dir: The folder.
        then: Settings in one word that the run has unlike those of now ("profile=tiny"), for messages; empty for none.
    """

    def __init__(self, run_dir: Path, then: str = "") -> None:
        self._then = f" (the run has {then})" if then else ""
        self._path = run_dir / "stages.json"
        self._asked: set[str] = set()
        self._done: dict[str, Any] = json.loads(self._path.read_text(encoding="utf-8")) if self._path.exists() else {}

    @property
    def seconds(self) -> dict[str, float]:
        """Stage -> how long it took, of those asked for: a folder may hold those of other methods, too."""
        return {name: entry["seconds"] for name, entry in self._done.items() if name in self._asked}

    def of(self, method: str) -> dict[str, float]:
        """Stage -> how long it took, of those of a method and those that all share."""
        mine = [name for name in self._done if "(" not in name or name.endswith(f"({method})")]
        return {name: self._done[name]["seconds"] for name in mine}

    def spent(self, name: str) -> float | None:
        """Seconds that a stage took, pauses between its parts left out; None when it isn't done."""
        return self._done[name]["seconds"] if name in self._done else None

    def check(self, stage: Stage) -> bool:
        """Whether a stage is done; settings that weren't written down then are taken to be the same, but `_AS_EVER`.

        Raises:
            ConfigError: It was done with other settings and can't be done again, with every difference.
        """
        self._asked.add(stage.name)
        before = self._done.get(stage.name)
        if before is None:
            return False
        noted = stage.noted
        saved = completed(_AS_EVER | before["settings"], noted)
        changed = {name: then for name, then, _ in differences(saved, noted)}
        wrong = [name for name in changed if not stage.goes_on(name, changed[name])]
        if wrong:
            was = ", ".join(f"{name}={changed[name]} (now {noted[name]})" for name in wrong)
            raise ConfigError(
                f"The stage {stage.name!r} in {self._path.parent} was done with {was}, and what is there rests on it. "
                f"Give the same settings{self._then}, or another run_dir=... for a run of its own."
            )
        return not changed

    def run(self, stage: Stage) -> None:
        """Do the work of a stage unless it is done.

        Raises:
            ConfigError: It was done with other settings and can't be done again, with every difference.
        """
        before = self._done.get(stage.name)
        if self.check(stage):
            print(f"== {stage.name}: done before, {self._done[stage.name]['seconds']:.0f} s", flush=True)
            return
        print(f"== {stage.name}", flush=True)
        started = time.monotonic()
        stage.work()
        spent = time.monotonic() - started + (before["seconds"] if before is not None else 0.0)
        self._done[stage.name] = {"seconds": spent, "settings": stage.noted, "digest": short_digest(stage.noted)}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(self._path, json.dumps(self._done, indent=1).encode())
