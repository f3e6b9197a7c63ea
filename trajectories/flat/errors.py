"""The error of data set files."""

from trajectories.errors import RegraspError


class DatasetError(RegraspError):
    """A data set file can't be read, lacks something, or wasn't made for the environment at hand."""
