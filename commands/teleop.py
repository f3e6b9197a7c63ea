"""`regrasp teleop`: a person demonstrates the task with an input device; episodes go into the store of `collect`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from omegaconf import DictConfig
from tqdm import tqdm

from commands.attendance import Attended, attended, latch_of
from commands.left_behind import LeftBehind
from commands.needs import Watch, needs_of, recorded
from factory.data import open_data, require_robot
from factory.reward import require_readable_task
from factory.run_folders import data_folder
from factory.spec import plain
from factory.twin import in_simulated_time
from robot.control.faults import FaultLatch
from robot.demonstration.types import DemonstrationOptions, Progress, Tally
from robot.demonstration.words import Phase
from trajectories.errors import MissingDependencyError, SafetyError
from trajectories.kinds import AFTERMATH, KIND_KEY, kind_of
from trajectories.layout import require_unwritten
from trajectories.store import TrajectoryStore
from trajectories.summary import summarise, summary_table
from trajectories.types import Direction, Episode, Observation, Outcome

if TYPE_CHECKING:
    from drivers.teleop.interface import TeleopDevice
    from drivers.teleop.keys import Key
    from robot.demonstration.session import DemonstrationSession

KINDS: dict[Outcome, str] = {"success": "demo", "failure": "failure", "unknown": "unmarked"}
"""Outcome -> kind of the episode, as `collect` names them; an unmarked one is no demonstration."""
DEVICE_KEY = "device"
_DRAWS = 21  # keeps the draws of this verb apart from those of others with the same seed


def run(config: DictConfig) -> None:
    """Record until the store holds the demonstrations that are asked for, or the person ends the session."""
    require_robot(config)  # before anything moves
    require_unwritten(data_folder(Path(config.run_dir)))
    check_instructions(config)
    stop = threading.Event()
    with (
        listening(config) as (device, keys),
        opened(config, keys, stop) as around,
        open_data(config, read_only=False) as store,
    ):
        demonstrate(config, around, store, device, keys, stop)
        print(summary_table(summarise(store.infos())))
        print(needs_of(config).table(recorded(store.infos(), str(config.task.name))))


@contextmanager
def listening(config: DictConfig) -> Iterator[tuple[TeleopDevice, KeyRouter]]:
    """The person's device, whose emergency hold is heard from here on: before the arm is there, and after it.

    Raises:
        TeleopError, MissingDependencyError: When the device can't be opened.
    """
    from drivers.teleop.device import open_device

    folder = Path(config.run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    keys = KeyRouter(latch_of(folder))
    device = open_device(plain(config.device), keys)
    try:
        yield device, keys
    finally:
        device.close()


def check_instructions(config: DictConfig) -> None:
    """Refuse instructions that policy and judge won't be able to read, before somebody demonstrates them.

    Without the text tower's weights on this machine they stay unchecked, which a line says.

    Raises:
        ConfigError: When the text tower can't read them.
    """
    try:
        require_readable_task(config)
    except MissingDependencyError as error:
        tqdm.write(f"The instructions are not checked, `regrasp pretrain` and `train-reward` will: {error}")


def opened(config: DictConfig, keys: KeyRouter, stop: threading.Event) -> AbstractContextManager[Attended]:
    """The robot with a person who holds the device already."""
    max_steps = _options(config.teleop).max_steps
    folder = Path(config.run_dir)
    return attended(
        config, folder, tqdm.write, stop, max_steps=max_steps, faults=keys.faults, takeover=False,
    )  # fmt: skip


def demonstrate(
    config: DictConfig,
    around: Attended,
    store: TrajectoryStore,
    device: TeleopDevice,
    keys: KeyRouter,
    stop: threading.Event,
    *,
    on_progress: Callable[[Progress], None] | None = None,
) -> DemonstrationSession:
    """Record with what is open already; returns the session when it is over.

    Args:
        config: Settings.
        around: Robot and people.
        store: Gets every episode.
        device: Open, with `keys` as its `on_key`.
        keys: Gets what a key does at once.
        stop: Ends the session after the episode under way.
        on_progress: Told where the session is, after the screen.
    """
    from drivers.teleop.demonstrator import Demonstrator
    from drivers.teleop.legend import legend, motions
    from robot.demonstration.session import DemonstrationSession

    settings, wanted, task = config.teleop, int(config.episodes), str(config.task.name)
    tally, earlier = tally_of(store, task)
    station = around.station
    pace = StepPacer(station.env.control_period_s if in_simulated_time(config) and settings.realtime else 0.0)

    def look(observation: Observation) -> None:
        around.view.on_observation(observation)
        pace()

    held: dict[Key | str, str] = dict(motions(plain(config.device)).items())
    needs = needs_of(config)
    watch = Watch(needs, task, store.infos())
    left = LeftBehind(station.env.robot_spec.proprio, stays=station.referee is None)  # else each scene is new
    tqdm.write(needs.table(recorded(store.infos(), task)))
    tqdm.write(f"What the cameras see: `regrasp watch run_dir={config.run_dir}` in another terminal.")
    with Screen(wanted, tally, held | legend(plain(config.device))) as screen:

        def show(progress: Progress) -> None:
            screen.show(progress)
            if on_progress is not None:
                on_progress(progress)

        session = DemonstrationSession(
            station.env,
            Demonstrator(device),
            task,
            station.instructions,
            prepare=station.prepare,
            recovery=around.recovery,
            keep=partial(_keep, store, watch, left),
            remove=partial(_remove, store, left),
            rng=np.random.default_rng([int(config.seed), _DRAWS, earlier]),
            options=_options(settings),
            tally=tally,
            referee=station.referee,
            metadata=_about(config),
            stop=stop,
            tell=tqdm.write,
            on_progress=show,
            on_observation=look,
        )
        keys.connect(session, around, stop, str(settings.person))
        session.run(wanted)
    if session.ended:
        tqdm.write(f"ended by the person: {tally.successes} of {wanted}; the same command goes on from here")
    return session


def _options(settings: DictConfig) -> DemonstrationOptions:
    """The session's settings out of `config.teleop`."""
    return DemonstrationOptions(
        int(settings.max_steps), settings.start_by, float(settings.debounce_s), int(settings.aftermath)
    )


def _about(config: DictConfig) -> dict[str, str]:
    """Metadata of every episode of a session."""
    settings = config.teleop
    return {DEVICE_KEY: str(config.device.device), "robot": str(config.robot.name), "person": str(settings.person)}


def _keep(store: TrajectoryStore, watch: Watch, left: LeftBehind, episode: Episode) -> None:
    """Store an episode under the kind that its outcome gives it, unless its metadata name one, and how it began."""
    marked = left.marked(episode)
    store.commit(replace(marked, metadata={KIND_KEY: KINDS[episode.outcome], **marked.metadata}))
    left.kept(episode)
    if (said := watch.after(store.infos())) is not None:
        tqdm.write(said)


def _remove(store: TrajectoryStore, left: LeftBehind, id: str) -> None:
    """Take an episode back, and what it says of how the next one begins."""
    store.remove(id)
    left.forget()


def tally_of(store: TrajectoryStore, task: str) -> tuple[Tally, int]:
    """What earlier sessions of this verb left in the store, and how many episodes that is."""
    tally, count = Tally(), 0
    for info in store.infos():
        if info.task == task and DEVICE_KEY in info.metadata and kind_of(info) != AFTERMATH:
            tally.outcomes[info.direction][info.outcome] += 1
            count += 1
    return tally, count


class KeyRouter:
    """What a key does at the moment it is pressed, from the device's thread; the rest waits for the control step.

    The emergency hold is latched, with or without a session. While the session waits for a person, "start" says that
    the scene is ready, "take over" that the person has looked at the arm and clears what was last told to stand, and
    "stop" ends the session.

    Args:
        faults: Latches the hold.

    Attributes:
        faults: As given.
    """

    def __init__(self, faults: FaultLatch) -> None:
        from drivers.teleop.takeover import trip_on_hold

        self.faults = faults
        self._trip = trip_on_hold(faults)
        self._handle: Callable[[Key], None] | None = None

    def __call__(self, key: Key) -> None:
        """Take a key."""
        self._trip(key)
        if self._handle is not None:
            self._handle(key)

    def connect(self, session: DemonstrationSession, around: Attended, stop: threading.Event, person: str) -> None:
        """From now on keys concern this session.

        Args:
            session: Which waits or doesn't.
            around: Whose words a key may say.
            stop: Set to end the session while it waits.
            person: Name of who holds the device; without one no key clears a fault.
        """
        from drivers.teleop.keys import Key

        ready = around.station.words().get("ready")

        def handle(key: Key) -> None:
            if not session.waits_for_others:
                return
            if key is Key.STOP:
                stop.set()
            elif key is Key.START and ready is not None:
                ready(person)
            elif key is Key.TAKE_OVER and person.strip():
                try:
                    tqdm.write(around.recovery.clear(person))
                except SafetyError as error:  # something else stands by now
                    tqdm.write(str(error))

        self._handle = handle


class StepPacer:
    """Makes a control step of the twin take as long as on the arm.

    Args:
        period_s: Length of a control step; 0: as short as the computer allows.
    """

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._next_s = 0.0

    def __call__(self) -> None:
        """Wait until a period has passed since the last call."""
        now = time.monotonic()
        time.sleep(max(0.0, self._next_s - now))
        self._next_s = max(now, self._next_s) + self._period_s


class Screen:
    """The session in the terminal: keys, instruction, phase, counts.

    Args:
        wanted: Successes that are asked for.
        tally: Kept up to date by the session.
        keys: Meaning -> button (`drivers.teleop.legend`).
    """

    def __init__(self, wanted: int, tally: Tally, keys: Mapping[Key | str, str]) -> None:
        self._wanted, self._tally = wanted, tally
        self._keys = {getattr(meaning, "value", meaning): button for meaning, button in keys.items()}
        self._phase: Phase | None = None
        self._shown: tuple[Direction, str] | None = None
        self._problem: str | None = None

    def __enter__(self) -> Screen:
        """Show the keys and begin the bar."""
        for meaning, button in self._keys.items():
            tqdm.write(f"  {button:24} {meaning}")
        self._bar = tqdm(total=self._wanted, desc="demonstrations", unit="episode", dynamic_ncols=True)
        return self

    def __exit__(self, *error: object) -> None:
        """End the bar."""
        self._bar.close()

    def show(self, progress: Progress) -> None:
        """Show what has changed."""
        if progress.problem != self._problem:
            tqdm.write(f"device: {progress.problem}" if progress.problem else "device: back")
            self._problem = progress.problem
        asked = (progress.direction, progress.instruction)
        if progress.phase is not self._phase or (progress.phase is Phase.PREPARING and asked != self._shown):
            self._phase, self._shown = progress.phase, asked
            self._announce(progress)
        self._bar.set_postfix_str(
            f"{progress.phase.value}, {progress.elapsed_s:.1f} s, {self._tally}", refresh=progress.steps % 5 == 0
        )
        self._bar.update(self._tally.successes - self._bar.n)

    def _announce(self, progress: Progress) -> None:
        if progress.phase is Phase.PREPARING:
            number = self._tally.successes + 1
            line = "=" * max(40, len(progress.instruction) + 8)
            title = f"{number} of {self._wanted}, {progress.direction}"
            tqdm.write(f"\n{line}\n    {progress.instruction.upper()}\n{line}\n{title}: {progress.phase.value}")
        elif progress.phase is Phase.WAITING:
            tqdm.write(f"{progress.phase.value}: {self._choices('start', 'discard', 'undo', 'stop')}")
        elif progress.phase is Phase.RECORDING:
            tqdm.write(f"{progress.phase.value}: {self._choices('mark success', 'mark failure', 'discard', 'stop')}")
        else:
            tqdm.write(f"{progress.phase.value}: {self._choices('mark success', 'mark failure', 'discard')}")

    def _choices(self, *meanings: str) -> str:
        return ", ".join(f"{meaning} ({self._keys[meaning]})" for meaning in meanings if meaning in self._keys)
