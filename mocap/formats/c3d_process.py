"""Takes the points out of a C3D file; run as a program of its own by ``c3d``.

ezc3d is a C++ library that a damaged file can bring down, so it works in a process that may
die. The program needs nothing of this package: ``python -P c3d_process.py in.c3d out.npz``.
"""

import math
import os
import sys
from typing import Any

import numpy as np

MEMORY_BYTES = 2_000_000_000
MEMORY_PER_BYTE = 25
"""More address space than this, and this for each byte of the file, means that a damaged count is
believed."""
CPU_S = 5.0
BYTES_PER_CPU_S = 4e6
"""ezc3d reads 30 MB/s; on a damaged file it may go on for ever."""
# Lists of points that are no places: POINT:ANGLES and so on, in the files of Vicon.
_NO_PLACES = ("ANGLES", "FORCES", "MOMENTS", "POWERS", "SCALARS", "REACTIONS")


def cpu_limit_s(file_bytes: int) -> int:
    """How long a processor may work on a file of that size [s]."""
    return math.ceil(CPU_S + file_bytes / BYTES_PER_CPU_S)


def limit_resources(file_bytes: int) -> None:
    """Ends what takes more memory or processor time than a file of that size needs.

    Larger allocations fail; too long a time ends the process. Only on systems that can.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    most = MEMORY_BYTES + MEMORY_PER_BYTE * file_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or hard > most:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    seconds = cpu_limit_s(file_bytes)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if hard == resource.RLIM_INFINITY or hard > seconds:
        # The soft limit alone tells by its signal what it was.
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, hard))


def extract(path: str) -> dict[str, np.ndarray]:
    """The points of a C3D file.

    Args:
        path: the file.

    Returns:
        ``points``: positions in the file's unit (T, P, 3), NaN where missing: with a negative
        residual, or exactly at the origin, where systems put what they do not see; ``labels``,
        as many as there are; ``no_places``, the labels of angles, forces and the like; ``rate``
        [1/s]; ``unit``, as text; ``frames``, how many the file says it has, 0 if it does not.

    Raises:
        Exception: whatever ezc3d raises on a file that it cannot read.
    """
    import ezc3d

    file = ezc3d.c3d(path)
    parameters = file["parameters"]["POINT"]
    points = np.array(file["data"]["points"][:3].transpose(2, 1, 0), dtype=np.float64)
    residuals = file["data"]["meta_points"]["residuals"][0].T
    points[(residuals < 0) | np.all(points == 0, axis=-1)] = np.nan
    rate = _values(parameters, "RATE") or [file["header"]["points"]["frame_rate"]]
    unit = _values(parameters, "UNITS") or [""]
    return {
        "points": points,
        "labels": np.array(_numbered(parameters, "LABELS"), dtype=str),
        "no_places": np.array(
            [label for name in _NO_PLACES for label in _numbered(parameters, name)], dtype=str
        ),
        "rate": np.array(float(rate[0])),
        "unit": np.array(str(unit[0])),
        "frames": np.array(_stated_frames(file["parameters"].get("TRIAL", {}))),
    }


def _stated_frames(trial: dict[str, Any]) -> int:
    """How many frames a recording has, by numbers of two words of 16 bits, the low one first."""
    ends = [_values(trial, f"ACTUAL_{end}_FIELD") for end in ("START", "END")]
    if any(len(words) != 2 or isinstance(words[0], str) for words in ends):
        return 0
    first, last = ((int(low) & 0xFFFF) + 0x10000 * (int(high) & 0xFFFF) for low, high in ends)
    return last - first + 1


def _values(parameters: dict[str, Any], name: str) -> list[Any]:
    """The values of a parameter, none if it is absent."""
    return list(parameters[name]["value"]) if name in parameters else []


def _numbered(parameters: dict[str, Any], name: str) -> list[str]:
    """The texts of a parameter and those it goes on in: LABELS, LABELS2, LABELS3, ..."""
    out = [str(value) for value in _values(parameters, name)]
    number = 2
    while f"{name}{number}" in parameters:
        out += [str(value) for value in _values(parameters, f"{name}{number}")]
        number += 1
    return out


def main(source: str, target: str) -> None:
    """Writes what ``extract`` finds in ``source`` to the archive ``target``."""
    limit_resources(os.path.getsize(source))
    arrays: dict[str, Any] = extract(source)
    np.savez(target, **arrays)


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2])
    # Whatever ezc3d raises is shown to the user by the process that started this one.
    except Exception as failure:
        print(failure or type(failure).__name__, file=sys.stderr)
        sys.exit(1)
