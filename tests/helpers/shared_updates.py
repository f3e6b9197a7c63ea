"""Updates and draws, by one process or by ranks that share each batch. Argument: folder of the results."""

import dataclasses
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from helpers.image_batches import make_agent, make_encoder, random_batch
from helpers.replay_world import episode, make
from helpers.small_agent import batch, small
from helpers.small_agent import make as small_own
from policies.agent.config import PhaseConfig
from policies.agent.methods import METHODS
from policies.common.batch import Batch
from policies.common.launch import Launch
from policies.common.process_group import open_ranks
from policies.replay.mixed_replay import MixedReplay
from policies.replay.source_weights import SourceWeights
from trajectories.types import Source

OFFLINE = PhaseConfig(
    cql_alpha=1.0, cql_actions=3, calibrated=True, bc_weight=1.0, cql_gap=0.5, max_target_backup=True
)  # fmt: skip
ONLINE = PhaseConfig(anchor_weight=1.0, anchor_steps=3, anchor_tau=0.1)
AGENTS = (*METHODS.own, "own", "own, by likelihood", "images", "images, cloned")
UPDATES, UTD, ROWS = 3, 2, 12


def agent_of(name):
    if name == "images":
        return make_agent(make_encoder(), online=ONLINE)
    if name == "images, cloned":
        return make_agent(make_encoder(), offline=PhaseConfig(extraction="bc"), online=PhaseConfig(extraction="bc"))
    if name.startswith("own"):
        offline = dataclasses.replace(OFFLINE, bc_loss="nll" if "likelihood" in name else "mse")
        return small_own(offline=offline, online=ONLINE, distinct_targets=True)
    return small(name, "locomotion", False)


def part_of(whole, ranks):
    """This rank's places of a batch."""
    start, stop = list(pairwise(ranks.cuts(len(whole))))[ranks.rank]
    columns = {entry.name: getattr(whole, entry.name) for entry in dataclasses.fields(Batch)}
    return Batch(
        **{
            name: {field: tensor[start:stop] for field, tensor in value.items()}
            if isinstance(value, dict)
            else value[start:stop]
            for name, value in columns.items()
        }
    )


def trained(name, ranks):
    """Tensors and metrics of an agent after updates offline and online; the steps to copy lie in the first part."""
    agent, found = agent_of(name), {}
    agent.join(ranks)
    for phase in ("offline", "online"):
        agent.set_phase(phase)
        for seed in range(UPDATES):
            whole = batch(ROWS, seed) if agent.encoder is None else random_batch(agent.encoder, ROWS, seed)
            whole = dataclasses.replace(whole, imitate=(torch.arange(ROWS) < ROWS // 3).float())
            metrics = agent.update(part_of(whole, ranks), UTD)
        found |= {f"{phase}/{key}": value.detach().clone() for key, value in metrics.items()}
    found |= {
        key: tensor.contiguous().clone() for key, tensor in agent.state()[0].items() if not key.startswith("optimiser")
    }
    return found


def drawn(ranks):
    """Batches of a weighted replay that is full, of a mix, and what is held at the end."""
    online = make(40, n=2, weights=SourceWeights(person=3.0), ranks=ranks)
    plain, offline = make(60, seed=5, ranks=ranks), make(60, seed=1, ranks=ranks)
    mixed = MixedReplay(plain, offline, 0.3, corrections="both")
    found = {}
    for number in range(9):
        online.add_episode(**episode(number, 5 + number % 4, ended=number % 2 == 0))
        plain.add_episode(**episode(number, 7, source=np.full(7, Source.PERSON if number == 4 else 0, np.uint8)))
        offline.add_episode(**episode(number, 3 + number % 3, instruction=[number, number + 20]))
        for name, source in (("online", online), ("mixed", mixed)):
            found |= columns_of(source.sample(16), f"{name} {number}: ")
    for name, column in online.contents(2).columns["frames"].items():
        found[f"held {name}"] = torch.cat(list(column))
    return found


def columns_of(sample, before):
    """Name -> column of a batch."""
    found = {}
    for entry in dataclasses.fields(Batch):
        value = getattr(sample, entry.name)
        inside = {f"{entry.name}.{key}": one for key, one in value.items()} if isinstance(value, dict) else {}
        found |= {before + name: one.contiguous() for name, one in (inside or {entry.name: value}).items()}
    return found


def main() -> None:
    torch.set_num_threads(1)
    with open_ranks(Launch.of(), "cpu") as ranks:
        for name in AGENTS:
            save_file(trained(name, ranks), Path(sys.argv[1]) / f"{name} {ranks.rank}")
        save_file(drawn(ranks), Path(sys.argv[1]) / f"replay {ranks.rank}")


if __name__ == "__main__":
    main()
