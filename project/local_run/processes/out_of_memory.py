"""Recognizes that a script ran out of memory, in the forms that Python, frameworks and the system report it."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

_KILLED = {-signal.SIGKILL, 128 + signal.SIGKILL}
"""Exit codes of a script, or of a launcher that passes its child's end on, which the system's OOM killer ended."""
_FORMS = re.compile(
    r"MemoryError\b|killed by signal: Killed|[Oo]ut of memory|OutOfMemory|RESOURCE_EXHAUSTED|OOM when allocating"
    r"|[Cc]an(?:'t|not) allocate memory|std::bad_alloc"
)
_ON_A_GPU = re.compile(r"\b(?:CUDA|HIP|GPU|XPU|MPS)\b")
_LAST = 5
"""Number of last lines in which a native library's words count; earlier ones may be a warning."""

STEP = "Give the local run less to do with verify-args under [tool.vertex-training], such as a smaller batch"


def memory_reason(exception: str, code: int, tail: Sequence[str]) -> str:
    """One line that says so; empty if nothing shows that memory ran out.

    Args:
        exception: The line with the exception that ended the script; empty without one.
        code: Its exit code; a negative number is a signal.
        tail: Its last lines of output, which a native library may have written.
    """
    last = exception or next((line.strip() for line in reversed(tail[-_LAST:]) if _FORMS.search(line)), "")
    if _FORMS.search(last):
        memory = "the GPU's memory" if _ON_A_GPU.search(last) else "memory"
        return f"{memory} ran out ({last})"
    return "a sign that memory ran out" if code in _KILLED and not exception else ""
