"""Copying a store's episodes to an address in a bucket: an episode's objects first, its manifest last.

The files go as they are, bit by bit, each verified against its manifest before it leaves and by the request's signature
when it arrives. A reader never counts an episode whose manifest isn't there, so that an upload may be cut off anywhere;
the same upload again leaves out what has arrived whole, and writes the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trajectories.errors import SpecMismatchError, StoreError
from trajectories.header import read_header
from trajectories.layout import HEADER
from trajectories.manifest import MANIFEST
from trajectories.s3.connection import answer
from trajectories.s3.episodes import EPISODES
from trajectories.s3.path import S3Path
from trajectories.store import TrajectoryStore
from trajectories.verdicts import VERDICTS, VerdictBook


@dataclass(frozen=True)
class Uploaded:
    """What an upload did.

    Attributes:
        written: Episodes that were copied.
        there: Episodes that were there already, equal by their digests.
        verdicts: What people said about the episodes and wasn't there.
    """

    written: int
    there: int
    verdicts: int


def upload(
    store: TrajectoryStore,
    ids: Sequence[str],
    target: S3Path,
    beside: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Uploaded:
    """Copy episodes of `store` to the store at `target`, which is made where there is none.

    Args:
        store: To copy from.
        ids: Of the episodes.
        target: Its address.
        beside: Names of files beside the store's header that go along where they are.
        progress: Called with the number of episodes that are done and that of all.

    Raises:
        SpecMismatchError: The store there is another robot's.
        StoreError: There is another episode with one of the ids, or the bucket can't be written.
        CorruptEpisodeError: An episode of `store` is damaged; those before it have arrived.
    """
    _settle_header(store, target)
    for name in beside:
        _copy_missing(store, target, name)
    there, written = TrajectoryStore(target, store.spec, read_only=True), 0
    for done, id in enumerate(ids, 1):
        written += _upload_episode(store, id, target, there)
        if progress is not None:
            progress(done, len(ids))
    verdicts = _upload_verdicts(store, ids, target)
    return Uploaded(written, len(ids) - written, verdicts)


def _settle_header(store: TrajectoryStore, target: S3Path) -> None:
    """Write the header where there is none."""
    header = target / HEADER
    if not header.exists():
        header.write_bytes((store.path / HEADER).read_bytes())
        return
    stored, mine = read_header(header), read_header(store.path / HEADER)
    if stored is None or mine is None:
        raise StoreError(
            f"{header if stored is None else store.path / HEADER} is damaged. Delete it, and export again."
        )
    store.spec.require_same(stored.spec, f"The trajectory store {target}")
    if stored.digest != mine.digest:
        raise SpecMismatchError(
            f"The trajectory stores {store.path} and {target} were made by versions of Regrasp that write a robot's "
            "specification in different ways. Give another address."
        )


def _copy_missing(store: TrajectoryStore, target: S3Path, name: str) -> None:
    source = store.path / name
    if source.is_file() and not (target / name).exists():
        (target / name).write_bytes(source.read_bytes())


def _upload_episode(store: TrajectoryStore, id: str, target: S3Path, there: TrajectoryStore) -> bool:
    """Whether it had to be written.

    Raises:
        StoreError: Another episode has its id there.
    """
    manifest = store.manifest(id)
    if id in there:
        if there.manifest(id) != manifest:
            raise StoreError(
                f"{target} has another episode with the id {id} than {store.path}: its files differ. "
                "Give another address."
            )
        return False
    folder, files = target / EPISODES / id, store.files(id)
    for writing in [(folder / name).begin_writing(content) for name, content in files.items()]:
        answer(writing)
    (folder / MANIFEST).write_bytes(manifest.to_bytes())
    return True


def _upload_verdicts(store: TrajectoryStore, ids: Sequence[str], target: S3Path) -> int:
    """Copy what isn't there of what people said about these episodes; returns how much that was."""
    chosen, place = set(ids), target / VERDICTS
    known = place.objects()
    said = [one.file_name for one in VerdictBook(store.path).all() if one.episode in chosen]
    missing = [name for name in said if name not in known]
    for name in missing:
        (place / name).write_bytes((store.path / VERDICTS / name).read_bytes())
    return len(missing)
