"""What learning from images costs: an update with a frozen and with a trained encoder, beside one on states.

Each is one critic and one actor update of 256 transitions with an instruction (WSRL's with UTD 1: 10 critics of
2 x 256, 2 targets drawn). "state_utd1" sees 39 numbers. With a frozen encoder replay holds features, 114 a frame with
the default CNN: "image_frozen". With a trained one ("image_end_to_end") every update shifts, encodes and differentiates
256 images, and encodes 256 next ones.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmarks.replay import BATCH as REPLAY_BATCH
from benchmarks.replay import filled
from benchmarks.timing import best_ms, medians
from policies.agent.agent import Agent
from policies.agent.config import AgentConfig, NetworkConfig, PhaseConfig
from policies.common.batch import Batch
from policies.perception.encoders.config import EncoderConfig
from policies.perception.encoders.encoder import Encoder
from policies.perception.encoders.frames import frame_fields
from policies.replay.ring_buffer import Fields

STATE, PROPRIO, WORDS, ACTION, HIDDEN = 39, 13, 128, 7, (256, 256)
BATCH, CRITICS, SUBSET, INSTRUCTIONS = 256, 10, 2, 16


def batch_of(fields: Fields, device: torch.device) -> Batch:
    """256 transitions between random frames of these fields."""
    draws = torch.Generator(device=device).manual_seed(0)

    def frames() -> dict[str, torch.Tensor]:
        return {
            name: torch.randint(0, 256, (BATCH, *shape), dtype=dtype, generator=draws, device=device)
            if dtype == torch.uint8
            else torch.randn(BATCH, *shape, generator=draws, device=device)
            for name, (shape, dtype) in fields.items()
        }

    return Batch(
        observation=frames(),
        next_observation=frames(),
        instruction=torch.arange(BATCH, device=device) % INSTRUCTIONS,
        action=torch.randn(BATCH, ACTION, generator=draws, device=device).tanh(),
        reward=-torch.ones(BATCH, device=device),
        discount=torch.full((BATCH,), 0.99, device=device),
        mc_return=torch.full((BATCH,), -10.0, device=device),
        imitate=torch.zeros(BATCH, device=device),
        source=torch.zeros(BATCH, dtype=torch.uint8, device=device),
    )


def update(size: int, encoder: Encoder | None, device: torch.device) -> Callable[[], object]:
    """One update of an agent on `size` features, which an encoder gives or replay has."""
    config = AgentConfig(
        networks=NetworkConfig(actor_hidden=HIDDEN, critic_hidden=HIDDEN, critics=CRITICS),
        gamma=0.99,
        target_critics=SUBSET,
        target_range=None,
        offline=PhaseConfig(),
        compile=True,
    )
    agent = Agent(config, size, WORDS, ACTION, device=device, encoder=encoder)
    agent.set_instructions(torch.randn(INSTRUCTIONS, WORDS))
    fields: Fields = {"state": ((size,), torch.float32)} if encoder is None else frame_fields(encoder)
    batch = batch_of(fields, device)
    return lambda: agent.update(batch, 1)


def image_figures(device: torch.device, turns: int) -> dict[str, float]:
    """Median milliseconds of each update, and how many image transitions a second replay gives.

    Args:
        device: Where the updates run; replay lies there, too.
        turns: That the updates take.
    """
    encoders = {size: Encoder(EncoderConfig(), {"front": (size, size)}, PROPRIO, WORDS) for size in (96, 128)}
    short = {
        "state_utd1": update(STATE, None, device),
        "image_frozen": update(encoders[96].size, None, device),
    }
    long = {
        "image_end_to_end": update(encoders[96].size, encoders[96], device),
        "image_end_to_end_128": update(encoders[128].size, encoders[128], device),
    }
    milliseconds = medians(short, device, 3 * turns) | medians(long, device, min(turns, 3), rounds=1)
    figures = {f"{name}_ms": round(value, 2) for name, value in milliseconds.items()}
    where = str(device)
    replay = filled(0, device=where, storage=where)
    sample_ms = best_ms(lambda: replay.sample(REPLAY_BATCH), device, 10 * turns)
    return figures | {"replay_image_transitions_per_s": round(1e3 * REPLAY_BATCH / sample_ms)}
