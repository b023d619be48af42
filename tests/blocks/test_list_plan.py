"""The places of a list: what each changes of the job, and entries that can't be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from prefect_vertex_training.blocks.list_plan import (
    FLEX_START_WAIT,
    STANDARD_WAIT,
    ListedPlace,
    list_places,
    listed_settings,
)
from prefect_vertex_training.core.errors import TrainingError
from prefect_vertex_training.flows.planning.training_plan import Place
from prefect_vertex_training.project.settings.settings import Settings, load

TENSORBOARD = "projects/p/locations/us-central1/tensorboards/1"


def settings_of(folder: Path, text: str) -> Settings:
    """Those of a project with this table."""
    (folder / "train.py").write_text("")
    (folder / "pyproject.toml").write_text(f"[tool.vertex-training]\n{text}")
    return load(folder)


class InCloud(Place):
    """A place of a block in us-central1, without the block."""

    local = False  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]


OWN = InCloud("us-central1", "own")


def places(folder: Path, text: str, **options: object) -> list[ListedPlace]:
    """The list of such a project."""
    return list_places(listed_settings(settings_of(folder, text)), OWN, **options)  # pyright: ignore[reportArgumentType]


def test_each_entry_changes_what_it_names(tmp_path: Path) -> None:
    """The job's own place comes first; regional resources are left out elsewhere; times have defaults."""
    found = places(
        tmp_path,
        f"""
machine-type = "g2-standard-12"
accelerator-type = "NVIDIA_L4"
accelerator-count = 1
strategy = "SPOT"
tensorboard = "{TENSORBOARD}"
service-account = "a@b.iam.gserviceaccount.com"
fallback-bucket = "mine-{{region}}"
[[tool.vertex-training.fallback]]
strategy = "STANDARD"
wait = "10m"
[[tool.vertex-training.fallback]]
region = "europe-west4"
machine-type = "a2-highgpu-1g"
strategy = "FLEX_START"
""",
    )

    shown = [(each.region, each.bucket, str(each.job.machine), each.job.strategy, each.wait) for each in found]
    assert shown == [
        ("us-central1", "own", "g2-standard-12 with 1 NVIDIA_L4", "SPOT", STANDARD_WAIT),
        ("us-central1", "own", "g2-standard-12 with 1 NVIDIA_L4", "STANDARD", 600.0),
        ("europe-west4", "mine-europe-west4", "a2-highgpu-1g with 1 NVIDIA_TESLA_A100", "FLEX_START", FLEX_START_WAIT),
    ]
    assert [each.job.tensorboard for each in found] == [TENSORBOARD, TENSORBOARD, None]


def test_auto_takes_regions_with_quota_the_cheapest_first(tmp_path: Path) -> None:
    """A region without quota, or without the accelerator, is none; of equal prices the job's own region comes first."""
    text = """
machine-type = "n1-standard-8"
fallback = "auto"
allowed-regions = ["asia-southeast1", "us-east1", "us-central1", "us-west1"]
fallback-bucket = "mine-{region}"
"""
    quota = {"asia-southeast1": True, "us-east1": None, "us-central1": True, "us-west1": False}
    found = places(tmp_path, text, has_quota=quota.get)

    assert [each.region for each in found] == ["us-central1", "asia-southeast1", "us-east1"]
    assert [each.bucket for each in found] == ["own", "mine-asia-southeast1", "mine-us-east1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[tool.vertex-training.fallback]]\nregion = "europe-west4"', r"no bucket is named there.*fallback-bucket"),
        (
            (
                'accelerator-type = "NVIDIA_H100_80GB"\naccelerator-count = 8\nmachine-type = "a3-highgpu-8g"\n'
                '[[tool.vertex-training.fallback]]\nregion = "europe-north1"\nbucket = "there"'
            ),
            r"entry 1 of the fall-back list: NVIDIA_H100_80GB is not offered in europe-north1.*us-central1",
        ),
        (
            (
                '[tool.vertex-training.data]\nd = "data"\n'
                '[[tool.vertex-training.fallback]]\nregion = "europe-west4"\nbucket = "there"'
            ),
            r"would take the run's data to europe-west4, and allowed-regions doesn't name it",
        ),
        ('[[tool.vertex-training.fallback]]\nregion = "europe-west99"', "Did you mean europe-west9"),
        ('[[tool.vertex-training.fallback]]\nregoin = "europe-west4"', "Did you mean region"),
        ('[[tool.vertex-training.fallback]]\nwait = "5m"', "entry 1 .* is no other place"),
        ('[[tool.vertex-training.fallback]]\nregion = "asia-east1"\nwait = "soon"', "wait .* must be a time above 0"),
        ('fallback = "auto"', "needs the regions"),
        (
            'allowed-regions = ["us-central1"]\n[[tool.vertex-training.fallback]]\nregion = "asia-east1"',
            "entry 1 .* is in asia-east1, which allowed-regions doesn't name",
        ),
    ],
)
def test_an_entry_that_cannot_be_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    """It names the entry, what is wrong with it, and the next step."""
    with pytest.raises(TrainingError, match=message) as raised:
        places(tmp_path, text)

    assert "\n" not in str(raised.value)


def test_a_place_that_is_ignored_leaves_the_others(tmp_path: Path) -> None:
    """Only a list whose places are all ignored is refused."""
    text = '[[tool.vertex-training.fallback]]\nregion = "europe-west4"\nbucket = "there"'
    assert len(places(tmp_path, text, ignored=["us-central1"])) == 2
    with pytest.raises(TrainingError, match="every place of the fall-back list is in a region that is ignored"):
        list_places(listed_settings(settings_of(tmp_path, text)), replace(OWN), ignored=["us-central1", "europe-west4"])
