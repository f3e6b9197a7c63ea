"""Processes and their children."""

from pathlib import Path


def children(parent, verb):
    """Process ids of the children that run this verb."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rsplit(")", 1)[1].split()
            command = (path / "cmdline").read_text().split("\0")
        except OSError:
            continue
        if int(fields[1]) == parent and verb in command:
            found.append(int(path.name))
    return found


def alive(process):
    """Whether it runs, and isn't only waited for."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
