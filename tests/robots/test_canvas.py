import io

import matplotlib
import numpy as np
import pytest
from PIL import Image

from legged_skills.robots.canvas import ACHIEVED, Canvas


def test_canvas_draws_a_picture_of_its_size() -> None:
    with Canvas(2.0, 1, 2, dpi=100) as canvas:
        canvas.axes[0, 0].plot([0, 1], [0, 1], color=ACHIEVED, label="a line")
        canvas.legend()
        assert canvas.png == b""
    picture = np.asarray(Image.open(io.BytesIO(canvas.png)).convert("RGB")).astype(int)
    assert picture.shape == (200, 900, 3)
    assert (np.abs(picture - (213, 94, 0)).max(axis=2) <= 4).sum() > 50


def test_a_failing_block_leaves_neither_picture_nor_settings() -> None:
    before = dict(matplotlib.rcParams)
    with pytest.raises(ZeroDivisionError), Canvas(2.0, 1, 1) as canvas:
        raise ZeroDivisionError
    assert canvas.png == b""
    assert dict(matplotlib.rcParams) == before
