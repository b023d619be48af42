"""The table of data sets: what is valid, and what stops the run with a line."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect_vertex_training.core.errors import ProjectError
from prefect_vertex_training.project.settings.data_settings import DataSetting, flagged, proposed_name
from prefect_vertex_training.project.settings.settings import load


def project(folder: Path, table: str) -> Path:
    """A project with this table of data sets."""
    (folder / "train.py").touch()
    (folder / "pyproject.toml").write_text(f"[tool.vertex-training.data]\n{table}\n")
    return folder


def test_a_path_a_table_and_a_bucket(tmp_path: Path) -> None:
    """Each form is read; a path loses its slash and dots."""
    root = project(
        tmp_path,
        'train = "./data/"\nval = { path = "val", include = ["*.parquet"], mode = "mount" }\nnet = "gs://bucket/net/"',
    )

    assert load(root).data == (
        DataSetting("train", "data"),
        DataSetting("val", "val", include=("*.parquet",), mode="mount"),
        DataSetting("net", uri="gs://bucket/net", mode="mount"),
    )


@pytest.mark.parametrize(
    "table",
    [
        'train = ""',
        "train = 3",
        'train = { path = "x", mode = "stream" }',
        'train = { path = "x", paths = "y" }',
        'train = { include = ["x"] }',
        '"1st" = "x"',
        'train = "gs://Bucket"',
    ],
)
def test_what_is_no_data_set_stops_the_run(tmp_path: Path, table: str) -> None:
    """The line of the settings is named."""
    with pytest.raises(ProjectError, match=r"data in .* must be a table of data sets"):
        load(project(tmp_path, table))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('all = "."', "the data set all would hold the script train.py"),
        ('a = "data"\nb = "data/x"', "the data sets a and b overlap: data and data/x"),
        ('a-b = "x"\na_b = "y"', "the data sets a-b and a_b would have the same variable"),
        ('a = { path = "gs://bucket/x", include = ["*.csv"] }', "the data set a lies in a bucket, where `include`"),
    ],
)
def test_data_sets_that_can_not_be_together(tmp_path: Path, table: str, said: str) -> None:
    """The data sets are named."""
    with pytest.raises(ProjectError, match=said):
        load(project(tmp_path, table))


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ('a = "data/"', "data"),
        ('a = "gs://bucket/x/y.csv"', "/gcs/bucket/x/y.csv"),
        ('a = { path = "gs://bucket/x/y.csv", mode = "copy" }', "vertex-training-data/a/y.csv"),
        ('a = { path = "gs://bucket", mode = "copy" }', "vertex-training-data/a/bucket"),
    ],
)
def test_where_a_job_opens_it(tmp_path: Path, line: str, place: str) -> None:
    """Where it was, below /gcs, or in a folder for copies."""
    assert [each.place for each in load(project(tmp_path, line)).data] == [place]


def test_data_sets_of_a_run(tmp_path: Path) -> None:
    """NAME=PATH; any other word stops the run."""
    assert flagged(["a=x/y", "b=gs://bucket/z"]) == (
        DataSetting("a", "x/y"),
        DataSetting("b", uri="gs://bucket/z", mode="mount"),
    )
    with pytest.raises(ProjectError, match="'a' is no data set"):
        flagged(["a"])


def test_a_name_is_proposed() -> None:
    """For a folder that is left out."""
    assert [proposed_name(path) for path in ("raw/images/", "d/epoch9.CKPT", "2019.csv", "ä/")] == [
        "images",
        "epoch9",
        "data-2019",
        "data",
    ]
