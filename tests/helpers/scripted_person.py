"""A scripted person at a fake device: an expert's actions as deflections and key presses, byte by byte."""

import math
import os

from drivers.teleop.motion import AXES
from drivers.teleop.response import Response
from helpers.fake_input import EventPipe, FakeSpacenavd, wait_for
from robot.demonstration.words import Phase
from sim.experts.scripted import ScriptedExpert

STEPS_AFTER_SUCCESS = 5
_PATIENCE = 4  # control steps before a key that had no effect is pressed again, longer than the debouncing
_BUTTONS = {"start": 0, "mark success": 1, "mark failure": 2, "discard": 3, "undo": 4, "toggle gripper": 5, "stop": 6}


def deflection(rate, response):
    """Inverse of `Response.rates` without fine motion: the deflection for a rate, as far as it goes."""
    part = min(1.0, abs(rate) / response.coarse)
    if part < 1e-6:
        return 0.0
    if response.expo > 0.0:
        part = math.log1p(part * math.expm1(response.expo)) / response.expo
    return math.copysign(response.dead_zone + (1.0 - response.dead_zone) * part, rate)


class Pad:
    """A gamepad whose events go through a named pipe."""

    name = "gamepad"

    def __init__(self, folder):
        self.path = folder / "pad"
        os.mkfifo(self.path)
        self.overrides = ["device=gamepad", f"device.path={self.path}", "device.controls.response.coarse=1.0"]
        self.sent = 0
        self._pipe = EventPipe()

    def plug(self, config):
        """Once the driver has opened the pipe."""
        self._controls = config["controls"]
        self._pipe.write_end = os.open(self.path, os.O_WRONLY)
        self._buttons = {meaning: button for button, meaning in self._controls["keys"].items()}

    def push(self, rates):
        response, changes = Response(**self._controls["response"]), []
        for axis, rate in zip(AXES, rates, strict=True):
            sign, name = self._controls["axes"][axis][0], self._controls["axes"][axis][1:]
            if not name.startswith("ABS_HAT"):  # a hat is all or nothing, which this person doesn't use
                value = deflection(rate, response) * (-1.0 if sign == "-" else 1.0)
                changes.append((name, round(-32768 + (value + 1.0) / 2.0 * 65535)))
        self._send(*changes)

    def press(self, meaning):
        self._send((self._buttons[meaning], 1))
        self._send((self._buttons[meaning], 0))

    def _send(self, *changes):
        self._pipe.send(*changes)
        self.sent += 1

    def close(self):
        self._pipe.unplug()


class Mouse:
    """A SpaceMouse with seven buttons behind a faked spacenavd."""

    name = "spacemouse"

    def __init__(self, folder):
        self._daemon = FakeSpacenavd(folder / "spnav.sock")
        keys = [f"++device.controls.keys.BUTTON_{number}={meaning}" for meaning, number in _BUTTONS.items()]
        self.overrides = [
            "device=spacemouse", f"device.socket={self._daemon.path}", "device.controls.response.coarse=1.0",
            "device.keys_from=null", *keys,
        ]  # fmt: skip
        self.sent = 0

    def plug(self, config):
        self._controls, self._full = config["controls"], config["full_scale"]

    def push(self, rates):
        response, axes = Response(**self._controls["response"]), {}
        for axis, rate in zip(AXES, rates, strict=True):
            sign, name = self._controls["axes"][axis][0], self._controls["axes"][axis][1:]
            axes[name] = round(self._full * deflection(rate, response) * (-1.0 if sign == "-" else 1.0))
        self._daemon.motion(**axes)
        self.sent += 1

    def press(self, meaning):
        self._daemon.button(_BUTTONS[meaning], True)
        self._daemon.button(_BUTTONS[meaning], False)
        self.sent += 2

    def close(self):
        self._daemon.stop()


class ScriptedPerson:
    """Demonstrates in the twin; called with every `Progress`, returns when the device has heard all of it.

    Args:
        twin: The world; the expert sees it as a person would.
        device: The driver that reads the hands.
        hands: A `Pad` or `Mouse`, plugged.
        rng: Draws noise and moods.
        noise: Unsteadiness of the expert.
        moods: Chances: of an episode to be discarded under way, of an episode to be undone, of a scene to be skipped,
            of a deliberate failure.
    """

    def __init__(self, twin, device, hands, rng, noise=0.2, moods=None):
        self.twin, self.device, self.hands, self.rng, self.noise = twin, device, hands, rng, noise
        self.moods = {"discard": 0.0, "undo": 0.0, "skip": 0.0, "fail": 0.0} | (moods or {})
        self.presses = dict.fromkeys(_BUTTONS, 0)
        self._phase, self._pressed_at, self._age = None, -_PATIENCE, 0
        self._kept = 0

    def __call__(self, progress):
        if progress.phase is not self._phase:
            if self._phase in (Phase.RECORDING, Phase.ASKING):
                self.hands.push([0.0] * 6)
            self._phase, self._pressed_at, self._age = progress.phase, -_PATIENCE, 0
        self._age += 1
        if progress.phase is Phase.WAITING:
            self._wait(progress.direction)
        elif progress.phase is Phase.RECORDING:
            self._act(progress)
        elif progress.phase is Phase.ASKING:
            self._press("mark success" if self.twin.success(progress.direction) else "mark failure")
        wait_for(lambda: self.device.status.events >= self.hands.sent)

    def _wait(self, direction):
        draw = self.rng.random()
        if self._age == 1 and draw < self.moods["undo"]:
            self._press("undo")
        elif self._age == 1 and draw < self.moods["undo"] + self.moods["skip"]:
            self._press("discard")
        elif self._age == 1 or self._age - self._pressed_at >= _PATIENCE:
            fails = self.rng.random() < self.moods["fail"]
            self._expert = ScriptedExpert(
                self.twin, direction, self.rng, noise=self.noise, failure="miss" if fails else None
            )
            self._give_up = int(self.rng.integers(25, 45)) if fails else None
            self._discard = int(self.rng.integers(3, 20)) if self.rng.random() < self.moods["discard"] else None
            self._since_success = 0
            self._follow_expert()
            self._press("start")

    def _act(self, progress):
        self._since_success = self._since_success + 1 if self.twin.success(progress.direction) else 0
        if self._since_success > STEPS_AFTER_SUCCESS:
            self._press("mark success")
        elif progress.steps == self._discard:
            self._press("discard")
        elif progress.steps == self._give_up:
            self._press("mark failure")
        else:
            self._follow_expert()

    def _follow_expert(self):
        action = self._expert.act(None)
        self.hands.push([float(rate) for rate in action[:6]])
        if (action[6] > 0.0) != self.twin.env.target.gripper_open:
            self.hands.press("toggle gripper")

    def _press(self, meaning):
        if self._age - self._pressed_at >= _PATIENCE:
            self._pressed_at = self._age
            self.presses[meaning] += 1
            self.hands.press(meaning)
