"""What every test may count on, however the tests were started."""

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background of a shell: processes inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)
