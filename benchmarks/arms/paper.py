"""`on_paper`: what so many arms ask of one learner, by arithmetic on measured figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DAY_S = 86_400.0
EPISODES = 1e7
"""The size of a data set that is asked about."""


@dataclass(frozen=True)
class Rates:
    """What an arm does, and what one learner can; each with where it was measured.

    Attributes:
        steps_s: Steps a second of an arm that runs all the time, calls for help and ways home included: 6,000 steps in
            30 minutes on the virtual arm (docs/results/virtual.md); at 5 Hz it could be 5.
        steps_an_episode: 6,000 steps in 1,052 / 4 episodes (docs/results/README.md, the demo with four seeds).
        updates_s: Of a learner on one core: 40.9 ms each (docs/results/speed.md, `demo`, WSRL, UTD 4).
        unsure: Share of episodes about which the judge is unsure: 34 of 1,052 (docs/results/README.md).
        resets: Share of episodes before which a person sets the scene anew: 36 of 1,052 (the same).
        publish_every: Updates between two policies (`finetune.publish_every`).
        review_s: That a person looks at an unsure episode, s. Assumed.
        reset_s: That a person sets a scene anew, way to the arm included, s. Assumed.
    """

    steps_s: float = 6000 / 1800
    steps_an_episode: float = 6000 / (1052 / 4)
    updates_s: float = 1 / 0.0409
    unsure: float = 34 / 1052
    resets: float = 36 / 1052
    publish_every: int = 40
    review_s: float = 10.0
    reset_s: float = 30.0

    @property
    def episodes_s(self) -> float:
        """Of an arm."""
        return self.steps_s / self.steps_an_episode


def on_paper(arms: int, measured: Mapping[str, float], rates: Rates) -> dict[str, float]:
    """What so many arms that run all the time come to.

    Args:
        arms: How many.
        measured: Of `benchmarks.arms.costs`, an episode's, a policy's and the largest store's figures.
        rates: See there.
    """
    episodes_s, steps_s = arms * rates.episodes_s, arms * rates.steps_s
    encode_ms = measured["learner: encode for replay, ms of processor"]
    work_ms = encode_ms + sum(measured[f"learner: {name}, ms of processor"] for name in ("decode", "commit"))
    alone_ms = encode_ms + measured["learner: commit with its syncs, ms"]  # one episode after the other
    per_step = rates.steps_an_episode / measured["steps"]  # of the episodes that were measured
    published_s = min(rates.updates_s, steps_s) / rates.publish_every
    fetched_s = arms * min(rates.episodes_s, published_s)
    return {
        "episodes an hour": 3600 * episodes_s,
        "steps, and so updates due, a second": steps_s,
        "times the updates of one core": steps_s / rates.updates_s,
        "cores that take episodes in": episodes_s * per_step * work_ms / 1000,
        "share of the time that taking in one after the other takes": episodes_s * per_step * alone_ms / 1000,
        "episodes, MB a second on the wire": episodes_s * per_step * measured["bytes on the wire"] / 1e6,
        "policies, MB a second on the wire": fetched_s * measured["bytes of a published policy"] / 1e6,
        "GB a day on the disk": DAY_S * episodes_s * per_step * measured["bytes on the disk"] / 1e9,
        "files and folders a day": DAY_S * episodes_s * measured["files and folders"],
        "GB of replay for a day": DAY_S * steps_s * measured["bytes of a frame in replay, with its transition"] / 1e9,
        "days to 10 million episodes": EPISODES / episodes_s / DAY_S,
        "unsure episodes an hour": 3600 * episodes_s * rates.unsure,
        "people who review": episodes_s * rates.unsure * rates.review_s,
        "resets an hour": 3600 * episodes_s * rates.resets,
        "people who reset": episodes_s * rates.resets * rates.reset_s,
    }


def ten_million(measured: Mapping[str, float], store: Mapping[str, float], rates: Rates) -> dict[str, float]:
    """What a store of 10 million episodes comes to.

    Args:
        measured: See `on_paper`.
        store: A row of `benchmarks.arms.costs.a_store`, whose slope is taken as it is.
        rates: See `on_paper`.
    """
    per_step, size = rates.steps_an_episode / measured["steps"], EPISODES / store["episodes"]
    frames = EPISODES * (rates.steps_an_episode + 1)
    return {
        "TB on the disk": EPISODES * per_step * measured["bytes on the disk"] / 1e12,
        "million files and folders": EPISODES * measured["files and folders"] / 1e6,
        "minutes to open, in the catalogue": size * store["in the catalogue, s of processor"] / 60,
        "minutes to open, not in the catalogue": size * store["not in the catalogue, s of processor"] / 60,
        "GB of memory for the store's index": EPISODES * store["bytes of memory an episode"] / 1e9,
        "GB of the catalogue": EPISODES * store["bytes of the catalogue an episode"] / 1e9,
        "GB of the replay's index, written at every checkpoint": EPISODES
        * measured["bytes of the replay's index an episode"]
        / 1e9,
        "GB of replay for all of it": frames * measured["bytes of a frame in replay, with its transition"] / 1e9,
        "GB of metrics": EPISODES * measured["bytes of metrics an episode"] / 1e9,
    }
