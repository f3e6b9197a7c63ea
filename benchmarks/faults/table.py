"""The verdicts as a table for people."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from benchmarks.faults.rows import Answer, Row
from benchmarks.faults.verdicts import Verdict

_LONGEST = 420
_SANK_MM = 3.0
_HEAD = "| injected | detected after, s | what the arm did | what the person was told | recovered |"
_PAGE = """# What happens when something fails

`{command}` wrote this page. It was the virtual arm: MuJoCo in real time behind virtual
servos and a virtual camera, with the drivers of the real devices on top. **Not yet tried on hardware.**

A session's loop ran at 5 Hz with gentle motions, recovery from errors included; ranges are over {runs}.
- *Detected after*: from the injection, in the middle of a motion, to the first line for people, or to the rise of a
  counter where nobody needs to be told.
- *What the arm did* comes from the physics, not from the drivers: when the tip stayed within 2 mm from then on, how far
  it moved from 0.8 s after the detection until the cause was removed, which servos had no torque.
- *Recovered*: the cause was removed, a person cleared what was latched, and the robot had to go home and to a target.
  A servo that tripped is restarted then; where two share a joint, the person has to support the arm.

{table}
"""


def markdown(rows: Sequence[Row], runs: Mapping[str, Sequence[Verdict]]) -> str:
    """The table; several runs of a row give ranges.

    Args:
        rows: In the order of the table.
        runs: Name of a row -> its verdicts.
    """
    lines = [_HEAD, "|---|---|---|---|---|"]
    lines += [f"| {' | '.join(_cells(row, runs[row.name]))} |" for row in rows if runs.get(row.name)]
    return "\n".join(lines)


def page(command: str, repeat: int, table: str) -> str:
    """The table with what has to be known about it, Markdown."""
    return _PAGE.format(command=command, runs="one run" if repeat == 1 else f"{repeat} runs", table=table)


def _cells(row: Row, verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    noticed = [one.noticed_s for one in verdicts if one.noticed_s is not None]
    said = next((one.told for one in verdicts if one.told), "")
    if row.counted:
        counted = f"nothing; counted: {_span([one.counted for one in verdicts], '.0f')} {row.counted}"
        said = shortened(said) if said else counted
    return (
        row.injected,
        _span(noticed, ".2f") if len(noticed) == len(verdicts) else "not noticed",
        _deeds(row, verdicts),
        shortened(said).replace("|", "\\|"),
        _recovery(verdicts),
    )


def _deeds(row: Row, verdicts: Sequence[Verdict]) -> str:
    """What the arm did, by the truth."""
    free = sorted(set().union(*(one.free for one in verdicts)))
    torque = "torque on all nine servos" if not free else f"no torque on servo {', '.join(map(str, free))}"
    sinking = _span([max(one.sinks_m_s, 0.0) for one in verdicts], ".2f")
    if row.answer is Answer.GOES_ON:
        return f"went on; {torque}"
    if row.answer is Answer.RESTS:
        return f"folded up slowly (at most {sinking} m/s down), then stood; {torque}"
    stands = _span([one.stands_s for one in verdicts], ".1f")
    held = max(one.held_mm for one in verdicts)
    return f"stood after {stands} s, then within {held:.1f} mm; {torque}"


def _recovery(verdicts: Sequence[Verdict]) -> str:
    wrong = list(dict.fromkeys(text for one in verdicts for text in one.complaints))
    if wrong:
        return "**NOT AS IT SHOULD BE**: " + "; ".join(wrong)
    how = "once a person cleared it" if verdicts[0].person else "by itself"
    off = max(one.off_mm or 0.0 for one in verdicts)
    back = _span([one.back_s for one in verdicts], ".1f")
    sank = max(one.sank_mm for one in verdicts)
    free = f" (the tip sank {sank:.0f} mm while the joint was free)" if verdicts[0].person and sank > _SANK_MM else ""
    return f"yes, {how}{free}; home and at its target {back} s later, within {off:.0f} mm"


def shortened(text: str) -> str:
    """The first sentences of a message, as many as fit."""
    if len(text) <= _LONGEST:
        return text
    kept = ""
    for sentence in re.split(r"(?<=[.!?:]) ", text):
        if kept and len(kept) + len(sentence) > _LONGEST:
            break
        kept += sentence + " "
    return kept.strip() + " …"


def _span(values: Sequence[float], form: str) -> str:
    """One number, or the smallest and the largest."""
    if not values:
        return "-"
    low, high = format(min(values), form), format(max(values), form)
    return low if low == high else f"{low} to {high}"
