"""One episode of a matrix, whatever ends it."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tqdm import tqdm

from commands.evaluate.trials import Begun, Trial, TrialResult, act_out, begin_trial
from commands.evaluate.verdicts import PredicateJudge
from factory.robot import TwinStation
from factory.twin import TwinSettings, cached_twin
from trajectories.errors import CheckpointError, LinkError, RegraspError, SafetyError
from trajectories.types import UInt8

MOST_STARTS = 3
"""Times that the start of an episode is tried when faults end it."""
FAULT, NOT_BEGUN = "fault", "not_begun"
"""Keys of an episode's record: why the robot's own limits ended it, or why its start did not come to the policy."""


@dataclass(frozen=True)
class Measured:
    """What came of an episode.

    Attributes:
        episode: Its record, plain JSON; None where an error ended it.
        frames: uint8 (T + 1, H, W, 3), where they were asked for and it went to its end.
        error: What ended it, for people.
        of_link: Whether that was the way to the policy, or another policy at its end.
    """

    episode: dict[str, Any] | None
    frames: UInt8 | None = None
    error: str = ""
    of_link: bool = False


def measure(settings: TwinSettings, trial: Trial) -> Measured:
    """Run one episode in this process' twin.

    What the robot's own limits end has failed. A fault before the policy was asked is not the policy's: the start is
    tried again, and after `MOST_STARTS` the episode counts as not begun.
    """
    try:
        return _run(settings, trial)
    except Exception as error:  # whatever it is, it is this episode's: the bench has others to run
        cached_twin.cache_clear()
        if isinstance(error, RegraspError):
            return Measured(None, error=str(error), of_link=isinstance(error, (LinkError, CheckpointError)))
        tqdm.write("".join(traceback.format_exception(error)), file=sys.stderr)
        return Measured(None, error=f"{type(error).__name__}: {error}")


def counts(episode: Mapping[str, Any] | None) -> bool:
    """Whether a kept record says what came of an episode.

    Earlier versions counted a start that a fault ended as failed, without the words that the policy would have heard.
    """
    return episode is not None and not (FAULT in episode and not episode["instruction"])


def _run(settings: TwinSettings, trial: Trial) -> Measured:
    twin = cached_twin(settings)
    station = TwinStation(twin)
    begun = _begin(station, trial)
    if isinstance(begun, str):
        return Measured(asdict(_ended(trial, None, 0, twin.env.instruction)) | {NOT_BEGUN: begun})
    try:
        result, frames = act_out(station, PredicateJudge(twin.success), settings.cameras[0], trial, begun)
    except SafetyError as error:
        twin.clear_own_faults()
        failed = _ended(trial, False, trial.max_steps, twin.env.instruction)
        return Measured(asdict(replace(failed, share=twin.share(trial.direction))) | {FAULT: str(error)})
    return Measured(asdict(replace(result, share=twin.share(trial.direction))), frames)


def _begin(station: TwinStation, trial: Trial) -> Begun | str:
    """The episode in its start, or why that can't be reached."""
    why = ""
    for _ in range(MOST_STARTS):
        try:
            return begin_trial(station, trial)
        except SafetyError as error:
            station.twin.clear_own_faults()
            why = str(error)
    return why


def _ended(trial: Trial, success: bool | None, steps: int, instruction: str) -> TrialResult:
    return TrialResult(trial.direction, trial.mode, trial.index, success, steps, instruction)
