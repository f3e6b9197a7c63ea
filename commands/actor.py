"""`regrasp actor`: the robot-side process."""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig
from tqdm import tqdm

from commands.attendance import Attended, attended
from commands.learner import require_same_settings
from commands.overrides import typed_keys
from commands.watch.session_view import SessionView
from factory.calibration import mark_in_use
from factory.displacing import displace_of, places_of
from factory.judge_settings import require_trained_like
from factory.judging import SessionJudge, require_progress, session_judge
from factory.link import tls_of
from factory.policy import require_online
from factory.retraining import retraining_of
from factory.reward import require_readable_task
from factory.run_folders import OUTBOX, actor_folder, find_policy
from factory.spec import spec_of
from factory.task import ends_open
from factory.twin import in_simulated_time
from robot.fleet import AUTO_NAME, ActorIdentity, ActorReport, actor_name
from robot.interfaces import Policy
from robot.rollout.actor_status import ActorStatus, continued, run_of
from robot.rollout.places import Places
from robot.rollout.policy_watch import WatchedPolicy
from robot.rollout.recovering_session import RecoveringSession
from robot.rollout.retraining_session import RetrainingSession
from trajectories.disk_full import retry_while_disk_is_full
from trajectories.durable import replace_file
from trajectories.errors import StoppedError
from trajectories.kinds import ACTOR_KEY
from trajectories.layout import require_unwritten
from trajectories.store import TrajectoryStore
from trajectories.types import Episode, RobotSpec

if TYPE_CHECKING:
    from policies.policy import LearnedPolicy
    from robot.link.client import LearnerClient
    from robot.rollout.displacing import Displacement
    from robot.rollout.environment import RobotEnv

STATUS_FILE = "actor.json"
FIGURES_FILE = "figures.json"
"""How loop, servos and cameras did, of the newest start on real drivers."""


def open_session(
    config: DictConfig,
    policy: LearnedPolicy,
    judge: SessionJudge,
    places: Places | None,
    outbox: TrajectoryStore,
    start: int,
    around: Attended,
    stop: threading.Event,
) -> RecoveringSession | RetrainingSession:
    """The reset-free session, judged by the reward model alone.

    Args:
        config: Settings.
        policy: Who acts.
        judge: Who judges.
        places: Where demonstrations picked the object up; None: it is never set down elsewhere.
        outbox: Gets every episode.
        start: Number of this start of the actor: draws go on differently after a restart.
        around: Robot and people.
        stop: Set when a person ends the session.
    """
    from robot.rollout.persons_word import PersonsWord
    from robot.rollout.session import ResetFreeSession
    from trajectories.verdicts import VerdictBook

    word = PersonsWord(VerdictBook(outbox.path).add)
    around.view.hear(word)
    station = around.station

    def keep(episode: Episode) -> None:
        retry_while_disk_is_full(lambda: outbox.commit(episode), tqdm.write, stop.is_set)

    acting: Policy = policy if in_simulated_time(config) else WatchedPolicy(policy, tqdm.write)
    rng = np.random.default_rng([int(config.seed), start, *_own_draws(config)])
    policy.seed(int(rng.integers(2**31)))
    station.prepare("forward", rng)
    session = ResetFreeSession(
        station.env,
        acting,
        judge.reward,
        config.task.name,
        station.instructions,
        station.operator,
        rng=rng,
        on_episode=keep,
        on_step=around.view.on_step,
        max_steps=int(config.task.max_steps),
        help_after=int(config.robot.help_after),
        takeover=around.takeover,
        judge_beside=judge.beside,
        referee=station.referee,
        word=word,
        home_look=ends_open(config),
        displacement=None if places is None else _displacement(config, places, station.env, rng),
        metadata={
            "kind": "online",
            ACTOR_KEY: actor_name(str(config.actor.name)),
            "method": str(config.method.name),
            "seed": int(config.seed),
        },
    )
    recovering, retraining = RecoveringSession(session, around.recovery), retraining_of(config, tqdm.write, stop)
    return recovering if retraining is None else RetrainingSession(recovering, retraining, session.judge_by)


def _displacement(config: DictConfig, places: Places, env: RobotEnv, rng: np.random.Generator) -> Displacement:
    """What sets down elsewhere what is held, and on an arm in real time says so."""
    from robot.rollout.displacing import Displacement

    return Displacement(env, places, displace_of(config), rng, None if in_simulated_time(config) else tqdm.write)


def run(config: DictConfig) -> None:
    """Collect episodes for the learner until the run is finished or stopped."""
    import torch

    from policies.policy import load_policy
    from robot.link.client import LearnerClient
    from robot.rollout.actor import Actor, ActorOptions

    torch.set_num_threads(1)
    require_online(config)
    require_same_settings(config)  # a learner with these would refuse them, and this actor would wait for it
    name, folder = actor_name(str(config.actor.name)), actor_folder(config)
    require_trained_like(config, typed_keys(), tqdm.write)
    require_unwritten(folder / OUTBOX)
    require_readable_task(config)
    folder.mkdir(parents=True, exist_ok=True)
    pretrained = find_policy(config, "pretrained")
    policy = load_policy(pretrained, spec_of(config), int(config.seed), mark_in_use(config))
    places = places_of(config, tqdm.write)
    judge, stop = session_judge(config, policy, tqdm.write), threading.Event()
    tuning = config.finetune
    for key, weight in (("shaping", tuning.shaping), ("progress_weight", tuning.progress_weight)):
        if float(weight):
            require_progress(judge.reward, config, f"finetune.{key}", weight)
    with ExitStack() as stack:
        outbox = stack.enter_context(TrajectoryStore(folder / OUTBOX, spec_of(config)))
        bar = stack.enter_context(
            tqdm(total=int(config.finetune.steps), desc="acting", unit="step", dynamic_ncols=True)
        )
        client = stack.enter_context(
            LearnerClient(
                config.link.address,
                tls_of(config),
                notify=tqdm.write,
                interrupt=stop,
                identity=_identity(config, name, policy),
            )
        )
        begun = continued(folder / STATUS_FILE, run_of(outbox.spec, policy.digest), policy_version=0)
        with announced(client, outbox.spec, policy.digest, replace(begun, outbox=len(outbox))) as announce:
            around = stack.enter_context(
                attended(config, folder, tqdm.write, stop, max_steps=int(config.task.max_steps), on_view=announce)
            )
            session = open_session(config, policy, judge, places, outbox, next_start(folder), around, stop)

        def show(status: ActorStatus) -> None:
            around.view.on_status(status)
            bar.set_postfix_str(describe(status), refresh=False)
            bar.update(status.steps - bar.n)

        options = ActorOptions(status_path=folder / STATUS_FILE, notify=tqdm.write, on_status=show)
        try:
            Actor(session, client, policy.load, outbox, policy.digest, options, stop).run()
        finally:
            if around.station.figures():
                replace_file(folder / FIGURES_FILE, json.dumps(around.view.figures(), indent=1).encode())


@contextmanager
def announced(
    client: LearnerClient, spec: RobotSpec, policy_digest: str, status: ActorStatus
) -> Iterator[Callable[[SessionView], None]]:
    """Have the learner know of this actor before it runs, so that it says who waits for a person before the arm wakes.

    Gives what is to be called with the view of the session. An error inside is what the learner is told last.

    Args:
        client: Tells it.
        spec: The robot.
        policy_digest: Of the policy that the actor starts from.
        status: Counts up to now.
    """

    def announce(view: SessionView) -> None:
        view.on_status(status)
        client.report = view.report
        client.announce(spec, policy_digest)

    try:
        yield announce
    except BaseException as error:
        ended = isinstance(error, KeyboardInterrupt | StoppedError)
        state, why = ("stopped", "") if ended else ("failed", f"{type(error).__name__}: {error}")
        last = ActorReport(state, why, outbox=status.outbox, resets=dict(status.helps))
        client.report = lambda: last
        raise


def _identity(config: DictConfig, name: str, policy: LearnedPolicy) -> ActorIdentity:
    """Who says hello to the learner."""
    mark = mark_in_use(config)
    return ActorIdentity(name, calibration=None if mark is None else mark.to_dict(), parts=policy.parts)


def _own_draws(config: DictConfig) -> list[int]:
    """What sets the draws of an actor with a name apart from those of the others of its run."""
    name = str(config.actor.name)
    return [] if name == AUTO_NAME else [zlib.crc32(name.encode())]


def next_start(folder: Path) -> int:
    """How often an actor of this run was started before; counts this start."""
    path = folder / "actor_starts"
    count = int(path.read_text(encoding="utf-8")) if path.exists() else 0
    replace_file(path, str(count + 1).encode())
    return count


def describe(status: Any) -> str:
    """Success of the training stream and calls for help, for a progress bar."""
    rates = [
        f"{direction} {100 * tally.recent_rate:.0f} %"
        for direction, tally in sorted(status.training.items(), reverse=True)
        if tally.recent_rate is not None
    ]
    helps, unsure = sum(status.helps.values()), sum(tally.unsure for tally in status.training.values())
    others = [
        f"{count} {what}" for what, count in (("unsure", unsure), ("set down elsewhere", status.displaced)) if count
    ]
    return ", ".join([*rates, *others, f"{helps} resets", f"policy {status.policy_version}"])
