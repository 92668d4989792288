"""How a number is written for people; files keep all its digits."""


def number_text(value: float) -> str:
    """Four significant digits, more only of large numbers: 0.0003162, 12.35, 1e-05, 123456.79."""
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:.9g}"
