"""A session that drives an arm until somebody kills it: python killable_session.py PORT SETTINGS ORPHAN [GOAL ...]."""

import json
import sys
import time

import numpy as np

from drivers.hosting.orphan import OrphanSettings
from drivers.widowx.process import ProcessWidowX
from drivers.widowx.settings import ArmSettings
from trajectories.types import Command


def main():
    port, settings, orphan, *goal = sys.argv[1:]
    arm = ProcessWidowX.connect(
        port, settings=ArmSettings.from_dict(json.loads(settings)), orphan=OrphanSettings(**json.loads(orphan))
    )
    print(arm.pid, flush=True)
    while True:
        if goal:
            arm.send(Command(np.array(goal, dtype=np.float64), 0.02, time.monotonic_ns()))
        time.sleep(0.02)


main()
