"""Test-time augmentation: a photo's probabilities are averaged over views of it (trial/data/views.py)."""

from common.errors import UsageError, unknown
from trial.data.views import VIEWS

AUTO = "auto"  # chosen on validation answers (analysis/predict/choosing.py)


def refuse(tta: str, temperature: float = 1.0, auto: bool = True) -> None:
    """UsageError if `tta` is unknown, or AUTO without `auto`, or `temperature` is not a positive number."""
    known = (*VIEWS, AUTO) if auto else tuple(VIEWS)
    errors = [] if tta in known else [unknown("--tta", tta, known)]
    if not 0 < temperature < float("inf"):
        errors.append(
            f"--temperature {temperature:g}: must be a number above 0 (1 leaves the logits as they are)"
        )
    if errors:
        raise UsageError(errors)
