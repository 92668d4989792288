"""The size of an image and its text form, HEIGHTxWIDTH: 512x384."""

from typing import Any

Size = tuple[int, int]  # height, width in pixels
MAX_SIDE = 99_999  # pixels


def size_text(size: Size) -> str:
    """(512, 384) -> '512x384'."""
    return f"{size[0]}x{size[1]}"


def read_size(value: Any, errors: list[str], what: str = "image_size") -> Size | None:
    """Parse '512x384' or a list of two integers; the inverse of `size_text`.

    If `value` is not a size, a message that begins with `what` is appended to `errors` and None is returned.
    """
    parts = value if isinstance(value, list | tuple) else str(value).lower().split("x")
    try:
        height, width = (int(part) for part in parts)
        if any(not isinstance(part, str) and part != int(part) for part in parts):
            raise ValueError
        if not 1 <= min(height, width) <= max(height, width) <= MAX_SIDE:
            raise ValueError
        return height, width
    except (ValueError, TypeError):
        errors.append(f"{what}={value!r}: must be height x width in pixels, such as 512x384")
        return None
