"""The size of an image and how it is written: 512x384, height first."""

from typing import Any

Size = tuple[int, int]  # height, width in pixels
MOST = 99_999  # pixels each way


def size_text(size: Size) -> str:
    """(512, 384) -> '512x384'."""
    return f"{size[0]}x{size[1]}"


def read_size(value: Any, errors: list[str], what: str = "image_size") -> Size | None:
    """As `size_text` writes it, or a list of two; what is wrong goes to `errors`."""
    parts = value if isinstance(value, list | tuple) else str(value).lower().split("x")
    try:
        height, width = (int(part) for part in parts)
        if not 1 <= min(height, width) <= max(height, width) <= MOST:
            raise ValueError
        return height, width
    except (ValueError, TypeError):
        errors.append(f"{what}={value!r}: must be height x width in pixels, such as 512x384")
        return None
