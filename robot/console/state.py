"""What a session shows of itself to the people around it: one snapshot, as plain data.

The session builds a `ConsoleState` when it is asked and hands out `to_dict()`; every entry has a default, so a session
fills in what it has. Angles in rad, lengths in m, efforts in N m.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, TypeVar

from robot.control.faults import Fault
from robot.control.safety_limits import SafetyLimits
from robot.interfaces import ArmState
from robot.rollout.actor_status import Tally
from trajectories.errors import LinkError

Acting = Literal["policy", "person", "nobody"]
STREAMING = "streaming"
"""State of a camera that delivers; every other state is trouble."""
T = TypeVar("T")


@dataclass(frozen=True)
class JointView:
    """A joint.

    Attributes:
        name: As in `RobotSpec.joints`.
        position: rad.
        lower: Smallest angle, rad.
        upper: Largest angle, rad.
        effort: N m, signed.
        max_effort: N m, from which on the arm yields.
    """

    name: str
    position: float
    lower: float
    upper: float
    effort: float
    max_effort: float


@dataclass(frozen=True)
class ServoView:
    """A servo, shadows included. None where it doesn't tell.

    Attributes:
        name: E.g. "shoulder_shadow".
        temperature: Degrees C.
        temperature_limit: Degrees C at which it switches itself off.
        voltage: V.
        load: Signed fraction of the stall torque, -1 ... 1.
    """

    name: str
    temperature: float | None = None
    temperature_limit: float | None = None
    voltage: float | None = None
    load: float | None = None


@dataclass(frozen=True)
class CameraView:
    """A camera.

    Attributes:
        fps: Frames per second of late.
        age_ms: Age of the newest frame; None before the first.
        state: "streaming", or what is wrong: starting, stale, frozen, lost.
        dropped: Frames that never arrived.
        last_error: Why it failed last, or None.
    """

    fps: float = 0.0
    age_ms: float | None = None
    state: str = STREAMING
    dropped: int = 0
    last_error: str | None = None


@dataclass(frozen=True)
class LoopView:
    """How regularly the arm's control loop runs.

    Attributes:
        period_p50_ms: Median period.
        period_p99_ms: 99th percentile of the period.
        missed: Cycles left out.
        incomplete: Cycles in which a servo didn't answer.
    """

    period_p50_ms: float
    period_p99_ms: float
    missed: int = 0
    incomplete: int = 0


@dataclass(frozen=True)
class EpisodeView:
    """An episode that a person may speak about.

    Attributes:
        id: To name it by.
        direction: "forward" or "backward".
        judged: What the judge said at its end: success, failure, or unknown where it was unsure or had no answer; empty
            while it is under way.
        said: What a person said: done or not_done; empty where nobody has.
        by: Who.
    """

    id: str
    direction: str
    judged: str = ""
    said: str = ""
    by: str = ""


@dataclass(frozen=True)
class ConsoleState:
    """A session at one instant.

    Attributes:
        task: Task name.
        instruction: What the robot is asked to do now.
        direction: "forward", "backward" or empty.
        acting: Who moves the arm.
        step: Control step of this episode.
        max_steps: Steps after which it is truncated; 0: unknown.
        success_probability: What the judge thinks, 0 ... 1; None before it has looked.
        unsure: Whether the judge doesn't know at present; if it ends so, nothing is learned from the episode.
        progress: How far the task has come in each observation of the episode so far, 0 ... 1; None where the judge
            doesn't say.
        mode: Of the arm's driver: follow, sleep, rest, hold, fault, lost; None where there is no driver.
        fault: Why the arm takes no commands, and what to do; or None.
        faults: The same, one by one, each with the id that a word to clear it names.
        clipped: Names of the safety limits that changed the last action.
        joints: Base to wrist, see `joint_views`.
        gripper_width: m; None when unknown.
        gripper_effort: -1 ... 1, positive when squeezing.
        servos: In the order of their ids; empty without servos.
        loop: Figures of the control loop, or None.
        cameras: By name.
        episodes: Stored in this run.
        steps: Stored in this run.
        tallies: Direction -> success by the outcomes that count: a person's, else the judge's.
        helps: Reason -> how often help was asked for.
        policy_version: Of the weights in use; 0: as pre-trained.
        stale: Why joints and gripper are not shown: the arm's own loop says nothing new; or None.
        waiting_for: What the session asks a person to do, or None. It names the word that answers it, ready or clear.
        running: The episode under way, where people may speak about it; or None.
        last: The one that ended last, likewise.
        updated_s: Unix time of the control loop's last sign of life; 0: there was none.
    """

    task: str = ""
    instruction: str = ""
    direction: str = ""
    acting: Acting = "nobody"
    step: int = 0
    max_steps: int = 0
    success_probability: float | None = None
    unsure: bool = False
    progress: tuple[float | None, ...] = ()
    mode: str | None = None
    fault: str | None = None
    faults: tuple[Fault, ...] = ()
    clipped: tuple[str, ...] = ()
    joints: tuple[JointView, ...] = ()
    gripper_width: float | None = None
    gripper_effort: float | None = None
    servos: tuple[ServoView, ...] = ()
    loop: LoopView | None = None
    cameras: Mapping[str, CameraView] = field(default_factory=dict)
    episodes: int = 0
    steps: int = 0
    tallies: Mapping[str, Tally] = field(default_factory=dict)
    helps: Mapping[str, int] = field(default_factory=dict)
    policy_version: int = 0
    stale: str | None = None
    waiting_for: str | None = None
    running: EpisodeView | None = None
    last: EpisodeView | None = None
    updated_s: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the snapshot as dictionaries and lists."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> ConsoleState:
        """Inverse of `to_dict`; missing entries get their defaults, unknown ones are left out.

        Raises:
            LinkError: When an entry has the wrong shape.
        """
        try:
            values = _known(cls, raw)
            for name, kind in (("joints", JointView), ("servos", ServoView), ("faults", Fault)):
                values[name] = tuple(kind(**_known(kind, entry)) for entry in raw.get(name) or ())
            values["clipped"] = tuple(map(str, raw.get("clipped") or ()))
            values["progress"] = tuple(None if come is None else float(come) for come in raw.get("progress") or ())
            values["loop"] = LoopView(**_known(LoopView, raw["loop"])) if raw.get("loop") else None
            for name in ("running", "last"):
                values[name] = EpisodeView(**_known(EpisodeView, raw[name])) if raw.get(name) else None
            values["cameras"] = _views(raw, "cameras", lambda entry: CameraView(**_known(CameraView, entry)))
            values["tallies"] = _views(raw, "tallies", Tally.from_dict)
            return cls(**values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LinkError(
                f"The session's state is not as expected ({error!r}). Run both sides from the same version of Regrasp."
            ) from error


def joint_views(state: ArmState, limits: SafetyLimits, names: Sequence[str]) -> tuple[JointView, ...]:
    """The joints of `state`, called `names`, within the safety limits."""
    return tuple(
        JointView(*values)
        for values in zip(
            names,
            state.joints.tolist(),
            limits.joint_lower,
            limits.joint_upper,
            state.efforts.tolist(),
            limits.max_efforts,
            strict=True,
        )
    )


def _known(kind: type, raw: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that `kind` has a field for."""
    names = {f.name for f in fields(kind)}
    return {name: value for name, value in raw.items() if name in names}


def _views(raw: Mapping[str, Any], name: str, build: Callable[[Mapping[str, Any]], T]) -> dict[str, T]:
    """A mapping whose values are built one by one."""
    return {str(key): build(entry) for key, entry in (raw.get(name) or {}).items()}
