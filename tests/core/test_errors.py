"""The error tree: one line each, and a word on whether trying again helps."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path

import pytest
from prefect_vertex_training.core import errors
from prefect_vertex_training.core.errors import RegistryUnavailable, StorageError, TrainingError, storage_errors


def test_a_message_is_one_line_of_what_where_and_the_next_step() -> None:
    """Line breaks of what a service said never reach the message; details stay apart."""
    error = TrainingError("no such\nthing", where=Path("a/b"), next_step="Make it", detail="much\nmore")

    assert str(error) == "no such thing (a/b). Make it"
    assert error.detail == "much\nmore"


def test_an_error_survives_pickling_with_all_it_knows() -> None:
    """Prefect carries a task's exception between processes."""
    error = pickle.loads(pickle.dumps(RegistryUnavailable("cut", where="host", detail="d", next_step="n")))

    assert (str(error), error.detail, error.transient) == ("cut (host). n", "d", True)


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    """Every class is drawn, and nothing is drawn that isn't there."""
    drawn = {line.strip(" |`-").split()[0] for line in (errors.__doc__ or "").splitlines() if line.startswith("    ")}
    defined = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}

    assert drawn == defined


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_full_disk_is_said_in_one_line(number: int) -> None:
    """The path stands in the message."""
    with pytest.raises(StorageError, match="/some/file"), storage_errors("/some/file"):
        raise OSError(number, "No space left on device")


def test_other_system_errors_pass_unchanged() -> None:
    """Only the disk's own errors are translated."""
    with pytest.raises(FileNotFoundError), storage_errors("x"):
        raise FileNotFoundError(errno.ENOENT, "gone")
