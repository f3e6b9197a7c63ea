"""`regrasp import`: episodes of other projects into a trajectory store, each committed as a recorded one is."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from omegaconf import DictConfig

from commands.importing.conversion import LeftOut, converted
from commands.importing.dry_run import dry_run
from commands.importing.plan import Opened, Plan, imported_before, plan_of
from factory.doors.inward import content_digest, prepare
from factory.doors.mapping import WHERE
from factory.doors.motion import UnfitEpisodeError
from trajectories.conditions import keep_conditions, require_conditions
from trajectories.errors import ConfigError
from trajectories.formats.foreign import DamagedEpisodeError
from trajectories.layout import require_unwritten
from trajectories.recorder import new_episode_id
from trajectories.store import TrajectoryStore
from trajectories.summary import summarise, summary_table

SKIPPED = 1
"""Exit status where a damaged episode was left out; what fits was imported."""
_SHOWN = 20
_ADVICE = f"Go on with the mapping of then ({WHERE}=...), or import into another store."


@dataclass
class Tally:
    """What became of a source's episodes.

    Attributes:
        there: Were in the store already.
        imported: Are in it now.
        unfit: Name and reason of those that are too short or too fast.
        damaged: Name and reason of those that can't be read.
    """

    there: int = 0
    imported: int = 0
    unfit: list[tuple[str, str]] = field(default_factory=list)
    damaged: list[tuple[str, str]] = field(default_factory=list)

    def lines(self, source: str) -> list[str]:
        """For a person."""
        said = f"{source}: {self.imported} episodes imported"
        said += f", {self.there} were there already" if self.there else ""
        found = [said + "."]
        for what, left in (("too short or too fast", self.unfit), ("DAMAGED", self.damaged)):
            if left:
                found.append(f"{source}: {len(left)} left out, {what}:")
                found += [f"  {name}: {reason}" for name, reason in left[:_SHOWN]]
                found += [f"  and {len(left) - _SHOWN} more"] if len(left) > _SHOWN else []
        return found


def run(config: DictConfig) -> None:
    """Import what the store lacks, or say and show what would be imported."""
    plan = plan_of(config)
    if config.dry_run:
        print(dry_run(plan, Path(config.out)))
        return
    if plan.exists:
        require_unwritten(plan.store, instead="another folder (into=...)")
    for opened in plan.sources:
        try_first(opened, plan)
    skipped = False
    with TrajectoryStore(plan.store, plan.spec) as store:
        for opened in plan.sources:
            tally = import_source(opened, plan, store, int(config.workers))
            skipped = skipped or bool(tally.damaged)
            print("\n".join(tally.lines(opened.name)))
        print(summary_table(summarise(store.infos())))
    if skipped:
        sys.exit(SKIPPED)


def try_first(opened: Opened, plan: Plan) -> None:
    """Read the first whole episode of a source, so that a mapping that doesn't fit leaves no store behind.

    Raises:
        ConfigError: Something that every episode needs isn't there, or isn't said.
    """
    for name in opened.chosen:
        try:
            prepare(opened.source.read(name), opened.description, plan.mapping, plan.spec)
        except DamagedEpisodeError:
            continue
        except UnfitEpisodeError:
            pass
        return


def import_source(opened: Opened, plan: Plan, store: TrajectoryStore, workers: int = 1) -> Tally:
    """Commit the episodes of a source that the store lacks, in its order.

    Args:
        opened: The source.
        plan: What an import is to do.
        store: Where they go; only this process writes to it.
        workers: Processes that read and convert, at most.

    Raises:
        ConfigError: Something that every episode needs isn't said, or the source or mapping isn't that of before.
        DiskError: The disk refuses; what was imported stays.
    """
    path, here = plan.store / f".imported.{opened.name}.json", plan.mapping.conditions()
    what = f"What is imported from {opened.name} into {plan.store}"
    tally = Tally()
    have = imported_before(opened.name, store)
    if have:
        require_conditions(path, here, what, _ADVICE)
    _require_same_source(opened, have)
    missing = [name for name in opened.chosen if name not in have]
    tally.there = len(opened.chosen) - len(missing)
    for name, result in converted(opened, plan, missing, workers):
        if isinstance(result, LeftOut):
            left = tally.unfit if result.why == "unfit" else tally.damaged
            left.append((name, result.reason))
            continue
        if not have and not tally.imported:
            keep_conditions(path, here, what, _ADVICE, accept=True)  # what was begun before left nothing behind
        store.commit(replace(result, id=new_episode_id()))  # ids go by time: in the order of the source
        tally.imported += 1
    return tally


def _require_same_source(opened: Opened, have: dict[str, str]) -> None:
    """Refuse another data set of a name that the store knows, by the first and the last of its episodes.

    Raises:
        ConfigError: It is another.
    """
    known = [name for name in opened.chosen if name in have]
    for name in dict.fromkeys([*known[:1], *known[-1:]]):
        try:
            same = content_digest(opened.source.read(name)) == have[name]
        except DamagedEpisodeError:
            continue
        if not same:
            raise ConfigError(
                f"The store has an episode {name} from a source called {opened.name}, and it isn't this one: give this "
                "data set another name, name=..."
            )
