"""How a number is written for people; files keep all its digits."""


def number_text(value: float) -> str:
    """Four significant digits, more only of large numbers: 0.0003162, 12.35, 1e-05, 123456.79."""
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:.9g}"


def value_text(value: object, missing: str = "–") -> str:
    """A recipe's value as a person would write it: 0.0003, 64x48, yes, none; `missing` if there is none."""
    if is_missing(value):
        return missing
    if isinstance(value, dict):
        return ", ".join(f"{key} {value_text(part, missing)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(value_text(part, missing) for part in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number_text(value)
    return str(value)


def is_missing(value: object) -> bool:
    """Whether a cell of a table holds no value: None, NaN, NA or an empty text."""
    return value is None or (isinstance(value, float) and value != value) or str(value) in ("", "nan", "<NA>")
