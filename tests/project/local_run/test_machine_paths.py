"""Paths that exist on this machine only are told, wherever the user's home is."""

from __future__ import annotations

from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest
from prefect_vertex_training.project.local_run.machine_paths import local_path_warnings


def warned(*texts: str, outputs: Path = Path("/nowhere")) -> list[str]:
    """The paths that are told."""
    return [warning.split(" is on this machine only")[0] for warning in local_path_warnings(texts, outputs)]


@pytest.mark.parametrize("place", ["home", "tmp/home", "project/home"])
def test_a_file_in_the_users_home_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """By its absolute path and by `~`, also if the home is below /tmp, which containers have."""
    home = tmp_path / place
    home.mkdir(parents=True)
    (home / "data.csv").touch()
    monkeypatch.setenv("HOME", str(home))

    assert warned(str(home / "data.csv"), "~/data.csv", "~/gone.csv") == [str(home / "data.csv")] * 2


def test_a_file_in_a_folder_of_every_container_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """`/dev`, `/etc` and `/tmp` are there in the cloud too, also for a user whose home is such a folder."""
    monkeypatch.setenv("HOME", "/tmp")

    with NamedTemporaryFile(dir="/tmp") as file:
        assert warned("/dev/null", "/etc/passwd", "/tmp", file.name, "/", "relative", "text") == []


def test_a_user_without_a_home_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container HOME may be unset and the user unknown: `~` then names nothing."""

    def unknown(_cls: type[Path]) -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", classmethod(unknown))

    assert warned("~/data.csv", "/lib") == ["/lib"]


def test_the_local_runs_own_outputs_are_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are arguments of the run, and below the user's home by default."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "outputs" / "model").mkdir(parents=True)

    assert warned(str(tmp_path / "outputs" / "model"), outputs=tmp_path / "outputs") == []
