"""What a check found, as a line for a person and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from trajectories.errors import RegraspError

State = Literal["ok", "warn", "FAIL"]
_WIDTH = 12


@dataclass(frozen=True)
class Finding:
    """One line of the list.

    Attributes:
        name: What was looked at.
        state: "ok", "warn" (it works, not as well as it could) or "FAIL" (a session would fail or be unsafe).
        found: What was found.
        advice: What to do; empty when it is ok.
    """

    name: str
    state: State
    found: str
    advice: str = ""

    def __str__(self) -> str:
        """A line, and unless it is ok a second one that says what to do."""
        line = f"{self.state:<5} {self.name:<{_WIDTH}} {self.found}"
        return line if self.state == "ok" else f"{line}\n{'':<6}{'':<{_WIDTH}} -> {self.advice}"


Check = Callable[[], Iterable[Finding]]


def ok(name: str, found: str) -> Finding:
    """Nothing to do."""
    return Finding(name, "ok", found)


def warn(name: str, found: str, advice: str) -> Finding:
    """It works, not as well as it could."""
    return Finding(name, "warn", found, advice)


def fail(name: str, found: str, advice: str) -> Finding:
    """A session would fail or be unsafe."""
    return Finding(name, "FAIL", found, advice)


def examine(name: str, check: Check) -> Iterator[Finding]:
    """The findings of a check; its errors become one, so that the list goes on."""
    try:
        yield from check()
    except RegraspError as error:
        yield fail(name, str(error), "Do what the message says, then run the doctor again.")
    except ImportError as error:
        yield fail(name, f"a package doesn't load: {error}", "Run `bash setup.sh` in the project's folder.")
    except OSError as error:
        yield fail(name, f"the check itself failed: {error}", "Look at what it names; the other checks went on.")


def summary(findings: Sequence[Finding]) -> str:
    """The last line."""
    counts = {state: sum(finding.state == state for finding in findings) for state in ("ok", "warn", "FAIL")}
    return f"{counts['ok']} ok, {counts['warn']} to look at (warn), {counts['FAIL']} to put right (FAIL)"


def as_json(robot: str, findings: Sequence[Finding]) -> dict[str, Any]:
    """Plain JSON types of the whole list."""
    return {
        "robot": robot,
        "failed": any(finding.state == "FAIL" for finding in findings),
        "findings": [asdict(finding) for finding in findings],
    }
