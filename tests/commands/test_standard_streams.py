"""What a command prints: a disk that is full or a stream that is missing ends no work."""

import os
import subprocess
import sys

from helpers import ENVIRONMENT, ROOT

REGRASP = f"{sys.executable} -m commands"
PRINTING = (
    "import os, sys\n"
    "from commands.standard_streams import lasting_streams\n"
    "with lasting_streams():\n"
    "    print('lost')\n"
    "    os.write(int(sys.argv[1]), b'went on')\n"
)


def shell(line):
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, cwd=ROOT, check=False, env=ENVIRONMENT, timeout=120
    )


def test_work_goes_on_when_the_disk_below_its_log_is_full_and_the_command_says_so(tmp_path):
    with (tmp_path / "said").open("wb") as said, open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", PRINTING, str(said.fileno())],
            stdout=full, stderr=subprocess.PIPE, pass_fds=[said.fileno()], cwd=ROOT, check=False, env=ENVIRONMENT,
        )  # fmt: skip
    assert (tmp_path / "said").read_text() == "went on"
    assert (done.returncode, done.stderr.decode()) == (
        1,
        "regrasp: not all of the output could be written: No space left on device.\n",
    )


def test_with_both_streams_on_a_full_disk_work_goes_on():
    done = shell(f"{REGRASP} --help > /dev/full 2>&1")
    assert done.returncode == 1


def test_missing_streams_lead_nowhere_instead_of_into_the_next_file_that_is_opened():
    done = shell(f"{REGRASP} --help >&-")
    assert (done.returncode, done.stderr) == (0, "")
    code = (
        "import os, sys; from commands.standard_streams import open_missing_descriptors as ready; ready(); "
        "print([os.readlink(f'/proc/self/fd/{n}') for n in (0, 1)], os.open(os.devnull, os.O_RDONLY), file=sys.stderr)"
    )
    seen = shell(f'{sys.executable} -c "{code}" <&- >&-')
    assert seen.stderr == f"{[os.devnull, os.devnull]} 3\n"
