"""Errors of real devices."""

from trajectories.errors import DeviceError


class PortError(DeviceError):
    """A serial port can't be opened: it is missing, in use by another process or not permitted."""


class PortLostError(PortError):
    """An open serial port went away (unplugged, powered off); open it again."""


class PacketError(DeviceError):
    """A packet can't be built or a reply doesn't have the promised content."""


class ServoTimeoutError(DeviceError):
    """A servo didn't answer in time, with the retries used up.

    Attributes:
        ids: The servos that didn't answer.
    """

    def __init__(self, message: str, ids: tuple[int, ...]) -> None:
        super().__init__(message)
        self.ids = ids


class ServoRefusedError(DeviceError):
    """A servo answered that it refuses the instruction.

    Attributes:
        servo: Its id.
        number: Error number of the reply, 1 ... 7.
    """

    def __init__(self, message: str, servo: int, number: int) -> None:
        super().__init__(message)
        self.servo = servo
        self.number = number


class ServoRestartedError(DeviceError):
    """A servo lost what was written to its RAM (power failure or reboot); configure it again.

    Attributes:
        ids: The servos that restarted.
    """

    def __init__(self, message: str, ids: tuple[int, ...]) -> None:
        super().__init__(message)
        self.ids = ids


class TorqueOnError(DeviceError):
    """A setting of the servo's EEPROM can't be written while its torque is on."""


class CameraError(DeviceError):
    """A camera is missing, refuses its settings or stopped delivering; the message says which and what to do."""


class TeleopError(DeviceError):
    """An input device is missing, not permitted or answers wrongly; the message says which and what to do."""


class TeleopLostError(TeleopError):
    """An open input device went away (unplugged, daemon stopped); it is opened again in the background."""
