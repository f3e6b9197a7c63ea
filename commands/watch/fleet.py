"""The learner and its actors on the page of `regrasp watch`, from the file that the learner leaves in its folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from policies.learner.learner_status import AWAY_S, ActorView, LearnerStatus
from policies.learner.run_folder import STATUS
from robot.console.light import Light
from robot.fleet import ENDED

_TROUBLE = ("holds", "asks", "failed")
_NAMES = {"holds": "is held", "asks": "asks for a person", "failed": "has failed"}


def find_learner(run_dir: Path) -> LearnerStatus | None:
    """What the learner of a run wrote last, in the run's folder or in one of the folders in it; None without any."""
    found = [path for path in (run_dir / STATUS, *run_dir.glob(f"*/{STATUS}")) if path.is_file()]
    for path in sorted(found, key=lambda one: one.stat().st_mtime_ns, reverse=True):
        try:
            return LearnerStatus.read(path)
        except (OSError, ValueError):  # of another version, or gone meanwhile
            continue
    return None


def runs(status: LearnerStatus, now_s: float) -> bool:
    """Whether the learner wrote it a moment ago."""
    return now_s - status.updated_s < AWAY_S


def view_of(status: LearnerStatus, now_s: float) -> dict[str, Any]:
    """The learner for the page, plain JSON types; nobody of a learner that doesn't run lives."""
    running = runs(status, now_s)
    actors = [
        {
            **asdict(one),
            "alive": one.alive and running,
            "doing": _doing(one, now_s, running=running),
            "calibration": _calibration(one.calibration),
            "resets": sum(one.report.resets.values()),
            "resets_why": _reasons(one.report.resets),
        }
        for one in status.actors
    ]
    return {**asdict(status), "running": running, "actors": actors, "heading": heading_of(status, now_s)}


def heading_of(status: LearnerStatus, now_s: float) -> str:
    """Where the run stands, in a line."""
    waits = " (actors wait for it)" if status.owed > status.max_lag else ""
    where = (
        f"{status.steps} of {status.total} steps, {status.updates} updates, {status.owed} due{waits}, "
        f"newest policy {status.version}"
    )
    return where if runs(status, now_s) else f"The learner doesn't run. It left {where}."


def light_of_learner(status: LearnerStatus, now_s: float) -> Light:
    """What matters most about a learner and its actors, for a page without a session of its own."""
    if not runs(status, now_s):
        return Light(
            "grey", "NO LEARNER", heading_of(status, now_s), "`regrasp learner` with the same settings goes on."
        )
    for one in status.actors:
        if one.report.state == "failed" or (one.alive and one.report.state in _TROUBLE):
            said = f"{one.name} {_NAMES[one.report.state]}: {one.report.detail}"
            return Light("amber", "AN ARM WAITS", said, "Look at that arm, and at its own page.")
    away = [one.name for one in status.actors if not one.alive and one.report.state not in ENDED]
    if away:
        said = f"{', '.join(away)}: nothing heard. The others go on."
        return Light("amber", "AN ARM IS AWAY", said, "Look at its computer and its network; started again it goes on.")
    alive = sum(one.alive for one in status.actors)
    return Light("green", "LEARNING", f"{alive} of {len(status.actors)} arms are here. {heading_of(status, now_s)}.")


def text_of_learner(status: LearnerStatus, now_s: float) -> str:
    """The same for a terminal."""
    return "\n".join(
        [f"learner    {heading_of(status, now_s)}", *(f"actor      {line}" for line in _lines(status, now_s))]
    )


def _lines(status: LearnerStatus, now_s: float) -> Iterator[str]:
    running = runs(status, now_s)
    for one in status.actors:
        state = _doing(one, now_s, running=running)
        detail = f" ({one.report.detail})" if one.report.detail else ""
        rates = [f"{name} {rate:.0%}" for name, rate in sorted(one.success.items(), reverse=True) if rate is not None]
        resets = _reasons(one.report.resets) or "none"
        yield (
            f"{one.name}: {state}{detail}; {one.episodes} episodes, {one.steps} steps, {one.unsure} unsure; "
            f"success {', '.join(rates) or '-'}; resets {resets}; policy {one.report.policy_version}, "
            f"{one.behind} behind; {one.report.outbox} waiting; calibration {_calibration(one.calibration)}"
        )


def _doing(one: ActorView, now_s: float, *, running: bool) -> str:
    """What it does, or when it was heard last."""
    state = one.report.state
    if one.alive and running:
        return state
    return f"{state}, {_ago(one, now_s)}" if state in ENDED else f"away, {_ago(one, now_s)}, was {state}"


def _ago(one: ActorView, now_s: float) -> str:
    """When it was heard last, for a person."""
    seconds = now_s - one.heard_s
    if not one.heard_s:
        return "never heard"
    if seconds < 90:
        return f"heard {max(0.0, seconds):.0f} s ago"
    return f"heard {seconds / 60:.0f} min ago" if seconds < 5400 else f"heard {seconds / 3600:.0f} h ago"


def _calibration(mark: Mapping[str, str] | None) -> str:
    return "none" if mark is None else f"{mark.get('arm', '')} of {mark.get('date', '')[:10]}"


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason}: {count}" for reason, count in sorted(counts.items()))
