"""The progress of offline episodes, which no session noted: the run's judge says it once, and it is kept.

    finetune_METHOD/offline_progress.json   {"progress": {episode id: what `trajectories.progress` notes}}

What is kept holds for the whole run, also when another judge takes over later, as what online episodes note does.
Delete the file to have the episodes judged anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig
from tqdm import tqdm

from factory.judging import require_progress
from factory.reward import informed_reward
from factory.run_folders import finetune_folder
from factory.spec import cameras_of_judge
from trajectories.alignment import EpisodeSource, missing_of
from trajectories.durable import replace_file
from trajectories.errors import CheckpointError, ConfigError
from trajectories.kinds import teaches_actions
from trajectories.manifest import EpisodeInfo
from trajectories.progress import noted_progress
from trajectories.s3.path import StorePath
from trajectories.types import Episode, RobotSpec

if TYPE_CHECKING:
    from rewards.kind import LoadedReward

FILE = "offline_progress.json"
_SAVE_EVERY = 20
"""Episodes between two times that what was judged is written down."""
Notes = dict[str, dict[str, Any]]
"""Episode id -> metadata of its progress."""


class NotedSource:
    """A store whose episodes say what was noted of them; an `EpisodeSource`."""

    def __init__(self, source: EpisodeSource, notes: Mapping[str, Mapping[str, Any]]) -> None:
        """Add `notes`, episode id -> metadata, to what is read from `source`."""
        self._source, self._notes = source, notes

    @property
    def path(self) -> StorePath:
        """Of the store."""
        return self._source.path

    @property
    def spec(self) -> RobotSpec:
        """Of the store."""
        return self._source.spec

    def ids(self) -> list[str]:
        """See `EpisodeSource.ids`."""
        return self._source.ids()

    def infos(self) -> list[EpisodeInfo]:
        """See `EpisodeSource.infos`."""
        return self._source.infos()

    def read(self, id: str) -> Episode:
        """See `EpisodeSource.read`."""
        episode = self._source.read(id)
        return replace(episode, metadata={**episode.metadata, **self._notes.get(id, {})})

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self._source)


def with_progress(
    config: DictConfig, stores: Sequence[EpisodeSource], notify: Callable[[str], None]
) -> list[EpisodeSource]:
    """The stores with the progress of every episode that teaches actions.

    The target task's are judged by the run's judge unless that was done before. Under the instruction of another task
    nothing is known of progress and the potential is 0 everywhere, which leaves the rewards as they are.

    Args:
        config: Settings, with `finetune.shaping`.
        stores: Offline data.
        notify: Gets a line before anything is judged.

    Raises:
        CheckpointError: There is no judge, or what was kept is damaged.
        ConfigError: The judge says nothing of progress, doesn't know an instruction, or a store lacks its camera.
        OSError: The disk refuses.
    """
    path, task = finetune_folder(config) / FILE, str(config.task.name)
    notes, asked = _kept(path), list[tuple[EpisodeSource, str]]()
    others: Notes = {}
    for store in stores:
        for info in filter(teaches_actions, store.infos()):
            if info.task != task:
                others[info.id] = noted_progress([0.0] * (info.length + 1))
            elif info.id not in notes:
                asked.append((store, info.id))
    if asked:
        _judge(config, asked, notes, path, notify)
    return [NotedSource(store, notes | others) for store in stores]


def _judge(
    config: DictConfig,
    asked: Sequence[tuple[EpisodeSource, str]],
    notes: Notes,
    path: Path,
    notify: Callable[[str], None],
) -> None:
    """Add the progress of these episodes to the notes, and write all of them down now and then."""
    from policies.replay.dataset import read_whole

    _require_cameras(dict.fromkeys(store for store, _ in asked), cameras_of_judge(config))
    judge = informed_reward(config)
    require_progress(judge, config, "finetune.shaping", float(config.finetune.shaping))
    notify(f"judging how far the task has come in {len(asked)} offline episodes, once ({path})")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        bar = tqdm(asked, desc="judging offline episodes", unit="episode", dynamic_ncols=True)
        for count, (store, id) in enumerate(bar, 1):
            for episode in read_whole(store, [id]):
                notes[id] = _progress(judge, episode)
            if count % _SAVE_EVERY == 0:
                _keep(path, notes)
    finally:
        _keep(path, notes)


def _progress(judge: LoadedReward, episode: Episode) -> dict[str, Any]:
    """What a session would have noted of an episode; all unknown where the judge never said any."""
    from rewards.measuring import look_at

    said = look_at(judge, episode).readings
    return noted_progress([said[row].progress for row in range(len(episode) + 1)])


def _require_cameras(stores: Mapping[EpisodeSource, None], cameras: Sequence[str]) -> None:
    for store in stores:
        if without := [camera for camera in cameras if camera in missing_of(store).cameras]:
            raise ConfigError(
                f"The judge looks through camera {', '.join(map(repr, without))}, of which {store.path} has none, so "
                "that nobody can say how far its episodes have come. Pre-train without that store, name its camera's "
                "role (data_roles), or give finetune.shaping=0."
            )


def _kept(path: Path) -> Notes:
    if not path.is_file():
        return {}
    try:
        return {str(id): dict(noted) for id, noted in json.loads(path.read_text(encoding="utf-8"))["progress"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} is damaged ({error!r}). It holds the progress of the offline episodes; delete it, and they are "
            "judged anew."
        ) from error


def _keep(path: Path, notes: Notes) -> None:
    replace_file(path, json.dumps({"progress": notes}).encode() + b"\n")
