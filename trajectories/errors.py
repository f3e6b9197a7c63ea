"""The exception tree of the project: every error says what was wrong, what was expected and what to do."""


class RegraspError(Exception):
    """Base of every error that Regrasp raises on purpose."""


class ConfigError(RegraspError):
    """A setting is unknown, out of range or contradicts another."""


class SpecMismatchError(RegraspError):
    """A store, checkpoint or message was made for another `RobotSpec`."""


class StoreError(RegraspError):
    """The trajectory store can't be read or written."""


class DiskError(StoreError):
    """The disk refuses to be written (full, read-only, broken); what was to be stored is whole in memory."""


class InvalidEpisodeError(RegraspError):
    """An observation, step or episode doesn't fit its `RobotSpec` or the conventions of `Episode`."""


class CorruptEpisodeError(StoreError):
    """An episode's bytes don't match its manifest."""


class ForeignEpisodeError(StoreError):
    """An episode is whole, but another version of Regrasp or another robot recorded it; it stays where it is."""


class CheckpointError(RegraspError):
    """A checkpoint is missing, incomplete or made for other networks."""


class SafetyError(RegraspError):
    """A command was refused, or a fault is latched until a person clears it."""


class KinematicsError(RegraspError):
    """A pose can't be reached or a joint vector is invalid."""


class StaleDataError(RegraspError):
    """A camera frame or joint state is older than allowed."""


class DeviceError(RegraspError):
    """A device is missing, was unplugged, doesn't answer or answers wrongly."""


class StoppedError(RegraspError):
    """A person ended the session while it was waiting; everything recorded so far is kept."""


class LinkError(RegraspError):
    """The other process can't be reached, answered wrongly or refused."""


class NameTakenError(LinkError):
    """Another actor that lives has this name."""


class MissingDependencyError(RegraspError):
    """A package, weight file or system library is not installed; the message says how to get it."""


class RankLostError(RegraspError):
    """Another process of the same training has died or hangs; the message says which, and on which machine."""
