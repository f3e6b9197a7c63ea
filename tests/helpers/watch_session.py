"""A session that only pretends: a console with a state that a test sets, and the words it heard."""

import time
from dataclasses import replace

import numpy as np

from robot.console.server import ABOUT_AN_EPISODE, Console
from robot.console.state import CameraView, ConsoleState, JointView, LoopView, ServoView
from robot.control.kinematics import JOINT_LOWER, JOINT_NAMES, JOINT_UPPER
from robot.control.poses import NEUTRAL_JOINTS
from robot.control.safety_limits import SafetyLimits
from robot.rollout.actor_status import Tally

EFFORTS = (0.12, -2.9, 3.4, 0.05, -0.6, 0.02)
SERVOS = ("waist", "shoulder", "shoulder_shadow", "elbow", "elbow_shadow", "forearm_roll", "wrist_angle",
          "wrist_rotate", "gripper")  # fmt: skip
HEALTHY = ConsoleState(
    task="pot_pick_place",
    instruction="put the blue cube into the pot",
    direction="forward",
    acting="policy",
    step=12,
    max_steps=40,
    success_probability=0.31,
    progress=(0.1, None, 0.4),
    mode="follow",
    clipped=("z", "speed"),
    joints=tuple(
        map(JointView, JOINT_NAMES, NEUTRAL_JOINTS, JOINT_LOWER, JOINT_UPPER, EFFORTS, SafetyLimits().max_efforts)
    ),
    gripper_width=0.031,
    gripper_effort=-0.1,
    servos=tuple(
        ServoView(name, 38.0 + n, 72.0 if n > 6 else 80.0, 12.1 - 0.02 * n, round(0.3 * np.sin(n), 3))
        for n, name in enumerate(SERVOS)
    ),
    loop=LoopView(10.0, 10.6, 3, 1),
    cameras={"front": CameraView(30.0, 21.0), "wrist": CameraView(29.8, 34.0, dropped=2)},
    episodes=57,
    steps=1683,
    tallies={"forward": Tally(29, 17, (False, True) * 7 + (True,) * 6), "backward": Tally(28, 25, (True,) * 20)},
    helps={"3 failures in a row": 2},
    policy_version=14,
)
FAULT = (
    "Servo 3 (shoulder_shadow, joint shoulder): overload. The joint has no torque. Support the arm, take away what it "
    "pushes or lifts, then clear it, which restarts the servos of this joint (they are free for a moment)."
)


class PretendedSession:
    """Attributes: state, images: what it shows; heard: (word, name) in order."""

    def __init__(self, path, state=HEALTHY):
        self.state, self.heard = state, []
        shades = np.linspace(0, 255, 96).astype(np.uint8)
        picture = np.stack(
            [np.tile(shades, (72, 1)), np.full((72, 96), 90, np.uint8), np.tile(shades[::-1], (72, 1))], -1
        )
        self.images = {"front": picture, "wrist": picture[:, ::-1]}
        words = {word: self._hear(word) for word in ("clear", "ready", "hold", "stop", *ABOUT_AN_EPISODE)}
        self.console = Console(
            path, lambda: replace(self.state, updated_s=time.time()).to_dict(), lambda: self.images, words
        )

    def _hear(self, word):
        def hear(by, given=()):
            self.heard.append((word, by, *((given,) if isinstance(given, str) else given)))
            return f"{word}: heard, {by or 'somebody'}"

        return hear

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.console.close()
