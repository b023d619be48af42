"""Which log line is the exception that ended a program: only a traceback's last line, whatever stands between."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.vertex.diagnosis import diagnose
from prefect_vertex_training.vertex.job_types import LogLine
from prefect_vertex_training.vertex.tracebacks import last_exception

HEAD = "Traceback (most recent call last):"
FRAMES = ['  File "/app/train.py", line 7, in <module>', "    main()", "    ~~~~^^"]
END = "ValueError: no rows"
FAILED = "The replica workerpool0-0 exited with a non-zero status of 1. Termination reason: Error."


def stderr(*texts: str, task: str = "workerpool0-0") -> list[LogLine]:
    """Lines of standard error, one a second."""
    return [LogLine(float(second), "ERROR", text, task) for second, text in enumerate(texts)]


def stdout(*texts: str, at: float = 0.0, task: str = "workerpool0-0") -> list[LogLine]:
    """Lines of standard output, all at one time."""
    return [LogLine(at, "INFO", text, task) for text in texts]


def shown(script: str, folder: Path) -> list[LogLine]:
    """What Python itself writes to standard error when it runs a script."""
    file = folder / "train.py"
    file.write_text(script)
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    return stderr(*done.stderr.splitlines())


@pytest.mark.parametrize("place", range(1, 6))
@pytest.mark.parametrize("other", ["trained 1", "loss: 0.3", "Epoch: 3", "OSError: printed", "Downloading"])
def test_standard_output_between_the_lines_is_no_exception(place: int, other: str) -> None:
    """Wherever a line of standard output stands in a traceback, the exception is the traceback's last line."""
    lines = stderr(HEAD, *FRAMES, END)
    lines[place:place] = stdout(other)

    assert last_exception(lines) == END


@pytest.mark.parametrize("other", ["trained 1", "loss: 0.3", "100%", "", "epoch 3/4", "saved: /tmp/x", "Epoch 3: done"])
@pytest.mark.parametrize("place", range(1, 5))
def test_output_in_one_stream_is_no_exception(place: int, other: str) -> None:
    """A program that writes all to one stream (`2>&1`) has its own lines between those of the traceback."""
    texts = [HEAD, *FRAMES, END]
    texts.insert(place, other)

    assert last_exception(stderr(*texts)) == END


@pytest.mark.parametrize("other", ["trained 1", "loss: 0.3", "Epoch: 3"])
def test_a_traceback_whose_end_is_missing_gives_no_exception(other: str) -> None:
    """Standard output that comes after an incomplete traceback is not taken for its end."""
    assert last_exception([*stderr(HEAD, *FRAMES), *stdout(other)]) == ""
    assert last_exception(stderr(HEAD, *FRAMES, "trained 1")) == ""


@given(st.permutations(range(7)))
def test_lines_that_arrive_late_count_at_their_own_time(order: list[int]) -> None:
    """Cloud Logging delivers lines out of order; the diagnosis is the same in every order of arrival."""
    lines = [*stderr(HEAD, *FRAMES, END, "bye"), *stdout("trained 1", at=1.5)]
    found = diagnose("JOB_STATE_FAILED", 3, FAILED, [lines[index] for index in order])

    assert found is not None
    assert found.sentence == f"the training code failed with {END}"


def test_the_jobs_own_error_counts_before_the_log() -> None:
    """A traceback in the error text is this failure's; the log may hold one of an attempt before it."""
    text = f"{FAILED}\n{HEAD}\n{FRAMES[0]}\nKeyError: 'label'"
    found = diagnose("JOB_STATE_FAILED", 3, text, stderr(HEAD, *FRAMES, END))

    assert found is not None
    assert found.sentence == "the training code failed with KeyError: 'label'"


def test_a_line_without_a_traceback_is_no_exception() -> None:
    """Programs print lines of that form for other reasons."""
    assert last_exception(stderr("ValueError: printed by hand")) == ""
    assert last_exception([]) == ""


SCRIPTS = {
    "without a message": ("raise MemoryError", "MemoryError"),
    "of the script's own class": ("class NoRows(Exception): ...\nraise NoRows('empty')", "NoRows: empty"),
    "own class without a message": ("class NoRows(Exception): ...\nraise NoRows", "NoRows"),
    "lower case": (
        "import zlib\nzlib.decompress(b'')",
        "zlib.error: Error -5 while decompressing data: incomplete or truncated stream",
    ),
    "several lines": ("raise ValueError('no rows\\nin: data\\nTypeError: quoted')", "ValueError: no rows"),
    "with notes": ("e = ValueError('no rows')\ne.add_note('OSError: a note')\nraise e", "ValueError: no rows"),
    "during handling": ("try:\n    1 / 0\nexcept Exception:\n    raise KeyError('b')", "KeyError: 'b'"),
    "from a cause": ("try:\n    1 / 0\nexcept Exception as e:\n    raise KeyError('b') from e", "KeyError: 'b'"),
    "syntax error": ("exec('a = (')", "SyntaxError: '(' was never closed"),
    "interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "group": ("raise ExceptionGroup('two', [ValueError('no rows'), TypeError('b')])", "ValueError: no rows"),
    "group in a group": (
        "raise ExceptionGroup('a', [ExceptionGroup('b', [ValueError('no rows')])])",
        "ValueError: no rows",
    ),
    "raised in a task group": (
        (
            "import asyncio\nasync def fail():\n    raise ValueError('no rows')\nasync def main():\n"
            "    async with asyncio.TaskGroup() as group:\n        group.create_task(fail())\nasyncio.run(main())"
        ),
        "ValueError: no rows",
    ),
    "in a pool": (
        (
            "import multiprocessing as m\ndef fail(x):\n    raise ValueError('no rows')\n"
            "if __name__ == '__main__':\n    m.get_context('fork').Pool(1).map(fail, [1])"
        ),
        "ValueError: no rows",
    ),
    "warning as an error": (
        "import warnings\nwarnings.simplefilter('error')\nwarnings.warn('old')",
        "UserWarning: old",
    ),
    "a warning afterwards": (
        (
            "import atexit, warnings\natexit.register(lambda: warnings.warn('leaked', ResourceWarning.__base__))\n"
            "raise ValueError('no rows')"
        ),
        "ValueError: no rows",
    ),
}


@pytest.mark.parametrize(("script", "exception"), SCRIPTS.values(), ids=SCRIPTS)
def test_what_python_itself_writes(script: str, exception: str, tmp_path: Path) -> None:
    """Each form of a traceback, as this Python writes it."""
    assert last_exception(shown(script, tmp_path)) == exception


@pytest.mark.parametrize("script", ["import sys\nsys.exit('no data')", "raise SystemExit('no data')"])
def test_an_exits_text_is_no_exception(script: str, tmp_path: Path) -> None:
    """SystemExit writes its text without a traceback; it is shown as the last line."""
    lines = shown(script, tmp_path)
    found = diagnose("JOB_STATE_FAILED", 3, FAILED, lines)

    assert last_exception(lines) == ""
    assert found is not None
    assert found.sentence == "the training code ended with exit status 1: no data"


def test_ranks_and_replicas_are_told_apart() -> None:
    """Two ranks write their tracebacks at the same time; each one's end is its own."""
    ranks = [f"[rank{rank}]: {text}" for text in (HEAD, *FRAMES, "{}") for rank in (0, 1)]
    texts = [*ranks[:-2], "[rank1]: TypeError: of rank 1", "[rank0]: ValueError: of rank 0"]
    others = [*stderr(HEAD, *FRAMES, task="workerpool1-0"), *stderr("OSError: of another", task="workerpool0-0")]

    assert last_exception(stderr(*texts)) == "TypeError: of rank 1"
    assert last_exception(others) == ""


@given(st.lists(st.sampled_from([HEAD, *FRAMES, END, "trained 1", "  + Exception Group " + HEAD, "  | a", "", ":"])))
def test_no_lines_break_it(texts: list[str]) -> None:
    """Whatever stands in a log, the answer is one of its lines that follows a traceback, or nothing."""
    found = last_exception(stderr(*texts))

    assert found in {"", END}
