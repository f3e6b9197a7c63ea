"""What an import would do: every episode checked, a contact sheet, histograms beside the store's own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from commands.importing.histograms import Compared, draw_histograms
from commands.importing.plan import Opened, Plan, imported_before
from factory.doors.inward import Prepared, prepare, to_episode
from factory.doors.motion import UnfitEpisodeError
from trajectories.formats.foreign import DamagedEpisodeError
from trajectories.media import contact_sheet
from trajectories.provenance import origin_of
from trajectories.store import TrajectoryStore
from trajectories.types import Episode, Float32

_SHEET = 12
_OURS = 50
"""Episodes of the store that the histograms are compared with."""
_SHOWN = 20


def dry_run(plan: Plan, out: Path) -> str:
    """Check every episode, and write `SOURCE.png` and `SOURCE_histograms.png` into `out`.

    Returns:
        A report for a person.

    Raises:
        ConfigError: Something that every episode needs isn't said.
    """
    out.mkdir(parents=True, exist_ok=True)
    ours = _ours(plan)
    return "\n\n".join(_source_report(opened, plan, ours, out) for opened in plan.sources)


def _source_report(opened: Opened, plan: Plan, ours: tuple[Float32, Float32] | None, out: Path) -> str:
    ready: list[Prepared] = []
    left: list[tuple[str, str]] = []
    for name in tqdm(opened.chosen, desc=f"checking {opened.name}", unit="episode", dynamic_ncols=True):
        try:
            ready.append(prepare(opened.source.read(name), opened.description, plan.mapping, plan.spec))
        except (UnfitEpisodeError, DamagedEpisodeError) as error:
            left.append((name, str(error)))
    lines = _described(opened, plan)
    episodes, more = _sample(ready, opened, plan)
    left += more
    undecodable = {name for name, _ in more}
    ready = [one for one in ready if one.foreign.name not in undecodable]
    if ready:
        lines += _counts(ready, opened, plan)
        sheet = out / f"{opened.name}.png"
        if episodes:
            Image.fromarray(contact_sheet(episodes)).save(sheet)
            lines.append(f"Contact sheet of {len(episodes)} episodes: {sheet}")
        actions = np.concatenate([one.motion.actions for one in ready])
        proprio = np.concatenate([one.proprio for one in ready])
        histograms = out / f"{opened.name}_histograms.png"
        draw_histograms(histograms, Compared(opened.name, actions, proprio, ours, plan.spec, plan.mapping.arm))
        lines.append(f"Histograms of actions and proprioception: {histograms}")
    lines.append(f"Would be left out: {len(left)}" + (":" if left else "."))
    lines += [f"  {name}: {reason}" for name, reason in left[:_SHOWN]]
    lines += [f"  and {len(left) - _SHOWN} more"] if len(left) > _SHOWN else []
    return "\n".join(lines)


def _described(opened: Opened, plan: Plan) -> list[str]:
    about, used = opened.description, {camera.key for camera in plan.mapping.cameras.values()}
    rate = "not said" if about.fps is None else f"{about.fps:g} per second"
    robot = about.robot_type or "not named"
    lines = [
        f"{opened.name}: {about.format} {about.version}, {about.episodes} episodes, robot {robot}, frames {rate}",
        f"Into {plan.store} ({'there already' if plan.exists else 'new'}) at {plan.spec.control_hz:g} Hz.",
        "Keys of the source:",
    ]
    for key, found in sorted(about.keys.items()):
        said = f"{found.dtype} {found.shape}" + (f"  {', '.join(found.names)}" if found.names else "")
        note = "  camera" + (", used" if key in used else ", not used") if found.image else ""
        lines.append(f"  {key}: {said}{note}")
    return lines


def _counts(ready: list[Prepared], opened: Opened, plan: Plan) -> list[str]:
    steps = sum(one.clock.steps for one in ready)
    outcomes = ", ".join(f"{count} {name}" for name, count in Counter(one.outcome for one in ready).most_common())
    clipped = sum(one.motion.clipped * one.clock.steps for one in ready) / steps
    words = Counter(one.instruction for one in ready).most_common(3)
    there = 0
    if plan.exists:
        with TrajectoryStore(plan.store, read_only=True) as store:
            have = imported_before(opened.name, store)
        there = sum(one.foreign.name in have for one in ready)
    said = f" ({there} of them are in the store already)" if there else ""
    return [
        f"Would be imported: {len(ready)} episodes{said}, {steps} steps ({steps / plan.spec.control_hz / 60:.1f} min); "
        f"{outcomes}.",
        f"Steps faster than an action can say, which are clipped: {100 * clipped:.1f} %.",
        "Instructions: " + "; ".join(f"{text!r} ({count})" for text, count in words),
    ]


def _sample(ready: list[Prepared], opened: Opened, plan: Plan) -> tuple[list[Episode], list[tuple[str, str]]]:
    """Episodes for the contact sheet, spread over the source, and those of them whose pictures can't be decoded."""
    chosen = np.unique(np.linspace(0, len(ready) - 1, min(_SHEET, len(ready))).round().astype(int))
    episodes, damaged = [], []
    for place in chosen:
        try:
            episodes.append(to_episode(ready[place], opened.description, plan.mapping, plan.spec, opened.name))
        except DamagedEpisodeError as error:
            damaged.append((ready[place].foreign.name, str(error)))
    return episodes, damaged


def _ours(plan: Plan) -> tuple[Float32, Float32] | None:
    """Actions and proprioception of what the store holds that wasn't imported; None without any."""
    if not plan.exists:
        return None
    with TrajectoryStore(plan.store, read_only=True) as store:
        ids = [info.id for info in store.infos() if origin_of(info) is None]
        if not ids:
            return None
        chosen = np.unique(np.linspace(0, len(ids) - 1, _OURS).round().astype(int))
        episodes = [store.read(ids[place]) for place in chosen]
    actions = np.concatenate([episode.executed for episode in episodes])
    return actions, np.concatenate([episode.proprio for episode in episodes])
