"""Runs as Prefect tells of them: which project and place each was for."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect_vertex_training.flows.history.prefect_runs import _place, _projects


def run(name: str = "brave-owl", tags: tuple[str, ...] = (), **parameters: Any) -> FlowRun:
    """A flow run."""
    return FlowRun(id=uuid4(), flow_id=uuid4(), name=name, tags=list(tags), parameters=parameters)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (run("digits @ 3f2a1c0 on n1", project="/home/me/projects/Digits"), ["digits", "Digits"]),
        (run(project="/home/me/digits/"), ["digits"]),
        (run(project="https://host/owner/name.git"), ["name"]),
        (run(project="https://host/owner/name.git", subfolder="digits"), ["digits", "name"]),
        (run(project=None), ["unknown"]),
        (run(), ["unknown"]),
    ],
)
def test_the_project_of_a_run(given: FlowRun, expected: list[str]) -> None:
    """By the name that it gave itself, or where it failed too early for one, by its parameters."""
    assert _projects(given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (run(tags=("digits", "local")), "this machine"),
        (run(tags=("digits", "europe-west4", "n1-standard-4"), vertex={"x": 1}), "europe-west4"),
        (run(vertex={"x": 1}), "the cloud"),
        (run(vertex=None), "this machine"),
    ],
)
def test_the_place_of_a_run(given: FlowRun, expected: str) -> None:
    """By its tags, or its parameters."""
    assert _place(given) == expected
