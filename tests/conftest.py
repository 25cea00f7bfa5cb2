"""What every test folder has: the components of tests/real, started lazily, once per session."""

pytest_plugins = ["tests.real.fixtures"]
