"""The reset-free session: do the task, undo it, for ever; ask for help only when stuck.

    forward until the reward model says done, or time is up (and it has looked at what then looks done)
    go home and look at what was left; then the same backward
    now and then, where that is asked for, what is held is set down elsewhere, and the direction tried again from there
    help when the scene is in trouble or after several failures in a row: the only resets there are

The reward model is the only judge, and a person beside the arm may overrule it (`robot.rollout.persons_word`): the
episode keeps the judge's outcome, and the person's word is kept beside it and counts. An episode at whose end the judge
is unsure counts for nothing (`was_unsure` in `trajectories.kinds`) unless a person says how it went. A referee (the
twin's predicate), where there is one, speaks after the episode and is written down under `metadata["evaluation"]`,
which nobody learns from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from robot.interfaces import ConcludingReward, HomeReward, Operator, Policy, RewardModel, RewardReading
from robot.rollout.displacing import Displacement
from robot.rollout.environment import Applied, RobotEnv
from robot.rollout.help_calls import HelpCalls
from robot.rollout.home_look import begin_from_home, drawn, look_from_home, retreat, settled
from robot.rollout.judging import BesideJudge
from robot.rollout.last_looks import MOST_LOOKS, still
from robot.rollout.persons_word import PersonsWord
from robot.rollout.recovery import RECOVERABLE
from robot.rollout.referee_notes import RefereeNotes
from robot.rollout.session_stats import SessionStats
from robot.rollout.session_step import SessionStep
from trajectories.errors import ConfigError
from trajectories.kinds import DISPLACED_KEY, FROM_HOME_KEY, UNSURE_KEY
from trajectories.progress import noted_progress
from trajectories.recorder import Recorder
from trajectories.types import (
    DIRECTIONS,
    Direction,
    Episode,
    Float32,
    Observation,
    Outcome,
    Source,
    other_direction,
)

NOT_HOME = "the arm did not get home"


@dataclass(frozen=True)
class _Seen:
    """A control step that is over: what it led to, how many there were, what was proposed and done, and by whom."""

    observation: Observation
    step: int
    proposed: Float32
    applied: Applied
    source: Source
    version: int


class ResetFreeSession:
    """Runs and records one episode after another, alternating the directions.

    Attributes:
        stats: Counts since the session began.
    """

    def __init__(
        self,
        env: RobotEnv,
        policy: Policy,
        reward: RewardModel,
        task: str,
        instructions: Mapping[Direction, Sequence[str]],
        operator: Operator,
        *,
        rng: np.random.Generator,
        on_episode: Callable[[Episode], None] | None = None,
        on_step: Callable[[SessionStep], None] | None = None,
        max_steps: int = 40,
        help_after: int = 3,
        skip_done: bool = True,
        takeover: Callable[[Observation], Float32 | None] | None = None,
        referee: Callable[[Direction], bool] | None = None,
        metadata: Mapping[str, Any] | None = None,
        first: Direction = "forward",
        judge_beside: bool = False,
        word: PersonsWord | None = None,
        home_look: bool = True,
        displacement: Displacement | None = None,
    ) -> None:
        """Prepare a session; nothing moves yet.

        Args:
            env: The robot.
            policy: Chooses actions; may be given newer weights between episodes.
            reward: The only judge.
            task: Task name.
            instructions: Direction -> wordings, of which each episode draws one.
            operator: Who is asked for help.
            rng: Draws wordings and start poses.
            on_episode: Gets every recorded episode, those that a fault cut short included, before the session
                goes on or the fault is raised.
            on_step: Gets every instant of an episode, the first one included; must return at once.
            max_steps: Control steps after which an episode is truncated as a failure.
            help_after: Failures in a row, of both directions together, after which help is asked for, and episodes in a
                row whose end the judge was unsure about; also after twice
                as many of one direction, whatever the other one did in between: where it only confirms what was
                done before, its successes would hide for ever that the scene is stuck.
            skip_done: When the first frame is above the judge's threshold already, do the other direction instead,
                unless its goal seems to be reached, too; so a failure is tried again rather than answered by an
                episode with nothing to do, whose easy success would also hide the failures in a row.
            takeover: A person's teleoperation device: an action while the person acts, else None.
            referee: Physics predicate of the twin, asked when an episode has ended and again when the arm is home; what
                only going home let go is not left by the episode.
            metadata: Plain JSON types, copied into every episode.
            first: Direction of the first episode.
            judge_beside: Judge each observation beside the motion that follows it, for a reward model that is too slow
                to do so between two steps; the motion under way when it says done is not recorded.
            word: Hears what people say about the episodes; a word about the one under way ends it.
            home_look: Let the reward model look at what an episode left, the arm at home, before its outcome counts
                (`robot.rollout.home_look`), and ask the referee there, too; not for a task that is done with something
                in the gripper, which going home lets go.
            displacement: Ends some episodes as soon as something is held, and sets it down elsewhere. Such an episode
                has the outcome `unknown`; its steps count, undone. None: every episode comes to its end.

        Raises:
            ConfigError: When a setting is out of range or a direction has no wording.
        """
        for direction in DIRECTIONS:
            if not instructions.get(direction):
                raise ConfigError(f"Task {task} needs at least one instruction for the direction {direction!r}.")
        if max_steps < 1 or help_after < 1:
            raise ConfigError(f"max_steps and help_after must be at least 1, got {max_steps} and {help_after}.")
        self.stats = SessionStats()
        self._env, self._policy, self._reward = env, policy, reward
        self._help, self._referee = HelpCalls(operator, self.stats, help_after), RefereeNotes(referee)
        self._task, self._instructions, self._metadata = task, dict(instructions), dict(metadata or {})
        self._rng = rng
        self._on_episode, self._on_step = on_episode, on_step
        self._takeover, self._word, self._displacement = takeover, word, displacement
        self._max_steps, self._skip_done, self._home_look = max_steps, skip_done, home_look
        self._beside = BesideJudge(reward) if judge_beside else None
        self._recorder = Recorder(env.robot_spec)
        self._next: Direction = first
        self._progress: list[float | None] = []
        self._looks = 0
        self._home = self._stood = self._released = self._held = False
        self._met: Exception | None = None  # on the way home from the last episode

    @property
    def next_direction(self) -> Direction:
        """What the next episode is asked to do."""
        return self._next

    def judge_by(self, reward: RewardModel) -> None:
        """Let another reward model of the same kind judge the episodes from the next one on; not during one."""
        self._reward = reward
        self._beside = None if self._beside is None else BesideJudge(reward)

    def run_episode(self) -> Episode:
        """Get ready, run one episode, record it and turn the direction.

        Raises:
            SafetyError: On a fault. What was recorded so far has gone to `on_episode`, truncated and with
                outcome `unknown`. A fault on the way home afterwards is raised by the next call.
            StaleDataError: The same for a device that stopped delivering.
        """
        met, self._met = self._met, None
        if met is not None:
            raise met
        at_home, self._home = self._home, False
        helped = self._get_ready(at_home)
        direction, observation, reading = self._begin()
        self._progress, self._looks, self._held = [reading.progress], 0, False
        self._referee.begins()
        if self._displacement is not None:
            self._displacement.begins(direction)
        version = self._policy.version
        id = self._recorder.begin(
            observation,
            task=self._task,
            direction=direction,
            metadata=self._metadata | {"judge": type(self._reward).__name__, "help": helped},
            success_probability=reading.probability,
        )
        if self._word is not None:
            self._word.begins(id, direction)
        come = tuple(self._progress)
        self._tell(SessionStep(observation, direction, 0, Source.POLICY, reading.probability, (), come, reading.unsure))
        try:
            judged = self._outcome(self._act(direction, observation, version))
        except Exception as error:
            self._held = False
            if len(self._recorder):
                self._finish(direction, "unknown", {"fault": f"{type(error).__name__}: {error}"})
            elif self._word is not None:
                self._word.dropped()
            raise
        if not self._held:
            self._referee.ask("success", direction)
        if self._word is not None:
            self._word.acted(judged[0])
        try:
            final = self._retreat(direction, *judged)
        except RECOVERABLE as error:  # the episode is whole; the next call raises it
            self._met, (outcome, extra) = error, judged
            final = outcome, extra | {FROM_HOME_KEY: {"fault": f"{type(error).__name__}: {error}"}}
        except BaseException:
            self._finish(direction, *judged)
            raise
        return self._finish(direction, *final)

    def _retreat(self, direction: Direction, outcome: Outcome, extra: dict[str, Any]) -> tuple[Outcome, dict[str, Any]]:
        """Go home and look at what the episode left; returns the outcome that stands then, and what to note.

        Where the arm does not get home, that is as it was; the next episode tries again, and asks for help.

        Raises:
            SafetyError: On a fault.
            StaleDataError: When a device stopped delivering.
        """
        if self._held and self._displacement is not None:
            extra[DISPLACED_KEY] = self._displacement.carry()  # kept also where the way home then fails
        if not retreat(self._env, self._rng):
            return outcome, extra
        if self._held:
            self._home = True
            return outcome, extra
        if self._home_look:
            self._referee.ask("left", direction, counts=self._released)
        spoken = self._word is not None and self._word.ends_it
        if self._home_look and not spoken and not isinstance(self._reward, ConcludingReward):
            look = look_from_home(self._env, self._reward, self._instructions, direction, self._rng)
            final = settled(outcome, look, creditable=self._released and not self._stood)
            if final != outcome:
                extra = {UNSURE_KEY: {"would_be": outcome}} if final == "unknown" else {}
            outcome, extra = final, extra | {FROM_HOME_KEY: look.noted(outcome)}
        self._home = True
        return outcome, extra

    def _get_ready(self, at_home: bool) -> str | None:
        """Ask for help if need be and go home, where the arm isn't yet; returns the reason for the help, if any."""
        for spoken in [] if self._word is None else self._word.corrections():
            if spoken.outcome is not None:
                self.stats.correct(spoken.id, spoken.direction, spoken.outcome)
        reason = self._help.reason()
        if reason is not None:
            self._ask_for_help(reason)
        elif at_home:
            return None
        if not retreat(self._env, self._rng):
            reason = NOT_HOME
            self._ask_for_help(reason)
            self._env.go_home(self._rng)
        return reason

    def _ask_for_help(self, reason: str) -> None:
        self._help.call(reason, self._next)
        self._env.resync()

    def _begin(self) -> tuple[Direction, Observation, RewardReading]:
        """Direction, first observation and what the reward model thinks of it."""
        direction = self._next
        observation, reading = self._look(direction)
        if self._skip_done and reading.above:
            other = self._look(other_direction(direction))
            if not other[1].above:
                self.stats.skipped += 1
                direction, (observation, reading) = other_direction(direction), other
            else:
                observation, reading = self._look(direction)
        self._stood = reading.above
        self._reward.reset(observation.instruction)
        if isinstance(self._reward, HomeReward):  # what is recorded is by the view of the frames that follow
            reading = self._reward.update(observation)
            self._reward.reset(observation.instruction)
        return direction, observation, reading

    def _look(self, direction: Direction) -> tuple[Observation, RewardReading]:
        """The present scene under one of the direction's instructions."""
        self._env.instruction = drawn(self._instructions[direction], self._rng)
        observation = self._env.observe()
        begin_from_home(self._reward, observation.instruction)
        return observation, self._reward.update(observation)

    def _act(self, direction: Direction, observation: Observation, version: int) -> RewardReading:
        """The control loop; returns the last that the reward model said."""
        last = RewardReading(0.0, False)  # before anything is judged
        unjudged: _Seen | None = None  # the newest step, while the judge works beside the next one's motion
        for step in range(1, self._max_steps + 1):
            if step > 1 and self._word is not None and self._word.ends_it:
                break
            taken = self._takeover(observation) if self._takeover is not None else None
            proposed = self._policy.act(observation) if taken is None else taken
            reading = self._beside.begin(unjudged.observation) if self._beside and unjudged else None
            try:
                applied = self._env.apply(proposed)
                observation = self._env.observe()
            finally:
                if unjudged and reading:
                    last = self._record(direction, unjudged, reading.result())
            if last.done:
                return last
            source = Source.POLICY if taken is None else Source.PERSON
            by = version if taken is None else -1
            unjudged = _Seen(observation, step, np.asarray(proposed, dtype=np.float32), applied, source, by)
            if self._beside is None:
                last = self._record(direction, unjudged, self._reward.update(observation))
                if last.done:
                    return last
            if self._displacement is not None and self._displacement.takes(observation, source):
                self._held = self._takeover is None or self._takeover(observation) is None
                if self._held:
                    break
        if self._beside is not None and unjudged is not None:
            last = self._record(direction, unjudged, self._reward.update(unjudged.observation))
        self._held = self._held and not last.done
        return last if last.done or unjudged is None or self._held else self._look_again(direction, unjudged, last)

    def _look_again(self, direction: Direction, seen: _Seen, last: RewardReading) -> RewardReading:
        """The last reading; where the task looks done as time ends, the arm holds still until the judge has decided.

        Those steps are recorded like any other: what was decided by is in the episode. A person's word or action ends
        them.
        """
        while last.above and not last.done and self._looks < MOST_LOOKS:
            if self._word is not None and self._word.ends_it:
                break
            if self._takeover is not None and self._takeover(seen.observation) is not None:
                break
            action = still(seen.applied.executed)
            applied = self._env.apply(action)
            self._looks += 1
            seen = _Seen(self._env.observe(), seen.step + 1, action, applied, Source.POLICY, seen.version)
            last = self._record(direction, seen, self._reward.update(seen.observation))
        return last

    def _outcome(self, last: RewardReading) -> tuple[Outcome, dict[str, Any]]:
        """How the episode ended by the last reading, and what to note.

        A reward model that concludes is asked once time has ended it. What was unsure has no outcome.
        """
        self._held = self._held and (self._word is None or self._word.passes())
        if self._held:
            return "unknown", {DISPLACED_KEY: {}}
        if not last.done and self._word is not None and self._word.ends_it:
            return "failure", {"ended_by": "a person"}
        if last.done or not isinstance(self._reward, ConcludingReward):
            outcome: Outcome = "success" if last.done else "failure"
            return ("unknown", {UNSURE_KEY: {"would_be": outcome}}) if last.unsure else (outcome, {})
        reading = self._reward.conclude()
        if reading is None:
            return "unknown", {"unanswered": True}
        self._recorder.conclude(reading.probability)
        return "success" if reading.done else "failure", {}

    def _record(self, direction: Direction, seen: _Seen, reading: RewardReading) -> RewardReading:
        """Record and show a step that has been judged; returns what the reward model said of it."""
        executed, clipped = seen.applied.executed, seen.applied.command.clipped
        self._released = bool(executed[-1] > 0)
        self._progress.append(reading.progress)
        self._recorder.step(seen.observation, seen.proposed, executed, seen.source, seen.version, reading.probability)
        come = tuple(self._progress)
        self._tell(
            SessionStep(
                seen.observation, direction, seen.step, seen.source, reading.probability, clipped, come, reading.unsure
            )
        )
        return reading

    def _tell(self, step: SessionStep) -> None:
        if self._word is not None:
            self._word.at(step.step)
        if self._on_step is not None:
            self._on_step(step)

    def _finish(self, direction: Direction, outcome: Outcome, extra: dict[str, Any]) -> Episode:
        """End the recording, turn the direction, count it and hand it on."""
        self._next = direction if self._held else other_direction(direction)
        if not self._held:
            self._referee.ask("success", direction)
        extra = extra | self._referee.noted()
        if self._looks:
            extra = extra | {"looked_again": self._looks}
        extra = extra | noted_progress(self._progress)
        episode = self._recorder.finish(outcome, truncated=outcome != "success", metadata=extra)
        self.stats.count(episode, episode.outcome if self._word is None else self._word.ended(episode))
        if self._on_episode is not None:
            self._on_episode(episode)
        return episode
