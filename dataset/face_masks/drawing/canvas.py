"""Draw filled shapes and strokes, given in units of a face, onto pixels."""

import cv2
import numpy as np

Colour = tuple[float, float, float]  # RGB, 0..255


def shade(colour: Colour, factor: float) -> Colour:
    """A darker (factor < 1) or lighter (factor > 1) colour."""
    red, green, blue = (min(255.0, max(0.0, value * factor)) for value in colour)
    return red, green, blue


def mix(one: Colour, other: Colour, fraction: float) -> Colour:
    """Linear blend: `fraction` (clipped to 0..1) of the other colour, the rest of the first."""
    fraction = min(1.0, max(0.0, fraction))
    red, green, blue = (a * (1 - fraction) + b * fraction for a, b in zip(one, other, strict=True))
    return red, green, blue


def oval(x: float, y: float, wide: float, high: float, begin: float = 0.0, end: float = 360.0) -> np.ndarray:
    """Points (28, 2) on an ellipse of half axes `wide` and `high`, or on its arc from `begin` to `end`, in
    degrees clockwise from the right."""
    angle = np.radians(np.linspace(begin, end, 28))
    return np.stack([x + wide * np.cos(angle), y + high * np.sin(angle)], axis=1)


def mirrored(points) -> np.ndarray:
    """A closed outline from its right half (x >= 0, top to bottom) and the mirror image of that."""
    right = np.asarray(points, float)
    return np.concatenate([right, right[::-1] * (-1, 1)])


def rounded(points, closed: bool = True) -> np.ndarray:
    """Round the corners of a line: Chaikin's corner cutting, three times."""
    points = np.asarray(points, float)
    for _ in range(3):
        following = np.roll(points, -1, axis=0)
        cut = np.stack([0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], axis=1)
        if not closed:
            cut = np.concatenate([points[:1], cut[:-1].reshape(-1, 2), points[-1:]])
        points = cut.reshape(-1, 2)
    return points


class Canvas:
    """RGB pixels (height, width, 3); `pose` (2, 3) maps face units (x right, y down, 0 mid face) to them."""

    def __init__(self, height: int, width: int, pose: np.ndarray):
        self.pixels = np.zeros((height, width, 3), np.uint8)
        self.pose = pose
        self.unit = float(np.hypot(pose[0, 0], pose[1, 0]))

    def blob(self, points, colour: Colour, alpha: float = 1.0, smooth: bool = False) -> None:
        """Fill a shape; `alpha` is its opacity."""
        points = self._to_pixels(rounded(points) if smooth else points)
        self._paint(lambda on, at: cv2.fillPoly(on, [points - at], colour), points, alpha, 2)

    def stroke(self, points, colour: Colour, width: float, alpha: float = 1.0, smooth: bool = False) -> None:
        """Draw a line through the points; `width` is in face units, `alpha` its opacity."""
        points = self._to_pixels(rounded(points, closed=False) if smooth else points)
        thick = max(1, round(width * self.unit))
        self._paint(
            lambda on, at: cv2.polylines(on, [points - at], False, colour, thick, cv2.LINE_AA),
            points,
            alpha,
            thick + 2,
        )

    def _to_pixels(self, points) -> np.ndarray:
        points = np.asarray(points, float)
        return np.rint(points @ self.pose[:, :2].T + self.pose[:, 2]).astype(np.int32)

    def _paint(self, paint, points: np.ndarray, alpha: float, margin: int) -> None:
        if alpha >= 1:
            paint(self.pixels, (0, 0))
            return
        height, width = self.pixels.shape[:2]
        left, top = np.clip(points.min(axis=0) - margin, 0, (width, height))
        right, bottom = np.clip(points.max(axis=0) + margin, 0, (width, height))
        if right > left and bottom > top:
            under = self.pixels[top:bottom, left:right]
            over = np.ascontiguousarray(under)
            over = over.copy() if over is under else over
            paint(over, (left, top))
            self.pixels[top:bottom, left:right] = cv2.addWeighted(over, alpha, under, 1 - alpha, 0)
