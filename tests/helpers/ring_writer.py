"""A process that writes numbered frames as fast as it can: python ring_writer.py FD."""

import sys
import time

import numpy as np

from drivers.cameras.ring import FrameRing, Stamp


def main():
    with FrameRing.attach(int(sys.argv[1]), writable=True) as ring:
        shape, number = ring.size, ring.written
        while True:
            number += 1
            colour = np.full((*shape, 3), number % 251, np.uint8)
            depth = np.full(shape, number % 65521, np.uint16) if ring.has_depth else None
            ring.beat(time.monotonic_ns())
            ring.write(colour, depth, Stamp(time.monotonic_ns(), number, number=number, digest=number))


main()
