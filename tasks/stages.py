"""Progress of a command that works in stages."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Stages:
    """Stages of some work: a progress bar and the time taken for each.

    Attributes:
        seconds: time taken by name of the stage [s]; of finished stages.
    """

    def __init__(self, console: Console | None = None) -> None:
        """Prepares a display; it is there within the ``with`` statement.

        Args:
            console: where it goes; by default to the error output.
        """
        self.seconds: dict[str, float] = {}
        self._progress = Progress(
            TextColumn("{task.description:<20}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console or Console(stderr=True),
        )

    @contextmanager
    def stage(self, title: str, name: str) -> Iterator[Callable[[int, int], None]]:
        """Shows and times a block.

        Args:
            title: what is displayed.
            name: key of its time in ``seconds``.

        Yields:
            A function to be called with the parts done so far, and the parts in all; a block
            that never calls it is shown as busy.
        """
        began = time.perf_counter()
        task = self._progress.add_task(title, total=None)
        yield lambda done, total: self._progress.update(task, completed=done, total=total)
        self._progress.update(task, completed=1, total=1)
        self.seconds[name] = time.perf_counter() - began

    def __enter__(self) -> "Stages":
        """Starts the display."""
        self._progress.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Ends it; what it showed last stays."""
        self._progress.stop()
