"""What `regrasp inspect` shows of a store: numbers, health, a contact sheet, a video of an episode."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from trajectories.manifest import EpisodeInfo
from trajectories.media import annotated_frames, contact_sheet, write_mp4
from trajectories.provenance import describe_origins
from trajectories.s3.path import StorePath
from trajectories.store import TrajectoryStore
from trajectories.summary import describe_episode, summarise, summary_table

SHEET_ROWS = 24


def inspect_store(
    path: str | StorePath,
    out_dir: str | Path,
    episode_id: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """Look at a store without changing it, also while another process writes to it.

    Every byte of every episode is verified. Writes `contact_sheet.png` (up to 24 episodes, spread over tasks,
    directions and outcomes) and, for an episode, `<id>.mp4` into `out_dir`.

    Args:
        path: Folder of the store, or its address in a bucket.
        out_dir: Where pictures go; made when missing.
        episode_id: Episode to show in detail.
        progress: Called with the number of episodes that are verified and that of all.

    Returns:
        A report for a person.

    Raises:
        StoreError: When there is no store, or no such episode.
        CorruptEpisodeError: When the episode asked for is damaged.
    """
    store = TrajectoryStore(path, read_only=True)
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    health = _health(store, progress)  # before the overview, which counts the good ones only
    report = [_overview(store), "", health]
    chosen = [store.read(id) for id in spread(store.infos(), SHEET_ROWS)]
    if chosen:
        sheet = out / "contact_sheet.png"
        Image.fromarray(contact_sheet(chosen)).save(sheet)
        report += ["", f"Contact sheet of {len(chosen)} episodes: {sheet}"]
    if episode_id is not None:
        episode = store.read(episode_id)
        video = out / f"{episode_id}.mp4"
        hz = store.spec.control_hz
        write_mp4(video, annotated_frames(episode, hz), hz)
        report += ["", describe_episode(episode), f"  video        {video}"]
    return "\n".join(report)


def spread(infos: Sequence[EpisodeInfo], limit: int) -> list[str]:
    """Ids of up to `limit` episodes that show the variety of a store.

    Groups of equal task, direction and outcome take turns, each giving its newest episode first; the result
    is sorted by group, then by time.
    """
    seen: Counter[tuple[str, str, str]] = Counter()
    ranked = []
    for info in sorted(infos, key=lambda info: info.id, reverse=True):
        group = (info.task, info.direction, info.outcome)
        ranked.append((seen[group], group, info.id))
        seen[group] += 1
    return [id for _, id in sorted((group, id) for _, group, id in sorted(ranked)[:limit])]


def _overview(store: TrajectoryStore) -> str:
    infos, spec = store.infos(), store.spec
    steps = sum(info.length for info in infos)
    cameras = ", ".join(f"{name} {width}x{height}" for name, (height, width) in spec.cameras.items())
    depth = f" Depth (mm): {', '.join(spec.depth)}." if spec.depth else ""
    lines = [
        f"Trajectory store {store.path}",
        f"{len(infos)} episodes, {steps} steps ({steps / spec.control_hz / 60:.1f} min at "
        f"{spec.control_hz:g} Hz), "
        f"{store.bytes_on_disk / 1e6:.1f} MB",
        f"Cameras: {cameras}.{depth} Proprioception: {len(spec.proprio)} numbers. RobotSpec {spec.digest[:12]}.",
        *describe_origins(infos),
    ]
    return "\n".join([*lines, "", summary_table(summarise(infos))] if infos else lines)


def _health(store: TrajectoryStore, progress: Callable[[int, int], None] | None) -> str:
    store.verify(progress)
    damaged, aside, staged = store.recovered.damaged, store.quarantined(), store.staged()
    lines = [f"Integrity: every byte of {len(store)} episodes is as written."]
    if damaged:
        lines.append(f"DAMAGED: {len(damaged)} (a writer moves them aside when it comes upon them):")
        lines += [f"  {entry}" for entry in damaged]
    if staged:
        lines.append(f"Under way or unfinished: {len(staged)} (never acknowledged; the next writer discards):")
        lines += [f"  {name}" for name in staged]
    lines.append(f"Quarantine: {len(aside)}" + (":" if aside else "."))
    lines += [f"  {entry}" for entry in aside]
    return "\n".join(lines)
