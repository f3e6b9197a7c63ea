"""A kinematic world without physics for tests: two discs on a table, seen from above, and a gripper that carries one.

It speaks the project's observations and actions, so that labels, encoder, pre-training and learner can be tested
closed-loop in seconds.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field, replace

import numpy as np

from trajectories.labels import relabel
from trajectories.types import PROPRIO_NAMES, Episode, Observation, RobotSpec, Source

SIZE = 64
SPEC = RobotSpec(cameras={"front": (SIZE, SIZE)})
GOAL = {"forward": np.array([0.26, 0.12]), "backward": np.array([0.26, -0.12])}
COLOURS = {"red": (210, 40, 40), "blue": (40, 60, 210)}
WIDTH_OPEN, WIDTH_OBJECT = 0.044, 0.025
LOW, HIGH, FLOOR = np.array([0.18, -0.2]), np.array([0.36, 0.2]), 0.02
_counter = itertools.count(1)


def instruction(colour: str, direction: str) -> str:
    side = "left" if direction == "forward" else "right"
    return f"put the {colour} disc on the {side}"


def fake_text(texts: list[str], width: int = 24) -> np.ndarray:
    """Deterministic random projection of the words: float32 (N, width)."""

    def word(name: str) -> np.ndarray:
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
        return np.random.default_rng(seed).normal(size=width)

    rows = np.stack([np.sum([word(name) for name in text.split()], axis=0) for text in texts])
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@dataclass
class BlobWorld:
    """Two discs and a gripper."""

    rng: np.random.Generator
    colour: str = "red"
    direction: str = "forward"
    places: dict[str, np.ndarray] = field(default_factory=dict)
    tip: np.ndarray = field(default_factory=lambda: np.zeros(3))
    height: float = FLOOR
    command: float = 1.0
    held: bool = False

    def reset(self) -> Observation:
        self.places = {name: self.rng.uniform(LOW, HIGH) for name in COLOURS}
        other = "blue" if self.colour == "red" else "red"
        while np.linalg.norm(self.places[other] - self.places[self.colour]) < 0.08:
            self.places[other] = self.rng.uniform(LOW, HIGH)
        self.tip = np.append(self.rng.uniform(LOW, HIGH), self.rng.uniform(0.09, 0.12))
        self.command, self.held = 1.0, False
        return self.observe()

    @property
    def object(self) -> np.ndarray:
        return self.places[self.colour]

    def step(self, action: np.ndarray) -> Observation:
        self.tip = self.tip + 0.05 * np.clip(action[:3], -1, 1)
        self.tip = np.clip(self.tip, [*LOW, FLOOR], [*HIGH, 0.15])
        command = 1.0 if action[6] > 0 else -1.0
        if command < 0 <= self.command:
            near = np.linalg.norm(self.tip[:2] - self.object) < 0.025 and self.tip[2] < FLOOR + 0.015
            self.held = bool(near)
        if command > 0:
            self.held = False
        self.command = command
        if self.held:
            self.places[self.colour] = self.tip[:2].copy()
        return self.observe()

    def success(self) -> bool:
        near = np.abs(self.object - GOAL[self.direction]).max() < 0.03
        return bool(near and not self.held and self.command > 0)

    def observe(self) -> Observation:
        image = np.full((SIZE, SIZE, 3), 120, np.uint8)
        rows, columns = np.mgrid[0:SIZE, 0:SIZE]
        for name, place in self.places.items():
            row, column = (place - LOW) / (HIGH - LOW) * (SIZE - 12) + 6
            image[(rows - row) ** 2 + (columns - column) ** 2 < 16] = COLOURS[name]
        width = WIDTH_OPEN if self.command > 0 else (WIDTH_OBJECT if self.held else 0.0)
        values = dict.fromkeys(PROPRIO_NAMES, 0.0)
        values.update(tip_x=self.tip[0], tip_y=self.tip[1], tip_z=self.tip[2])
        values.update(target_x=self.tip[0], target_y=self.tip[1], target_z=self.tip[2])
        values.update(gripper_width=width, gripper_command=self.command)
        proprio = np.array([values[name] for name in PROPRIO_NAMES], np.float32)
        return Observation({"front": image}, proprio, instruction(self.colour, self.direction), {"joints": 0})


def expert_action(world: BlobWorld, noise: float) -> np.ndarray:
    """Down a funnel to the object, close, down a funnel to the goal, open, rise."""
    action = np.zeros(7, np.float32)
    if world.success():
        action[2], action[6] = 1.0, 1.0
        return action
    target = GOAL[world.direction] if world.held else world.object
    offset = target - world.tip[:2]
    distance = float(np.linalg.norm(offset))
    height = FLOOR + float(np.clip(2.0 * (distance - 0.01), 0.0, 0.06))
    action[:2] = offset / 0.05
    action[2] = (height - world.tip[2]) / 0.05
    action[6] = -1.0 if world.held or world.command < 0 else 1.0
    if distance < (0.02 if world.held else 0.01) and world.tip[2] < FLOOR + 0.01:
        action[:] = 0.0
        action[6] = 1.0 if world.held else -1.0
    else:
        action[:3] += world.rng.normal(0, noise, 3) * (1.0 if distance > 0.02 else 0.3)
    return np.clip(action, -1, 1)


def record(world: BlobWorld, act, *, steps: int = 30, source: Source = Source.EXPERT, **fields) -> Episode:
    """Run `act(observation) -> action` from the world's present state."""
    observations, actions = [world.observe()], []
    start = world.object.tolist()
    settled = 0
    for _ in range(steps):
        action = np.asarray(act(observations[-1]), np.float32)
        observations.append(world.step(action))
        actions.append(np.append(action[:6], 1.0 if action[6] > 0 else -1.0))
        settled = settled + 1 if world.success() else 0
        if settled == 3:
            break
    count = len(actions)
    executed = np.array(actions, np.float32)
    episode = Episode(
        id=f"{next(_counter):020d}-00000000",
        task=f"{world.colour}_disc",
        instruction=instruction(world.colour, world.direction),
        direction=world.direction,
        outcome="unknown",
        images={"front": np.stack([o.images["front"] for o in observations])},
        proprio=np.stack([o.proprio for o in observations]),
        t_ns={name: np.arange(count + 1, dtype=np.int64) * 200_000_000 for name in ("joints", "front")},
        proposed=executed,
        executed=executed,
        rewards=np.full(count, -1.0, np.float32),
        terminated=np.zeros(count, bool),
        truncated=np.zeros(count, bool),
        source=np.full(count, source, np.uint8),
        policy_version=np.full(count, -1 if source is Source.EXPERT else 0, np.int64),
        success_probability=np.full(count + 1, np.nan, np.float32),
        metadata={"start": start},
    )
    return replace(relabel(episode, "success" if settled == 3 else "failure"), **fields)


def demos(count: int, seed: int, noise: float = 0.1) -> list[Episode]:
    """Expert episodes, colours and directions in turn."""
    episodes = []
    for number in range(count):
        colour, direction = list(COLOURS)[number % 2], list(GOAL)[number // 2 % 2]
        world = BlobWorld(np.random.default_rng((seed, number)), colour, direction)
        world.reset()
        episodes.append(record(world, lambda _, world=world: expert_action(world, noise)))
    return episodes
