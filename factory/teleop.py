"""Attach an input device to a session, so that a person can take over and hand back at any step."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from factory.spec import plain
from trajectories.errors import RegraspError
from trajectories.types import Float32, Observation, Source

if TYPE_CHECKING:
    from drivers.teleop.keys import Key
    from robot.control.faults import FaultLatch


@contextmanager
def open_takeover(
    config: DictConfig,
    faults: FaultLatch,
    notify: Callable[[str], None],
    stop: threading.Event,
    words: Mapping[str, Callable[..., str]],
) -> Iterator[Callable[[Observation], Float32 | None] | None]:
    """The session's `takeover` on the device that `device` names, or None without one.

    The emergency hold is latched in `faults` at once, whatever of the robot is open yet; the stop key ends the session
    after the episode. The keys for success, failure and undo say so about an episode (`robot.rollout.persons_word`),
    where `words` has the words for it by then.

    Raises:
        ConfigError: When `device.takeover` makes no sense.
        TeleopError, MissingDependencyError: When the device can't be opened.
    """
    if config.device.device is None:
        yield None
        return
    from drivers.teleop.device import open_device
    from drivers.teleop.keys import Key
    from drivers.teleop.takeover import Takeover, TakeoverConfig, trip_on_hold
    from trajectories.settings import merged

    said = {Key.SUCCESS: "done", Key.FAILURE: "not_done", Key.UNDO: "take_back"}

    def on_key(key: Key) -> None:
        if key is Key.STOP:
            notify("stopping after this episode")
            stop.set()
        elif key in said and said[key] in words:  # beside the control loop, which must not wait for the disk
            threading.Thread(target=speak, args=(words[said[key]],), name="verdict", daemon=True).start()

    def speak(word: Callable[..., str]) -> None:
        try:
            notify(word(f"whoever holds the {config.device.device}", "", "device"))
        except RegraspError as error:
            notify(str(error))

    def on_change(source: Source, why: str) -> None:
        notify(f"{source.name.lower()} acts ({why})")

    settings = plain(config.device)
    how = merged(TakeoverConfig(), settings.get("takeover") or {}, "device.takeover")
    device = open_device(settings, trip_on_hold(faults))
    try:
        yield Takeover(device, how, on_key=on_key, on_change=on_change)
    finally:
        device.close()
