"""Video files, written whole or not at all, with the ffmpeg that comes with imageio-ffmpeg."""

import os
import subprocess
import tempfile
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np

from legged_skills.robots.errors import RenderError, SettingsError, require_ending

_CODEC = ["-an", "-c:v", "libx264", "-pix_fmt", "yuv420p"]
"""What every browser plays."""
_QUALITY = ["-crf", "20", "-preset", "veryfast", "-movflags", "+faststart"]
"""Sharp enough for text, quick on few cores, and playing before it is loaded whole."""
_GIF = (
    "fps=15,scale=w='min(480,iw)':h=-2,split[a][b];"
    "[a]palettegen=max_colors=96[colours];[b][colours]paletteuse"
)
"""Small enough for a page: fewer, smaller pictures, and few colours, chosen for all of them."""
ENCODINGS = {".mp4": [*_CODEC, *_QUALITY], ".gif": ["-an", "-filter_complex", _GIF, "-loop", "0"]}
"""By the file's ending."""

_LAST_WORDS_S = 2.0
"""How long a failing ffmpeg may take to say why [s]."""


class VideoWriter:
    """Writes an MP4 file (H.264) that browsers play, or an animated GIF, 480 pixels wide at most.

    To be used in a ``with`` statement. The file appears under its name when the block ends without
    an error; otherwise nothing is left, and what was there before stays.
    """

    # imageio_ffmpeg.write_frames would do for the writing, but hides whether ffmpeg succeeded, and
    # why not.

    def __init__(self, path: str | Path, fps: float, size: tuple[int, int]) -> None:
        """Checks the settings; nothing is written before the ``with`` statement.

        Args:
            path: the file, with the ending ".mp4" or ".gif"; missing parent folders are made.
            fps: frames in a second.
            size: width and height, even numbers [pixels].

        Raises:
            SettingsError: the ending, the rate or the size is not possible.
        """
        self.path, self.fps = Path(path), float(fps)
        self.width, self.height = (int(length) for length in size)
        self._suffix = require_ending(self.path, "video", ENCODINGS)
        if not 0.1 <= self.fps <= 1000.0:
            raise SettingsError(f"{self.path}: fps is {fps}, expected 0.1 to 1000.")
        if any(length < 2 or length % 2 for length in (self.width, self.height)):
            raise SettingsError(
                f"{self.path}: the size is {self.width} x {self.height} pixels, "
                "expected even numbers from 2 (H.264 has no others)."
            )
        self.num_frames = 0
        self._temporary = Path()
        self._encoder: subprocess.Popen[bytes] | None = None
        self._messages: IO[bytes] | None = None

    def __enter__(self) -> "VideoWriter":
        """Starts ffmpeg.

        Raises:
            RenderError: there is no ffmpeg, or the folder cannot be written to.
        """
        executable = ffmpeg_executable()
        rate = str(Fraction(self.fps).limit_denominator(100_000))
        source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{self.width}x{self.height}"]
        source += ["-r", rate, "-i", "-"]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(
                dir=self.path.parent, prefix=f".{self.path.stem}.", suffix=f".tmp{self._suffix}"
            )
            os.close(handle)
        except OSError as error:
            raise RenderError(
                f"{self.path}: cannot be written ({error.strerror or error})."
            ) from error
        self._temporary, self._messages, self.num_frames = Path(name), tempfile.TemporaryFile(), 0
        try:
            self._encoder = subprocess.Popen(
                [executable, "-y", "-v", "error", *source, *ENCODINGS[self._suffix], name],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._messages,
                # Ctrl-C is for us, who then tell ffmpeg.
                start_new_session=True,
            )
        except OSError as error:
            self._clean_up()
            raise RenderError(
                f"{self.path}: {executable} cannot be started ({error.strerror or error})."
            ) from error
        return self

    def write(self, frame: np.ndarray) -> None:
        """Adds a frame.

        Args:
            frame: (H, W, 3) uint8 RGB of the video's size.

        Raises:
            RenderError: ffmpeg failed, e.g. because the disk is full.
            ValueError: the frame has another size or type, or the with statement is over.
        """
        if frame.shape != (self.height, self.width, 3) or frame.dtype != np.uint8:
            raise ValueError(
                f"frame is {frame.dtype} {frame.shape}, "
                f"expected uint8 {(self.height, self.width, 3)}"
            )
        if self._encoder is None or self._encoder.stdin is None:
            raise ValueError("frames can be written only within the with statement")
        try:
            self._encoder.stdin.write(np.ascontiguousarray(frame).data)
        except OSError as error:
            raise self._failure() from error
        self.num_frames += 1

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Finishes the file, or removes what there is of it.

        Raises:
            RenderError: ffmpeg failed, or no frame was written.
        """
        if self._encoder is None:
            return
        try:
            if kind is not None:
                return
            if not self.num_frames:
                raise RenderError(f"{self.path}: no frame was written, so there is no video.")
            try:
                # Closes ffmpeg's input, which makes it finish the file.
                self._encoder.communicate()
            except OSError as problem:
                raise self._failure() from problem
            if self._encoder.returncode:
                raise self._failure()
            umask = os.umask(0)
            os.umask(umask)
            # mkstemp makes files that only their owner may read.
            self._temporary.chmod(0o666 & ~umask)
            self._temporary.replace(self.path)
        finally:
            self._clean_up()

    def _failure(self) -> RenderError:
        """What ffmpeg said in the end."""
        reason = "it gave no reason"
        if self._encoder is not None and self._messages is not None:
            with suppress(subprocess.TimeoutExpired):
                self._encoder.wait(_LAST_WORDS_S)
            self._messages.seek(0)
            lines = self._messages.read().decode(errors="replace").split("\n")
            reason = next((line.strip() for line in reversed(lines) if line.strip()), reason)
        return RenderError(
            f"{self.path}: ffmpeg failed after {self.num_frames} frames ({reason.rstrip('.')})."
        )

    def _clean_up(self) -> None:
        """Ends ffmpeg, and removes the unfinished file if there is one."""
        if self._encoder is not None:
            self._encoder.kill()
            # What was left to write may find nobody to read it.
            with suppress(OSError):
                if self._encoder.stdin is not None:
                    self._encoder.stdin.close()
            self._encoder.wait()
        if self._messages is not None:
            self._messages.close()
        self._encoder = self._messages = None
        self._temporary.unlink(missing_ok=True)


def ffmpeg_executable() -> str:
    """The ffmpeg to use: that of IMAGEIO_FFMPEG_EXE, of imageio-ffmpeg, or the system's.

    Raises:
        RenderError: there is no ffmpeg.
    """
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise RenderError(
            f"videos need ffmpeg, which was not found ({reason}); "
            "install it with `pip install imageio-ffmpeg`, or name one in IMAGEIO_FFMPEG_EXE."
        ) from error
