"""What happens when something fails: faults on the virtual arm, through the unmodified drivers, judged by the physics.

    python benchmarks/fault_table.py                               every row once; the table on standard output
    python benchmarks/fault_table.py --rows unplug,policy-nan      some of them
    python benchmarks/fault_table.py --repeat 3 --out docs/results/faults.md --json faults.json

A session's loop runs at 5 Hz with gentle motions, recovery from errors included; a fault is injected into the virtual
world, or a process is killed, while the arm moves. `detected after` ends with the first line for people (or, for what
is ridden out, with the rise of a counter). What the arm did is what its physics did. A person clears latched faults
once the cause is gone; then the robot must go home and to a target. Ends with 1 when a row isn't as it should be.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.faults.bench import Bench
from benchmarks.faults.play import play
from benchmarks.faults.rows import ROWS, Row
from benchmarks.faults.session import MOVES
from benchmarks.faults.table import markdown, page
from benchmarks.faults.verdicts import Verdict, judge


def main() -> None:
    """Play, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rows", default="", help=f"some of {', '.join(row.name for row in ROWS)}; default: all")
    parser.add_argument("--repeat", type=int, default=1, help="times that every row is played (default 1)")
    parser.add_argument("--out", type=Path, help="write the page to this file, too")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--session", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.session is not None:
        drive(options.session)
        return
    chosen = pick(parser, options.rows)
    runs = table(chosen, options.repeat)
    text = markdown(chosen, runs)
    print(text)
    if options.out is not None:
        arguments = (f" --rows {options.rows}" if options.rows else "") + f" --repeat {options.repeat}"
        options.out.write_text(
            page(f"python benchmarks/fault_table.py{arguments}", options.repeat, text), encoding="utf-8"
        )
    if options.json is not None:
        options.json.write_text(
            json.dumps({name: [asdict(one) for one in all_] for name, all_ in runs.items()}, indent=1), encoding="utf-8"
        )
    wrong = [f"{name}: {text}" for name, all_ in runs.items() for one in all_ for text in one.complaints]
    if wrong:
        sys.exit("\n".join(["Not as it should be:", *wrong]))


def pick(parser: argparse.ArgumentParser, names: str) -> list[Row]:
    """The rows of a list with commas; all of an empty one."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = sorted(set(wanted) - {row.name for row in ROWS})
    if unknown:
        parser.error(f"there is no row {', '.join(unknown)}; there are {', '.join(row.name for row in ROWS)}")
    return [row for row in ROWS if not wanted or row.name in wanted]


def table(rows: Sequence[Row], repeat: int = 1, overrides: Sequence[str] = ()) -> dict[str, list[Verdict]]:
    """Play rows, `repeat` times all of them; after one that leaves the robot unable to work there is a new bench.

    Args:
        rows: In their order.
        repeat: Times.
        overrides: Settings that shall differ from those of `regrasp actor robot=virtual`.

    Returns:
        Name of a row -> its verdicts.
    """
    runs: dict[str, list[Verdict]] = {row.name: [] for row in rows}
    bench: Bench | None = None
    try:
        for row in [row for _ in range(repeat) for row in rows]:
            if bench is None:
                bench = Bench(overrides=overrides)
                bench.open()
                bench.reach()
            verdict = judge(row, play(row, bench))
            runs[row.name].append(verdict)
            say(verdict)
            if verdict.off_mm is None:
                bench.close()
                bench = None
    finally:
        if bench is not None:
            bench.close()
    return runs


def say(verdict: Verdict) -> None:
    """A line of progress on standard error."""
    noticed = "not noticed" if verdict.noticed_s is None else f"noticed after {verdict.noticed_s:.2f} s"
    print(
        f"{verdict.name}: {noticed}; {'; '.join(verdict.complaints) or 'as it should be'}", file=sys.stderr, flush=True
    )


def drive(folder: Path) -> None:
    """The session that is to be killed: drives the robot of a world until then."""
    bench = Bench(folder)
    bench.open()
    print(MOVES, flush=True)
    bench.drive(lambda: False)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
