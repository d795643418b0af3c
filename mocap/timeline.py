"""A bar that shows which parts of a source became clips, as a drawing within a web page."""

import math
from collections.abc import Sequence
from html import escape

from legged_skills.mocap.pipeline import RetargetedFile
from legged_skills.mocap.segment import Cut

_WIDTH, _BAR, _HEIGHT = 900.0, 30.0, 52.0
"""Size of the drawing, and height of the bar in it."""
_TICKS = 12
"""At most so many marks of time."""
_LETTER = 7.0
"""Width of a letter; a text that does not fit into its part is left out."""

Part = tuple[float, float]
"""Start and end in the source's time [s]."""


def kept_parts(result: RetargetedFile) -> list[Part]:
    """Where the clips of a file are in its source [s]."""
    fps = result.motion.fps
    frames = [stretch.source_frame for stretch in result.stretches]
    return [(float(at[0]) / fps, float(at[-1]) / fps) for at in frames]


def timeline(duration_s: float, kept: Sequence[Part], cuts: Sequence[Cut]) -> str:
    """Draws a bar over the source's time: clips with their numbers, cuts with their reasons.

    Args:
        duration_s: of the source [s].
        kept: start and end of each clip [s].
        cuts: the rest.

    Returns:
        An SVG element. What it shows is also in its title, for those who cannot see it.
    """
    unit = _WIDTH / max(duration_s, 1e-9)
    words = [f"{_seconds(a, b)} clip {number}" for number, (a, b) in enumerate(kept)]
    words += [f"{_seconds(cut.start_s, cut.stop_s)} cut: {cut.reason}" for cut in cuts]
    label = escape("Clips and cuts over the time of the source: " + "; ".join(words))
    lines = [
        f'<figure><svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" font-size="13" role="img" '
        f'aria-label="{label}">'
    ]
    for number, (start, stop) in enumerate(kept):
        title = f"clip {number}, {_seconds(start, stop)}"
        lines.append(_part("#0072B2", "#fff", start * unit, stop * unit, str(number), title))
    for cut in cuts:
        title = f"cut, {_seconds(cut.start_s, cut.stop_s)}: {cut.reason}"
        at = (cut.start_s * unit, cut.stop_s * unit)
        lines.append(_part("#c9ced3", "#1d2329", *at, cut.reason, title))
    lines += [_tick(time_s, time_s * unit) for time_s in _tick_times(duration_s)]
    caption = "Blue: clips, by number; grey: cuts. Time of the source in seconds."
    return "\n".join([*lines, f"</svg><figcaption>{caption}</figcaption></figure>"])


def _part(fill: str, ink: str, start: float, stop: float, text: str, title: str) -> str:
    """A part of the bar, with a text if there is room; without a gap, thin ones stay visible."""
    width = max(1.5, stop - start)
    drawing = f'<rect x="{start:.1f}" y="0" width="{width:.1f}" height="{_BAR:g}" fill="{fill}"/>'
    if len(text) * _LETTER + 6.0 <= width:
        drawing += (
            f'<text x="{start + 0.5 * width:.1f}" y="{0.5 * _BAR + 4:g}" fill="{ink}" '
            f'text-anchor="middle">{escape(text)}</text>'
        )
    return f"<g><title>{escape(title)}</title>{drawing}</g>"


def _tick(time_s: float, x: float) -> str:
    """A mark of time under the bar."""
    anchor = "start" if x < 10.0 else "end" if x > _WIDTH - 10.0 else "middle"
    return (
        f'<path d="M{x:.1f} {_BAR:g}v4" stroke="currentColor"/>'
        f'<text x="{x:.1f}" y="{_BAR + 17:g}" fill="currentColor" text-anchor="{anchor}">'
        f"{time_s:g}</text>"
    )


def _tick_times(duration_s: float) -> list[float]:
    """Round times [s]: multiples of 1, 2 or 5 times a power of ten."""
    least = max(duration_s, 1e-3) / _TICKS
    power = 10.0 ** math.floor(math.log10(least))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)
    return [round(i * step, 6) for i in range(math.floor(duration_s / step + 1e-9) + 1)]


def _seconds(start_s: float, stop_s: float) -> str:
    return f"{start_s:.2f} to {stop_s:.2f} s"
