"""An episode that the disk refuses waits in memory until there is room or somebody gives it up."""

import pytest

from trajectories.disk_full import retry_while_disk_is_full
from trajectories.errors import DiskError, StoreError


class Disk:
    """Refuses so many times."""

    def __init__(self, refusals, error=DiskError):
        self.refusals, self.error, self.tries = refusals, error, 0

    def keep(self):
        self.tries += 1
        if self.tries <= self.refusals:
            raise self.error("Episode 7 could not be stored: no space left; make room.")


def test_it_is_tried_until_there_is_room_and_people_hear_of_it_twice():
    disk, said = Disk(3), []
    retry_while_disk_is_full(disk.keep, said.append, lambda: False, again_s=0.01)
    assert disk.tries == 4
    assert len(said) == 2
    assert "Episode 7 could not be stored" in said[0]
    assert "kept in memory" in said[0]
    assert "stored" in said[1]


def test_nobody_is_told_when_all_is_well():
    said = []
    retry_while_disk_is_full(Disk(0).keep, said.append, lambda: True)
    assert said == []


def test_giving_up_raises_what_the_disk_said():
    disk = Disk(10)
    with pytest.raises(DiskError, match="Episode 7"):
        retry_while_disk_is_full(disk.keep, lambda line: None, lambda: disk.tries == 2, again_s=0.01)
    assert disk.tries == 2


def test_other_errors_of_the_store_do_not_wait():
    disk = Disk(10, StoreError)
    with pytest.raises(StoreError):
        retry_while_disk_is_full(disk.keep, lambda line: None, lambda: False)
    assert disk.tries == 1
