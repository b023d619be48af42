"""Damage to anything that is kept between runs: noticed before it is used, and made good."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures.images.base_kinds import PYTHON, Kind, store, tar
from fixtures.images.damage import Campaign
from fixtures.images.registry_server import running_registry
from prefect_vertex_training.images.oci.reference import Reference
from prefect_vertex_training.images.registry.repository import Repository


@pytest.mark.registry
def test_random_damage(tmp_path: Path, make_wheel: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The right image and model come out after at most one rerun, or one clear line; a benchmark does more of it."""
    noise = bytes(range(256)) * 1200
    wheels = [
        make_wheel(tmp_path / "wheels", {"big/__init__.py": b"X = 1\n", "big/data.bin": noise}, name="big"),
        make_wheel(tmp_path / "wheels", {"small.py": b"X = 2\n"}, name="small"),
    ]
    monkeypatch.setenv("UV_CACHE_DIR", "set by the campaign")
    with running_registry(tmp_path / "registry", password=False) as registry:
        store(Repository(Reference(registry.host, "base/python")), Kind([tar({"usr/bin/python3.11": PYTHON})]))
        campaign = Campaign(tmp_path / "work", registry, f"{registry.host}/base/python:v1", wheels)
        campaign.start()
        trials = [campaign.trial(seed) for seed in range(5)]

    assert [trial for trial in trials if trial.failed] == []
