"""The episodes that a reward model learns from: a run's recorded data, and what people said about its sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack

from omegaconf import DictConfig

from factory.run_folders import finetune_folder
from factory.spec import plain, spec_of
from factory.store_place import store_at
from policies.learner.run_folder import EPISODES
from trajectories.alignment import EpisodeSource, missing_of
from trajectories.errors import ConfigError, CorruptEpisodeError
from trajectories.kinds import AFTERMATH, kind_of
from trajectories.s3.path import StorePath
from trajectories.store import TrajectoryStore
from trajectories.types import Episode
from trajectories.verdicts import VerdictBook

RECORDED = ("demo", "failure", "prior", AFTERMATH)
"""Kinds of recorded episodes that a reward model learns from: persons, or the predicate in their place, marked them."""
AUTO = "auto"


def episodes_of(store: EpisodeSource, kinds: tuple[str, ...], tell: Callable[[str], None]) -> Iterator[Episode]:
    """The store's episodes of these kinds by the outcomes that count; damaged ones are reported and left out."""
    book = VerdictBook(store.path)
    for info in store.infos():
        if kind_of(info) in kinds:
            yield from _read(store, info.id, book, tell)


def seen_by(
    stores: Iterable[EpisodeSource], cameras: Sequence[str], tell: Callable[[str], None]
) -> list[EpisodeSource]:
    """The stores that have the judge's cameras, or some in their roles; the others are reported and left out.

    Raises:
        ConfigError: None of them has.
    """
    seen: list[EpisodeSource] = []
    for store in stores:
        without = [camera for camera in cameras if camera in missing_of(store).cameras]
        if without:
            named = ", ".join(map(repr, without))
            tell(f"left out, since nothing there has the role of the judge's camera {named}: {store.path}")
        else:
            seen.append(store)
    if not seen:
        raise ConfigError(
            f"No store of data has the judge's camera {', '.join(map(repr, cameras))}. Say which of theirs has its "
            f"role, e.g. data_roles=[{{{cameras[0]}:image_0}}]."
        )
    return seen


def open_sessions(config: DictConfig, stack: ExitStack) -> list[TrajectoryStore]:
    """The stores of sessions that `train_reward.sessions` names, closed by `stack`.

    "auto" is what fine-tuning with these settings has recorded on this machine, if anything.

    Raises:
        ConfigError: It is no list of folders.
        StoreError: There is no store in one of them.
        SpecMismatchError: Another robot recorded one.
    """
    given = plain(config.train_reward).get("sessions")
    if given == AUTO:
        folder = finetune_folder(config) / EPISODES
        paths: list[StorePath] = [folder] if (folder / "store.json").is_file() else []
    else:
        listed = [given] if isinstance(given, str) else given or []
        if not isinstance(listed, list) or not all(isinstance(path, str) for path in listed):
            raise ConfigError(
                f"train_reward.sessions={given!r} is no list of folders of trajectory stores; expected auto, null, or "
                "e.g. [runs/mine/finetune_regrasp/episodes]."
            )
        paths = [store_at(config, path) for path in listed]
    spec = spec_of(config)
    return [stack.enter_context(TrajectoryStore(path, spec, read_only=True)) for path in paths]


def confirmed(store: EpisodeSource) -> list[str]:
    """Ids of a store's episodes whose outcome a person confirmed or overturned, and whose word holds, in order."""
    book = VerdictBook(store.path)
    return [id for id in store.ids() if book.of(id) is not None]


def session_episodes(store: EpisodeSource, ids: Iterable[str], tell: Callable[[str], None]) -> Iterator[Episode]:
    """Episodes of a session by the outcomes that count; damaged ones are reported and left out."""
    book = VerdictBook(store.path)
    for id in ids:
        yield from _read(store, id, book, tell)


def _read(store: EpisodeSource, id: str, book: VerdictBook, tell: Callable[[str], None]) -> Iterator[Episode]:
    try:
        yield book.judged(store.read(id))
    except CorruptEpisodeError as error:
        tell(f"left out: {error}")
