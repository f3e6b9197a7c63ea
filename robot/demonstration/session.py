"""A person demonstrates with a teleoperation device; every episode is recorded and marked by the person.

    prepare -> show the instruction -> wait for the start -> record the person's actions -> mark -> keep

`robot.demonstration.words` says which key means what when. While nobody acts the arm holds by actions of nothing, one a
control step: its goal stays where it is, observations stay fresh, and the same code waits on the wall's clock and in
the twin.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from robot.demonstration.interrupt import uninterrupted
from robot.demonstration.types import DemonstrationOptions, Person, Progress, Tally
from robot.demonstration.words import Listener, Phase, Verdict
from robot.rollout.environment import RobotEnv
from robot.rollout.post_episode import record_post_episode
from robot.rollout.recovery import RECOVERABLE, Recovery
from trajectories.disk_full import retry_while_disk_is_full
from trajectories.errors import ConfigError, RegraspError, StoppedError
from trajectories.numbers import NS_PER_S
from trajectories.recorder import Recorder
from trajectories.types import ACTION_SIZE, DIRECTIONS, Direction, Episode, Observation, Outcome, Source

_OUTCOMES: dict[Verdict, Outcome] = {
    Verdict.SUCCEED: "success",
    Verdict.FAIL: "failure",
    Verdict.KEEP: "unknown",
}


class DemonstrationSession:
    """Records one demonstration after another.

    The next direction is the one with fewer successes, forward when both have as many: they alternate while all goes
    well, and what failed or was taken back is shown again.

    Attributes:
        tally: What became of the episodes so far.
        ended: Whether the person ended the session.
        waits_for_others: Whether the scene is being prepared or the robot brought back; the person's words wait, too.
    """

    def __init__(
        self,
        env: RobotEnv,
        person: Person,
        task: str,
        instructions: Mapping[Direction, Sequence[str]],
        *,
        prepare: Callable[[Direction, np.random.Generator], None],
        recovery: Recovery,
        keep: Callable[[Episode], None],
        remove: Callable[[str], None],
        rng: np.random.Generator,
        options: DemonstrationOptions | None = None,
        tally: Tally | None = None,
        referee: Callable[[Direction], bool] | None = None,
        metadata: Mapping[str, Any] | None = None,
        stop: threading.Event | None = None,
        tell: Callable[[str], None] = print,
        on_progress: Callable[[Progress], None] | None = None,
        on_observation: Callable[[Observation], None] | None = None,
    ) -> None:
        """Prepare a session; nothing moves yet.

        Args:
            env: The robot.
            person: Who acts and marks.
            task: Task name.
            instructions: Direction -> wordings, of which each episode draws one.
            prepare: Brings the arm home and the scene into a start state of the direction; returns when done.
            recovery: Brings the robot back after a fault.
            keep: Stores an episode durably.
            remove: Takes the stored episode with this id back.
            rng: Draws wordings and start states.
            options: How demonstrations are taken.
            tally: Of earlier sessions that this one goes on from.
            referee: Physics predicate of the twin, asked once when an episode has ended.
            metadata: Plain JSON types, copied into every episode.
            stop: Set to end the session after the episode under way.
            tell: Says a line to the person.
            on_progress: Told where the demonstration is, at every control step and before the scene is prepared.
            on_observation: Gets every observation, before `on_progress`.

        Raises:
            ConfigError: When a direction has no wording.
        """
        for direction in DIRECTIONS:
            if not instructions.get(direction):
                raise ConfigError(f"Task {task} needs at least one instruction for the direction {direction!r}.")
        self.tally = tally if tally is not None else Tally()
        self.ended = self.waits_for_others = False
        self._env, self._person, self._task, self._instructions = env, person, task, dict(instructions)
        self._prepare, self._recovery, self._keep, self._remove = prepare, recovery, keep, remove
        self._rng, self._options = rng, options if options is not None else DemonstrationOptions()
        self._referee, self._metadata, self._tell = referee, dict(metadata or {}), tell
        self._stop = stop if stop is not None else threading.Event()
        self._on_progress, self._on_observation = on_progress, on_observation
        self._recorder = Recorder(env.robot_spec)
        self._listener = Listener(self._options.debounce_s)
        self._kept: list[tuple[list[str], Direction, Outcome]] = []
        self._direction: Direction = self.next_direction
        self._now_ns = self._began_ns = self._last_step_ns = 0

    @property
    def next_direction(self) -> Direction:
        """What the next episode is asked to show."""
        forward, backward = (self.tally.outcomes[direction]["success"] for direction in DIRECTIONS)
        return "forward" if forward <= backward else "backward"

    def run(self, successes: int) -> None:
        """Record until there are so many successes, of both directions together, or the person ends the session.

        After a fault the arm holds, and the session goes on when `recovery` has brought the robot back.

        Raises:
            KeyboardInterrupt: On Ctrl-C; what was recorded so far has been kept with the outcome unknown.
            RegraspError: A fault that came again and again, or the store's.
        """
        while self.tally.successes < successes and not self.ended:
            self.run_episode()

    def run_episode(self) -> Episode | None:
        """One turn: an episode, or None when it came to nothing (skipped, dropped, undone, ended, a fault).

        Raises:
            KeyboardInterrupt, RegraspError: See `run`.
        """
        self._direction = self.next_direction
        try:
            try:
                return self._turn()
            except RECOVERABLE as error:
                with self._others():
                    self._recovery.after(error)
        except StoppedError:
            self.ended = True
        except BaseException:
            with contextlib.suppress(*RECOVERABLE):
                self._env.hold()
            raise
        return None

    # ---- the phases ---------------------------------------------------------------------------------------

    def _turn(self) -> Episode | None:
        observation = self._get_ready()
        verdict, observation = self._wait(observation)
        if verdict is Verdict.BEGIN:
            episode = self._record(observation)
            if episode is not None and episode.outcome != "unknown" and self._options.aftermath_steps:
                self._look_back(episode.outcome)
            self._recovery.succeeded()
            return episode
        if verdict is Verdict.END:
            self.ended = True
        elif verdict is Verdict.UNDO:
            self._undo()
        else:
            self._tell("skipped; another scene")
        return None

    def _get_ready(self) -> Observation:
        """Arm home, scene arranged, instruction drawn; the first observation."""
        wordings = self._instructions[self._direction]
        self._env.instruction = wordings[int(self._rng.integers(len(wordings)))]
        self._show(Phase.PREPARING)
        with self._others():
            self._prepare(self._direction, self._rng)
        return self._look(Phase.PREPARING)

    def _wait(self, observation: Observation) -> tuple[Verdict, Observation]:
        """Hold until the person says what to do; the verdict and the newest observation."""
        verdict = self._hear(Phase.PREPARING)
        rested = not self._person.moving()
        while verdict is None and not self._stop.is_set():
            observation, moving = self._rest(Phase.WAITING)
            verdict = self._hear(Phase.WAITING)
            if verdict is None and self._options.start_by == "motion" and moving and rested:
                verdict = Verdict.BEGIN
            rested = rested or not moving
        return verdict or Verdict.END, observation

    def _record(self, observation: Observation) -> Episode | None:
        """Record one episode, from the start to the mark; None when the person drops it."""
        self._began_ns = self._last_step_ns = observation.t_ns["joints"]
        self._recorder.begin(observation, task=self._task, direction=self._direction, metadata=self._metadata)
        try:
            verdict = self._act()
            while verdict not in _OUTCOMES and verdict is not Verdict.DROP:
                self._rest(Phase.ASKING)
                verdict = self._hear(Phase.ASKING)
            if verdict is not Verdict.DROP:
                return self._finish(_OUTCOMES[verdict], {})
        except BaseException as error:
            if len(self._recorder):
                self._finish("unknown", {"fault": f"{type(error).__name__}: {error}"})
            raise
        self.tally.dropped += 1
        self._tell("dropped; the same again")
        return None

    def _act(self) -> Verdict | None:
        """The person's control steps; the verdict that ended them, or None when time was up."""
        while len(self._recorder) < self._options.max_steps:
            proposed = self._person.action(self._env.target.gripper_open)
            applied = self._env.apply(proposed)
            observation = self._env.observe()
            with uninterrupted():
                self._recorder.step(observation, proposed, applied.executed, Source.PERSON)
            self._last_step_ns = observation.t_ns["joints"]
            self._pass_on(observation, Phase.RECORDING)
            verdict = self._hear(Phase.RECORDING)
            if verdict is not None:
                return verdict
        self._tell(f"time is up after {self._elapsed_s():.0f} s: mark it, or discard it")
        return None

    def _finish(self, outcome: Outcome, extra: dict[str, Any]) -> Episode:
        """End the recording, keep it and count it; Ctrl-C waits, unless the disk is full."""
        with uninterrupted() as interrupted:
            if self._referee is not None:
                with contextlib.suppress(RegraspError):  # the mark counts, not the referee
                    extra = extra | {"evaluation": {"success": bool(self._referee(self._direction))}}
            episode = self._recorder.finish(outcome, truncated=outcome != "success", metadata=extra)
            retry_while_disk_is_full(
                lambda: self._keep(episode), self._tell, lambda: interrupted() or self._stop.is_set()
            )
            self._kept.append(([episode.id], self._direction, outcome))
            self.tally.outcomes[self._direction][outcome] += 1
        self._tell(f"{outcome}: {self._direction}, {len(episode)} steps, {episode.instruction!r} ({self.tally})")
        return episode

    def _look_back(self, outcome: Outcome) -> None:
        """Go home and record what was left, beside the demonstration."""
        self._tell("the arm goes home and looks at what was left")
        with self._others():
            look = record_post_episode(
                self._env, self._rng, task=self._task, direction=self._direction, outcome=outcome,
                steps=self._options.aftermath_steps, source=Source.PERSON,
                parent=self._kept[-1][0][0], metadata=self._metadata,
            )  # fmt: skip
        with uninterrupted() as interrupted:
            retry_while_disk_is_full(lambda: self._keep(look), self._tell, lambda: interrupted() or self._stop.is_set())
            self._kept[-1][0].append(look.id)

    def _undo(self) -> None:
        if not self._kept:
            self._tell("there is no episode of this session to undo")
            return
        with uninterrupted():
            ids, direction, outcome = self._kept[-1]
            for id in ids:
                self._remove(id)
            self._kept.pop()
            self.tally.outcomes[direction][outcome] -= 1
            self.tally.undone += 1
        self._tell(f"removed the last episode, {ids[0]} ({direction}, {outcome}); the next one takes its place")

    # ---- inside -------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _others(self) -> Iterator[None]:
        self.waits_for_others = True
        try:
            yield
        finally:
            self.waits_for_others = False

    def _rest(self, phase: Phase) -> tuple[Observation, bool]:
        """A control step in which the arm keeps its goal; what follows, and whether the device is being moved."""
        action = np.zeros(ACTION_SIZE, dtype=np.float32)
        action[6] = 1.0 if self._env.target.gripper_open else -1.0
        self._env.apply(action)
        moving = self._person.moving()
        return self._look(phase), moving

    def _look(self, phase: Phase) -> Observation:
        observation = self._env.observe()
        self._pass_on(observation, phase)
        return observation

    def _pass_on(self, observation: Observation, phase: Phase) -> None:
        self._now_ns = observation.t_ns["joints"]
        if self._on_observation is not None:
            self._on_observation(observation)
        self._show(phase)

    def _show(self, phase: Phase) -> None:
        if self._on_progress is not None:
            recorded = phase in (Phase.RECORDING, Phase.ASKING)
            steps, seconds = (len(self._recorder), self._elapsed_s()) if recorded else (0, 0.0)
            self._on_progress(
                Progress(phase, self._direction, self._env.instruction, steps, seconds, self._person.problem)
            )

    def _elapsed_s(self) -> float:
        return (self._last_step_ns - self._began_ns) / NS_PER_S

    def _hear(self, phase: Phase) -> Verdict | None:
        """The verdict of what the person said; words that mean nothing now are answered."""
        verdict, idle = self._listener.hear(phase, self._person.words(), self._now_ns)
        for word in idle if phase is not Phase.PREPARING else ():
            self._tell(f"{word.value!r} means nothing now: {phase.value}")
        return verdict
