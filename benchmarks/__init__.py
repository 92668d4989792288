"""Speed, memory and search efficiency, each a ratio against a named rival in the same run."""

import common  # noqa: F401 - sets environment variables that torch and numpy read when they are loaded
