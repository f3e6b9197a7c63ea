"""The driver's bus on servos whose replies meet any fate."""

from hypothesis import strategies as st

from drivers.dynamixel.bus import DynamixelBus
from drivers.dynamixel.tables import XM430_W350
from drivers.errors import ServoTimeoutError
from helpers.numbered_servos import NumberedServos

FATES = (
    "good", "drop", "late", "later", "short", "long", "foreign", "double", "garbage", "damage", "cut", "refuse",
)  # fmt: skip


SCRIPTS = st.lists(st.sampled_from(FATES), max_size=40)


def bus_on(port: NumberedServos, **settings) -> DynamixelBus:
    bus = DynamixelBus(lambda: port, clock=port.clock, **settings)
    for servo in range(1, 10):
        bus.tables[servo] = XM430_W350
        bus.firmware[servo] = 45
    return bus


def eventually(ask):
    """The answer once nothing goes wrong any more and late replies are through."""
    for _ in range(60):
        try:
            return ask()
        except ServoTimeoutError:
            pass
    raise AssertionError("no answer although nothing goes wrong any more")
