"""Speed, memory and search efficiency, each a ratio against a named rival in the same run."""

import trial  # noqa: F401 - sets environment variables that torch reads when it is loaded
