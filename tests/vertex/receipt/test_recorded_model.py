"""Receipts that are read again: those of this version, of earlier ones, and what somebody else wrote there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from prefect_vertex_training.core.errors import VertexError
from prefect_vertex_training.vertex.receipt.recorded_model import parse

URI = "gs://bucket/digits/run/receipt.json"
FILE = {"path": "deep/m", "bytes": 7, "sha256": "a" * 64, "updated": "2026-01-02T03:04:05Z"}
FIRST: dict[str, Any] = {
    "version": 1,
    "job": {
        "name": "projects/1/locations/r/customJobs/2",
        "display_name": "digits @ 3f2a1c0 on this machine 0686ab12",
        "created": "2026-01-02T03:00:00Z",
        "started": "2026-01-02T03:01:00Z",
        "ended": "2026-01-02T03:02:30Z",
    },
    "flow_run": "0686ab12-0000-7000-8000-000000000000",
    "output": "gs://bucket/digits/run",
    "files": [FILE],
}
"""A receipt as the first version wrote it."""


def read(document: object) -> Any:
    """The model of a document."""
    return parse(json.dumps(document).encode(), URI)


def test_the_first_versions_receipts_are_read() -> None:
    """Without metrics, and with the model where it always was."""
    model = read(FIRST)

    assert (model.folder, model.receipt, model.run) == ("gs://bucket/digits/run/model", URI, FIRST["flow_run"])
    assert [(file.path, file.size, file.sha256) for file in model.files] == [("deep/m", 7, "a" * 64)]
    assert (model.seconds, model.metrics, model.size) == (90.0, {}, 7)
    assert model.title.startswith("digits")


def test_what_later_receipts_add_is_read() -> None:
    """The model's own place, and metrics; of those everything that is no number is left out."""
    metrics = {"loss": {"last": 0.5, "lowest": 0.25, "highest": 2}, "odd": {"last": "x"}, "odder": 3}
    model = read({**FIRST, "model": "gs://other/place/", "metrics": metrics, "unknown": [1]})

    assert model.folder == "gs://other/place"
    assert model.metrics == {"loss": {"last": 0.5, "lowest": 0.25, "highest": 2.0}, "odd": {}}


def test_a_receipt_of_a_later_form_says_to_update() -> None:
    """A reader that knows less must not guess."""
    with pytest.raises(VertexError, match=r"version 2 of its form.*Update this program"):
        read({**FIRST, "version": 2})


@pytest.mark.parametrize(
    "document",
    [
        [],
        "x",
        {},
        {"version": "x"},
        {"version": 1},
        {**FIRST, "files": {"a": 1}},
        {**FIRST, "files": [1]},
        {**FIRST, "files": [{**FILE, "bytes": -1}]},
        {**FIRST, "files": [{**FILE, "bytes": "7"}]},
        {**FIRST, "files": [{**FILE, "bytes": True}]},
        {**FIRST, "files": [{**FILE, "sha256": "A" * 64}]},
        {**FIRST, "files": [{**FILE, "sha256": None}]},
        {**FIRST, "files": [FILE, FILE]},
        {**FIRST, "job": [1]},
    ],
)
def test_a_damaged_receipt_is_one_line(document: object) -> None:
    """It names its place and what to do."""
    with pytest.raises(VertexError, match=r"the receipt is damaged") as caught:
        read(document)

    assert URI in str(caught.value)
    assert "Retry the run" in str(caught.value)


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./a", "a/.", "a\\b", "a\0b", None, 3, ["a"]]
)
def test_no_path_leads_out_of_the_folder(path: object) -> None:
    """Whoever can write to the bucket could else write anywhere on the machine that downloads."""
    with pytest.raises(VertexError, match="damaged"):
        read({**FIRST, "files": [{**FILE, "path": path}]})


def test_no_json_is_damaged_too() -> None:
    """As a file that was cut off."""
    with pytest.raises(VertexError, match="damaged"):
        parse(json.dumps(FIRST).encode()[:-5], URI, "/home/me/receipt.json")
