"""Test-time augmentation: a photo's probabilities are averaged over views of it (trial/data/views.py)."""

from common.errors import UsageError, unknown
from trial.data.views import VIEWS


def refuse(tta: str, temperature: float = 1.0) -> None:
    """UsageError if `tta` is unknown or `temperature` is not a positive number."""
    errors = [] if tta in VIEWS else [unknown("--tta", tta, VIEWS)]
    if not 0 < temperature < float("inf"):
        errors.append(
            f"--temperature {temperature:g}: must be a number above 0 (1 leaves the logits as they are)"
        )
    if errors:
        raise UsageError(errors)
