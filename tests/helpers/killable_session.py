"""A session that drives an arm until somebody kills it: python killable_session.py PORT SETTINGS ORPHAN [GOAL ...]."""

import json
import sys
import time

import numpy as np

from drivers.widowx.process import ProcessArm
from drivers.widowx.settings import ArmSettings, OrphanSettings
from trajectories.types import Command


def main():
    port, settings, orphan, *goal = sys.argv[1:]
    arm = ProcessArm.connect(
        port, settings=ArmSettings.from_dict(json.loads(settings)), orphan=OrphanSettings(**json.loads(orphan))
    )
    print(arm.pid, flush=True)
    while True:
        if goal:
            arm.send(Command(np.array(goal, dtype=np.float64), 0.02, time.monotonic_ns()))
        time.sleep(0.02)


main()
