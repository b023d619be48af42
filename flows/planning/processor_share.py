"""The share of this machine's processors that each of several jobs gets that run here at once."""

from __future__ import annotations

import os
from collections.abc import Mapping

THREADS = "OMP_NUM_THREADS"
"""How many threads a process starts for arithmetic: OpenMP reads it, and so do OpenBLAS, MKL, PyTorch and XGBoost."""


def thread_variables(jobs: int) -> Mapping[str, str]:
    """The variable that keeps a job within its share; nothing for a job that has the machine for itself.

    Each library starts as many threads as there are processors, which wait for one another by counting. Several such
    jobs at once take more time than one after another.

    Args:
        jobs: How many run at once.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {THREADS: str(max(1, processors // jobs))} if jobs > 1 else {}
