"""Two ranks of which one doesn't come to what they do together. Argument: "sleeps" or "stops"."""

import os
import signal
import sys
import time

import torch

from policies.common.launch import Launch
from policies.common.process_group import open_ranks


def main() -> None:
    with open_ranks(Launch.of(), "cpu", lost_s=2.0, hangs_s=4.0) as ranks:
        numbers = torch.tensor([1.0 + ranks.rank])
        ranks.average([numbers])
        print(float(numbers), file=sys.stderr, flush=True)
        if not ranks.first:
            print(os.getpid(), file=sys.stderr, flush=True)
            if sys.argv[1] == "stops":
                os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(600)
        ranks.average([numbers])


if __name__ == "__main__":
    main()
