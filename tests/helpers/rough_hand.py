"""A hand that treats a cloth as no person would: what a policy that is still learning does to it."""

import numpy as np

from robot.control.home import action_towards
from robot.control.pose import Pose
from trajectories.errors import SafetyError

LOW, HIGH = (0.18, -0.19, 0.012), (0.38, 0.19, 0.18)


class RoughHand:
    """Draws what it does next from a seed; the scene is reset when nothing is left within its reach."""

    def __init__(self, twin, seed):
        self.twin, self.resets = twin, 0
        self._rng = np.random.default_rng(seed)
        self._actions = iter(())

    def step(self):
        """One control step."""
        action = next(self._actions, None)
        if action is None:
            if self.twin.task.lost(self.twin.scene):
                self._reset()
            self._actions = self._plan()
            action = next(self._actions)
        try:
            self.twin.env.apply(action)
        except SafetyError:
            self.twin.scene.physics.step_until(self.twin.scene.physics.now_ns + 1)  # raises what can't be cleared
            self.twin.clear_own_faults()
            self._reset()

    def _reset(self):
        self.resets += 1
        self.twin.reset("forward" if self._rng.random() < 0.5 else "backward", self._rng)
        self._actions = iter(())

    def _plan(self):
        rng, choice = self._rng, self._rng.random()
        if choice < 0.5:
            yield from self._pinch()
        elif choice < 0.75:
            is_open = bool(rng.random() < 0.5)
            for _ in range(4):
                yield from self._to(rng.uniform(LOW, (HIGH[0], HIGH[1], 0.03)), is_open, 6)
        else:
            for _ in range(10):
                yield np.array([*rng.uniform(-1, 1, 6), rng.choice([-1, 1])], np.float32)
        x, y, _ = self.twin.env.target.pose.position
        yield from self._to((x, y, 0.1), True, 3)

    def _pinch(self):
        """Close on something and carry it about."""
        rng, scene = self._rng, self.twin.scene
        nodes = scene.cloth.nodes().reshape(-1, 3)
        places = (scene.cloth.tag(), scene.physics.body_pose("cube")[0], nodes[rng.integers(len(nodes))])
        place = places[rng.choice(3, p=(0.4, 0.2, 0.4))] + [*rng.normal(0, 0.004, 2), 0.0]
        yaw = float(rng.uniform(-1.2, 1.2))
        yield from self._to((place[0], place[1], 0.06), True, 6, yaw)
        yield from self._to((place[0], place[1], 0.012), True, 4, yaw)
        yield from self._stay(-1.0)
        for _ in range(rng.integers(1, 4)):
            yield from self._to(rng.uniform(LOW, HIGH), False, 8, float(rng.uniform(-1.2, 1.2)))
        yield from self._stay(1.0)

    def _stay(self, grip):
        for _ in range(2):
            yield np.array([0, 0, 0, 0, 0, 0, grip], np.float32)

    def _to(self, place, is_open, most, yaw=0.0):
        goal = Pose.of(tuple(float(v) for v in np.clip(place, LOW, HIGH)), (0.0, 0.0, yaw))
        for _ in range(most):
            env = self.twin.env
            action, arrived = action_towards(env.target.pose, goal, env.robot_spec.action_scale, 1.0, is_open)
            yield action
            if arrived:
                return
