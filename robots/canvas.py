"""Figures in one style, drawn to PNG pictures without any state shared with other plots."""

import io
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

WANTED = "#0072B2"
"""What should be done: reference, command, source. Blue, as in films."""
ACHIEVED = "#D55E00"
"""What the robot does. Vermillion; colour-blind people can tell the two apart."""
FORBIDDEN = "#999999"
"""What is beyond a limit."""

_WIDTH_IN = 9.0
_DPI = 160
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#777777",
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.7,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
}


class Canvas:
    """A figure in our style; within the block it is drawn, after it ``png`` is there."""

    def __init__(
        self, height_in: float, rows: int, columns: int, dpi: float = _DPI, **options: Any
    ) -> None:
        """Makes the panels.

        Args:
            height_in: height of the figure [inches]; it is 9 wide.
            rows: of panels.
            columns: of panels.
            dpi: pixels in an inch.
            options: of ``Figure.subplots``.
        """
        # From the defaults, so that plots look the same whatever a user's matplotlibrc says.
        style: Any = {**matplotlib.rcParamsDefault, **_STYLE}
        style.pop("backend", None)
        self._style = matplotlib.rc_context(style)
        self._style.__enter__()
        self.figure = Figure(figsize=(_WIDTH_IN, height_in), dpi=dpi, layout="constrained")
        self.axes: np.ndarray = self.figure.subplots(rows, columns, squeeze=False, **options)
        self.png = b""

    def __enter__(self) -> "Canvas":
        """Returns itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Draws the picture, unless the block failed."""
        try:
            if kind is None:
                buffer = io.BytesIO()
                FigureCanvasAgg(self.figure).print_png(buffer, metadata={"Software": None})
                self.png = buffer.getvalue()
        finally:
            self._style.__exit__(None, None, None)

    def legend(self) -> None:
        """One legend over all panels, from the first."""
        handles, labels = self.axes[0, 0].get_legend_handles_labels()
        self.figure.legend(handles, labels, loc="outside upper right", ncols=len(labels))
