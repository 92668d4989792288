"""Speed, memory and search efficiency, each a ratio against a named rival in the same run."""

import trial  # noqa: F401 - what it sets in the environment must stand before torch is loaded
