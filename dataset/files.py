"""Files that appear whole or not at all."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_atomic(path: Path, write: Callable[[Path], object]) -> Path:
    """`write` gets a path beside `path`, which replaces it once it is complete."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(part)
        part.chmod(0o644)  # safetensors writes for the owner alone
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def write_json(path: Path, value: Any) -> Path:
    return write_atomic(path, lambda part: part.write_text(json.dumps(value, indent=2) + "\n"))
