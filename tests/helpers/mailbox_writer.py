"""A process that writes messages of one repeated byte as fast as it can: python mailbox_writer.py FD CAPACITY."""

import mmap
import sys

from drivers.shared_memory import Mailbox


def main():
    fd, capacity = int(sys.argv[1]), int(sys.argv[2])
    box = Mailbox(mmap.mmap(fd, Mailbox.size(capacity)), 0, capacity)
    number = box.number
    while True:
        number += 1
        assert box.write(bytes([number % 251]) * (number % capacity + 1)) == number


main()
