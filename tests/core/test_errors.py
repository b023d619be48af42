"""The error tree: one line each, and a word on whether trying again helps."""

from __future__ import annotations

import ast
import errno
import pickle
from pathlib import Path

import pytest
from prefect_vertex_training.core import errors
from prefect_vertex_training.core.errors import (
    JobFailed,
    RegistryUnavailable,
    StorageError,
    TrainingError,
    storage_errors,
)

ROOT = Path(__file__).resolve().parents[2]
ENGINES_AND_STEPS = (
    *("core", "project", "images", "vertex", "local_vertex"),
    *("blocks", "tasks", "flows", "deployments", "cli"),
)


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


EVERY = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, TrainingError)]
ARGUMENTS = {
    "where": "here",
    "next_step": "Fix it",
    "detail": "more",
    "code": "DENIED",
    "status": 403,
    "retry_after": 2.5,
    "kind": "quota",
    "retryable": True,
}


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_every_error_is_made_by_its_constructor_alone(kind: type[TrainingError]) -> None:
    """Whatever attribute an error has is an argument; a pickled one, a copy and one made of its arguments are equal."""
    bare = kind("what")
    mine = {name: value for name, value in ARGUMENTS.items() if hasattr(bare, name)}
    error = kind("what", transient=not bare.transient, **mine)

    assert error.arguments() == {"what": "what", "transient": not bare.transient, **mine}
    for copy in (pickle.loads(pickle.dumps(error)), kind(**error.arguments()), error.replace()):
        assert (type(copy), copy.arguments(), str(copy)) == (kind, error.arguments(), str(error))


def test_a_changed_copy_leaves_the_error_as_it_was() -> None:
    """Adding a next step never changes an error that another handler still holds."""
    error = JobFailed("lost", next_step="Run again", retryable=True, kind="preempted")
    changed = error.replace(next_step="Stop")

    assert (error.next_step, changed.next_step) == ("Run again", "Stop")
    assert (changed.retryable, changed.kind) == (True, "preempted")


def test_no_module_sets_an_attribute_of_an_error() -> None:
    """Errors are complete when they are raised: `error.kind = ...` anywhere in the package fails here."""
    fields = {"what", "transient", *ARGUMENTS}
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in ENGINES_AND_STEPS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and node.attr in fields
        and isinstance(node.value, ast.Name)
        and node.value.id != "self"
    ]

    assert found == []
