"""Open lists: what the project brings, and what packages outside bring through entry points."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from trajectories.errors import ConfigError

Entry = TypeVar("Entry")


class Registry(Mapping[str, Entry], Generic[Entry]):
    """Named things of one kind: the project's own, then those of installed packages.

    A package outside adds to a list by an entry point, without a change to this project::

        [project.entry-points."regrasp.cameras"]
        thermal = "my_package.thermal:OPENER"

    Entry points are read once, when a name is first asked for; the module behind one is imported when that name is.

    Args:
        group: Of the entry points, such as `regrasp.cameras`.
        kind: What one entry is, for messages, such as "camera".
        own: The project's own entries. Their names can't be taken by a package.
    """

    def __init__(self, group: str, kind: str, own: Mapping[str, Entry]) -> None:
        self._group = group
        self._kind = kind
        self._found: dict[str, Entry] = dict(own)
        self._own = tuple(own)
        self._outside: dict[str, importlib.metadata.EntryPoint] | None = None

    def __getitem__(self, name: str) -> Entry:
        """Give the entry of this name.

        Raises:
            ConfigError: Nobody brings it; the message lists what there is. Or the package that does can't be imported.
        """
        if name in self._found:
            return self._found[name]
        point = self._points().get(name)
        if point is None:
            raise ConfigError(
                f"There is no {self._kind} {name!r}; there are {', '.join(sorted(self))}. "
                f"A package outside can bring one by an entry point of the group {self._group!r}."
            )
        try:
            self._found[name] = point.load()
        except Exception as error:
            raise ConfigError(
                f"The {self._kind} {name!r} is brought by {_package(point)} as {point.value!r}, which can't be loaded: "
                f"{type(error).__name__}: {error}. Mend or uninstall that package."
            ) from error
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over all names, the project's own first; nothing is imported for it."""
        yield from self._own
        yield from self._points()

    def __len__(self) -> int:
        """Count the names."""
        return len(self._own) + len(self._points())

    def __contains__(self, name: object) -> bool:
        """Say whether somebody brings this name; nothing is imported for it."""
        return name in self._own or name in self._points()

    @property
    def own(self) -> tuple[str, ...]:
        """Names that the project itself brings, in their order."""
        return self._own

    def _points(self) -> dict[str, importlib.metadata.EntryPoint]:
        if self._outside is None:
            self._outside = {}
            for point in importlib.metadata.entry_points(group=self._group):
                first = self._outside.get(point.name)
                if point.name in self._own:
                    raise ConfigError(
                        f"{_package(point)} brings a {self._kind} named {point.name!r}, which is the project's own. "
                        "Give it another name."
                    )
                if first is not None and first.value != point.value:
                    raise ConfigError(
                        f"Two packages bring a {self._kind} named {point.name!r}: {_package(first)} and "
                        f"{_package(point)}. Uninstall one of them."
                    )
                self._outside[point.name] = point
        return self._outside


def _package(point: importlib.metadata.EntryPoint) -> str:
    return f"the package {point.dist.name}" if point.dist is not None else "a package"
