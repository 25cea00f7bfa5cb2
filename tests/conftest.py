"""What every test folder has: the components of tests/real, started lazily, once per session."""

import signal

pytest_plugins = ["tests.real.fixtures"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in a shell's background: what the tests start would be as deaf to Ctrl-C as this process is.
    signal.signal(signal.SIGINT, signal.default_int_handler)
