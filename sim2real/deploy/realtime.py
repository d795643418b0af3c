"""Real-time scheduling: what must be done in time comes before all else that the machine does."""

import os
from pathlib import Path

BRIDGE_PRIORITY = 20
"""Of the bridge, by default: before what else runs, after drivers (ros2_control has 50)."""
TWIN_PRIORITY = 10
"""Of a twin, which stands for electronics that wait for nobody, but must not starve the bridge."""
_THREADS = Path("/proc/self/task")


def take_priority(priority: int) -> str:
    """Gives all threads of this process a real-time priority (SCHED_FIFO), and those to come.

    Linux keeps a twentieth of the time for others, whatever a thread does (sched_rt_runtime_us).

    Args:
        priority: 1 to 99, more comes first; 0 to leave things as they are.

    Returns:
        Why it was refused; empty if it was not.
    """
    if priority == 0:
        return ""
    try:
        for thread in _THREADS.iterdir():
            os.sched_setscheduler(int(thread.name), os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        return error.strerror or repr(error)
    return ""
