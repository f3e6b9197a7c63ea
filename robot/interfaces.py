"""The interfaces between the controller and everything around it, with the loop they serve.

observation = env.observe()                    # newest frames and joint state, stale ones refused
while True:
    proposed = policy.act(observation)         # float32 (7,) in [-1, 1]
    applied = env.apply(proposed)              # safety -> target pose -> inverse kinematics -> 50 Hz joints
    observation = env.observe()
    reading = reward.update(observation)       # calibrated probability, debounced decision
    recorder.step(...)
    if reading.done or steps == limit: break   # then the other direction's instruction
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from robot.control.faults import Clearance, Fault
from robot.control.pose import Pose
from trajectories.types import (
    Command,
    Direction,
    Episode,
    Float32,
    Float64,
    Observation,
    RobotSpec,
    UInt8,
    UInt16,
    Weights,
)
from trajectories.verdicts import Verdict


@dataclass(frozen=True)
class ArmState:
    """Joint state of one instant of an arm with N joints.

    Attributes:
        joints: float64 (N,) rad.
        velocities: float64 (N,) rad/s.
        efforts: float64 (N,) N m, signed.
        gripper_width: Gap between the fingers, m.
        gripper_effort: -1 ... 1, fraction of the effort that the gripper may use now, positive when squeezing.
        t_ns: Monotonic ns of the measurement.
    """

    joints: Float64
    velocities: Float64
    efforts: Float64
    gripper_width: float
    gripper_effort: float
    t_ns: int


@dataclass(frozen=True)
class Frame:
    """One camera image.

    Attributes:
        image: uint8 (H, W, 3) RGB.
        t_ns: Monotonic ns of the exposure.
        depth: uint16 (H, W), mm, 0 where nothing was measured; None of a camera without depth.
    """

    image: UInt8
    t_ns: int
    depth: UInt16 | None = None


@dataclass(frozen=True)
class RewardReading:
    """What the reward model thinks of the newest observation.

    Attributes:
        probability: Calibrated probability that the instruction is done, 0 ... 1.
        done: The debounced decision.
        above: Whether this one frame is above the judge's own threshold for that decision.
        progress: How far the task has come, 0 ... 1; None from a judge that doesn't say.
        unsure: Whether the judge doesn't know at present: its members are at odds, or the scene is unlike what it
            learned from. Whatever it decides then counts for nothing.
        refuted: Whether the scene surely doesn't show it done. Said with the arm at home alone, and only by a judge
            that has learned what done looks like from there.
    """

    probability: float
    done: bool
    above: bool = False
    progress: float | None = None
    unsure: bool = False
    refuted: bool = False


class Clock(Protocol):
    """The wall on the arm; the physics in the twin (advancing it steps the simulation)."""

    def now_ns(self) -> int:
        """Monotonic ns."""
        ...

    def sleep_until_ns(self, t_ns: int) -> None:
        """Return at `t_ns` or at once if that is past."""
        ...


class ArmKinematics(Protocol):
    """Where the tip of an arm with N joints is, and which joint angles put it somewhere."""

    def forward(self, joints: Sequence[float] | Float64) -> Pose:
        """Pose of the tip for joint angles (N,), rad.

        Raises:
            KinematicsError: When `joints` are not N finite numbers.
        """
        ...

    def inverse(self, pose: Pose, near_joints: Sequence[float] | Float64) -> Float64:
        """Joint angles float64 (N,), rad, within the limits that reach `pose`, nearest to `near_joints`.

        Raises:
            KinematicsError: When there are none.
        """
        ...

    def attainable(self, pose: Pose) -> Pose:
        """The pose with the same position and the nearest rotation that this arm can take there.

        The very pose (the same object) where it can take it; arms of six joints always can, out of reach aside.
        """
        ...


class Arm(Protocol):
    """An arm of N joints with a parallel gripper."""

    def read(self) -> ArmState:
        """The newest joint state; never invented."""
        ...

    def send(self, command: Command) -> None:
        """Set the newest goal; returns at once."""
        ...

    def hold(self) -> None:
        """Goal = present position."""
        ...

    @property
    def fault(self) -> str | None:
        """Why the arm takes no commands until a person clears it, or None."""
        ...

    def clear(self, person: str) -> None:
        """Go on after a fault, on the word of a person who looked at the arm; nothing to do where there is none.

        Raises:
            SafetyError: Without a name, or when the cause isn't gone.
            DeviceError: When the arm doesn't answer.
        """
        ...

    def close(self) -> None:
        """Release the device without dropping the arm."""
        ...


@runtime_checkable
class LatchingArm(Protocol):
    """An arm that itself keeps the rule of `robot.control.faults`; any `Arm` does behind a `LatchedArm`."""

    def read(self) -> ArmState:
        """The newest joint state; never invented."""
        ...

    def send(self, command: Command) -> None:
        """Set the newest goal; returns at once.

        Raises:
            SafetyError: While something stands.
        """
        ...

    def hold(self) -> None:
        """Stop following: stand, gripper included, until the next command."""
        ...

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What stands, oldest first."""
        ...

    def trip(self, fault: Fault) -> None:
        """Let this instance stand: nothing moves, in whatever mode, until it is cleared. From any thread, at once."""
        ...

    def clear(self, person: str, ids: Sequence[str]) -> None:
        """End exactly these instances, on the word of a person who looked at the arm.

        Raises:
            SafetyError: Without a name, for something that doesn't stand, or when a cause isn't gone.
            DeviceError: When the arm doesn't answer.
        """
        ...

    def close(self) -> None:
        """Release the device without dropping the arm."""
        ...


class Camera(Protocol):
    """A colour camera, with depth or without."""

    def latest(self, max_age_ns: int) -> Frame:
        """The newest frame.

        Raises:
            StaleDataError: When it is older than `max_age_ns`.
        """
        ...


class Policy(Protocol):
    """Chooses actions. `version` is the version of the loaded `Weights` (0: as pre-trained)."""

    version: int

    def act(self, observation: Observation, deterministic: bool = False) -> Float32:
        """float32 (7,) in [-1, 1]."""
        ...

    def load(self, weights: Weights) -> None:
        """Swap in newer weights; the old ones stay when these are refused."""
        ...


class EpisodePolicy(Protocol):
    """A policy that can be measured: the same seed and the same observations give the same actions.

    Attributes:
        version: Of the weights.
        digest: Changes whenever it would act differently.
    """

    version: int
    digest: str

    @property
    def instructions(self) -> tuple[str, ...] | None:
        """All that it understands; None where it takes any words."""
        ...

    def seed(self, seed: int) -> None:
        """Begin an episode: its draws come from `seed`, and nothing of the one before is remembered."""
        ...

    def act(self, observation: Observation, deterministic: bool = False) -> Float32:
        """float32 (7,) in [-1, 1]."""
        ...


class RewardModel(Protocol):
    """Judges success from images and the instruction."""

    def reset(self, instruction: str) -> None:
        """Start judging a new episode."""
        ...

    def update(self, observation: Observation) -> RewardReading:
        """Judge the newest observation."""
        ...


@runtime_checkable
class ConcludingReward(Protocol):
    """A `RewardModel` too slow for the control loop: it looks on and judges an episode that time ended."""

    def reset(self, instruction: str) -> None:
        """Start looking on at a new episode."""
        ...

    def update(self, observation: Observation) -> RewardReading:
        """Take the newest observation; at once, and seldom or never done."""
        ...

    def conclude(self) -> RewardReading | None:
        """Judge the episode as a whole, while the arm stands; may take many seconds. None: nobody can say."""
        ...


@runtime_checkable
class HomeReward(Protocol):
    """A `RewardModel` that knows what scenes look like with the arm at home."""

    def reset_from_home(self, instruction: str) -> None:
        """Start judging what an episode left, the arm at home."""
        ...


class Operator(Protocol):
    """Who is asked for help: in the twin a scene reset, on the arm a message to a person."""

    def trouble(self) -> str | None:
        """Why the session can't go on (e.g. the object left the workspace), or None."""
        ...

    def help(self, reason: str, direction: Direction) -> None:
        """Bring the scene into a start state for `direction`; returns when done."""
        ...

    def recover(self, faults: Sequence[Fault]) -> Clearance | None:
        """After faults: look at the arm, remove the causes, and say who did and which faults are cleared.

        None leaves it to the word of a person, which the session waits for. Whoever isn't a person clears what it
        caused and never a hold.
        """
        ...

    def resume(self, reason: str) -> None:
        """Data that were away are back and nothing stands: return when the arm may move again.

        Raises:
            StoppedError: When the session is stopped meanwhile.
        """
        ...


@dataclass(frozen=True)
class Receipt:
    """The run's totals, without doubles, of what is durable. As the answer to an episode: it is among that."""

    steps: int
    episodes: int


class LearnerEndpoint(Protocol):
    """What the learner offers to actors, over the link or in the same process."""

    def hello(self, spec: RobotSpec, policy_digest: str) -> int:
        """Check that both sides belong together; returns the newest weights' version.

        Raises:
            SpecMismatchError, CheckpointError: When they don't.
        """
        ...

    def put_episode(self, episode: Episode) -> Receipt:
        """Store an episode durably before returning; the same id twice counts once."""
        ...

    def put_verdict(self, verdict: Verdict) -> None:
        """Keep a person's word about an episode durably before returning, and learn by it; the same twice counts once.

        The episode may arrive later.
        """
        ...

    def weights(self, newer_than: int) -> Weights | None:
        """The newest weights, or None when there are none newer."""
        ...

    def may_act(self, timeout_s: float) -> bool:
        """Wait until the update-to-data limiter lets the actor collect another episode.

        Returns False when the learner is still behind after `timeout_s`.
        """
        ...

    def finished(self) -> Receipt | None:
        """The run's totals once it has the steps that it was asked for, None before."""
        ...


LoadWeights = Callable[[Weights], None]
