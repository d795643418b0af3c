"""Speed of retargeting: the whole way from a file to clips."""

import time
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from legged_skills.mocap.library import shipped_clips
from legged_skills.mocap.pipeline import retarget_file
from legged_skills.robots.errors import ClipError
from legged_skills.robots.spec import RobotSpec


def benchmark_retarget(
    spec: RobotSpec, files: Sequence[Path] = (), seconds: float = 15.0
) -> dict[str, Any]:
    """Rate of reading, fitting, both levels of poses, slowing down, cutting and gates.

    It runs in one thread, but for what the numerical libraries do by themselves; to hold those to
    one core too, set OMP_NUM_THREADS=1.

    Args:
        spec: the robot.
        files: motion capture files, taken in turn; none for the robot's shipped clips, whose
            bodies are retargeted to the same robot.
        seconds: how long to measure, but every file once [s].

    Returns:
        "frames_per_second" and "frames" of the sources, "seconds", "files", "kept_share" of the
        sources' time.

    Raises:
        LeggedSkillsError: a file cannot be retargeted, or there is none.
    """
    paths = list(files) or shipped_clips(spec.name)
    if not paths:
        raise ClipError(f"no clips for {spec.name} come with the package; name some files.")
    retarget_file(min(paths, key=lambda path: path.stat().st_size), spec)  # imports, first calls
    frames, length, kept = 0, 0.0, 0.0
    began = time.perf_counter()
    for turn, path in enumerate(cycle(paths)):
        if turn >= len(paths) and time.perf_counter() - began > seconds:
            break
        result = retarget_file(path, spec)
        frames += result.motion.num_frames
        length += result.motion.duration_s
        kept += result.motion.duration_s * result.kept_share
    taken = time.perf_counter() - began
    return {
        "robot": spec.name,
        "frames_per_second": frames / taken,
        "frames": frames,
        "seconds": taken,
        "files": len(paths),
        "kept_share": kept / length,
    }
