"""Running out of memory is recognized in the words of Python, frameworks and the system."""

from __future__ import annotations

import pytest
from prefect_vertex_training.project.local_run.processes.out_of_memory import memory_reason


@pytest.mark.parametrize(
    ("line", "code", "reason"),
    [
        ("MemoryError", 1, "memory ran out (MemoryError)"),
        ("numpy._core._exceptions._ArrayMemoryError: Unable to allocate 745. GiB", 1, "memory ran out (numpy"),
        ("RuntimeError: DataLoader worker (pid 42) is killed by signal: Killed. ", 1, "memory ran out (Runtime"),
        ("RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory: you tried", 1, "memory ran out (R"),
        ("OSError: [Errno 12] Cannot allocate memory", 1, "memory ran out (OSError"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", 1, "the GPU's memory ran out (torch"),
        ("jaxlib.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory", 1, "memory ran out (jaxlib"),
        ("", -9, "a sign that memory ran out"),
        ("", 137, "a sign that memory ran out"),
        ("", 1, ""),
        ("ValueError: no rows", 137, ""),
        ("", -11, ""),
    ],
)
def test_the_reason(line: str, code: int, reason: str) -> None:
    """An exception's own words are quoted; without one only the exit code is a sign."""
    found = memory_reason(line, code, [])

    assert found.startswith(reason)
    assert bool(found) == bool(reason)


def test_words_of_a_native_library_count_at_the_end() -> None:
    """C++ ends a program without a Python exception; a warning long before the end is none."""
    words = ["terminate called after throwing an instance of 'std::bad_alloc'", "  what():  std::bad_alloc"]

    assert memory_reason("", -6, words) == "memory ran out (what():  std::bad_alloc)"
    assert memory_reason("", 1, ["tip: to avoid CUDA out of memory, lower the batch", *map(str, range(9))]) == ""
