import os
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from legged_skills.robots.errors import RenderError, SettingsError
from legged_skills.robots.video import VideoWriter

SIZE = (64, 48)


def frames(count: int) -> list[np.ndarray]:
    """Grey pictures, from dark to bright, with a red left half."""
    pictures = []
    for level in np.linspace(40, 200, count):
        picture = np.full((SIZE[1], SIZE[0], 3), level, dtype=np.uint8)
        picture[:, :32] = (220, 20, 20)
        pictures.append(picture)
    return pictures


def read(path: Path) -> tuple[dict, list[np.ndarray]]:
    reader = imageio_ffmpeg.read_frames(str(path))
    meta = next(reader)
    width, height = meta["size"]
    pictures = [np.frombuffer(raw, np.uint8).reshape(height, width, 3) for raw in reader]
    return meta, pictures


# The reader of imageio-ffmpeg leaves its pipes to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_video_holds_the_frames(tmp_path: Path) -> None:
    path = tmp_path / "new" / "film.mp4"
    with VideoWriter(path, 25, SIZE) as writer:
        for frame in frames(30):
            # A view that is not contiguous, as flipped pictures are.
            writer.write(frame[::-1])
    assert writer.num_frames == 30
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(path))
    assert count == 30
    assert seconds == pytest.approx(30 / 25, abs=0.01)
    meta, pictures = read(path)
    assert meta["size"] == SIZE
    assert meta["fps"] == 25
    assert meta["codec"].startswith("h264")
    assert meta["pix_fmt"].startswith("yuv420p")
    for index in (0, 15, 29):
        written = frames(30)[index]
        assert np.abs(pictures[index][24, 48] - written[24, 48].astype(int)).max() <= 8
        assert np.abs(pictures[index][24, 8] - written[24, 8].astype(int)).max() <= 12
    assert [entry.name for entry in path.parent.iterdir()] == ["film.mp4"]


def test_gif_is_small_and_goes_on_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "film.gif"
    with VideoWriter(path, 30, (640, 320)) as writer:
        for level in range(30):
            writer.write(np.full((320, 640, 3), 5 * level, dtype=np.uint8))
    with Image.open(path) as gif:
        assert gif.format == "GIF" and gif.size == (480, 240)
        # Half of the pictures, for as long: hundredths of a second are all that GIFs know.
        assert gif.info["loop"] == 0
        assert getattr(gif, "n_frames", 1) == 15
        gif.seek(14)
        last = np.asarray(gif.convert("RGB"))
    assert np.abs(last.astype(int) - 5 * 28).max() <= 8
    assert [entry.name for entry in tmp_path.iterdir()] == ["film.gif"]


def test_video_is_readable_by_others(tmp_path: Path) -> None:
    umask = os.umask(0o022)
    try:
        with VideoWriter(tmp_path / "film.mp4", 25, SIZE) as writer:
            writer.write(frames(1)[0])
    finally:
        os.umask(umask)
    assert (tmp_path / "film.mp4").stat().st_mode & 0o777 == 0o644


def test_failed_block_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"an older film")
    with pytest.raises(ZeroDivisionError), VideoWriter(path, 25, SIZE) as writer:
        writer.write(frames(1)[0])
        raise ZeroDivisionError
    assert path.read_bytes() == b"an older film"
    assert list(tmp_path.iterdir()) == [path]


def test_no_frames_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(RenderError, match="no frame was written"),
        VideoWriter(tmp_path / "film.mp4", 25, SIZE),
    ):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "fps", "size", "message"),
    [
        ("film.avi", 25, SIZE, r"film\.avi: expected a video file name that ends in \.mp4"),
        ("film.mp4", 0, SIZE, "fps is 0, expected"),
        ("film.mp4", float("nan"), SIZE, "fps is nan, expected"),
        ("film.mp4", 25, (63, 48), "63 x 48 pixels, expected even numbers"),
        ("film.mp4", 25, (64, 0), "64 x 0 pixels, expected even numbers"),
    ],
)
def test_impossible_settings(
    tmp_path: Path, name: str, fps: float, size: tuple[int, int], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        VideoWriter(tmp_path / name, fps, size)


def test_frame_of_another_size(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match=r"\(10, 64, 3\), expected uint8 \(48, 64, 3\)"),
        VideoWriter(tmp_path / "film.mp4", 25, SIZE) as writer,
    ):
        writer.write(np.zeros((10, 64, 3), dtype=np.uint8))


def test_missing_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found() -> str:
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", not_found)
    with (
        pytest.raises(RenderError, match="pip install imageio-ffmpeg"),
        VideoWriter(tmp_path / "film.mp4", 25, SIZE),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_named_ffmpeg_that_does_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "nothing"))
    with (
        pytest.raises(RenderError, match="nothing cannot be started"),
        VideoWriter(tmp_path / "film.mp4", 25, SIZE),
    ):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 1", "it gave no reason"),
        ("head -c 99 >/dev/null; echo Out of luck. >&2; exit 1", "Out of luck"),
        ("cat >/dev/null; echo No space left on device >&2; exit 28", "No space left on device"),
    ],
)
def test_failing_ffmpeg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    ffmpeg = tmp_path / "ffmpeg"
    ffmpeg.write_text(f"#!/bin/sh\n{script}\n")
    ffmpeg.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(ffmpeg))
    path = tmp_path / "out" / "film.mp4"
    with (
        pytest.raises(RenderError, match=rf"ffmpeg failed after \d+ frames \({reason}\)\.$"),
        VideoWriter(path, 25, SIZE) as writer,
    ):
        for frame in frames(50):
            writer.write(frame)
    assert not list(path.parent.iterdir())


def test_short_video_of_a_failing_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # One frame fits into the pipe, so that only the end shows the failure.
    ffmpeg = tmp_path / "ffmpeg"
    ffmpeg.write_text("#!/bin/sh\nexit 1\n")
    ffmpeg.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(ffmpeg))
    with (
        pytest.raises(RenderError, match="ffmpeg failed after 1 frames"),
        VideoWriter(tmp_path / "film.mp4", 25, (2, 2)) as writer,
    ):
        writer.write(np.zeros((2, 2, 3), dtype=np.uint8))
    assert not (tmp_path / "film.mp4").exists()


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with (
        pytest.raises(RenderError, match="cannot be written"),
        VideoWriter(tmp_path / "taken" / "film.mp4", 25, SIZE),
    ):
        pass
