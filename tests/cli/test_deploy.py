"""`vertex-training deploy`: it never replaces another project's deployment, and says what it changes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.schedules import IntervalSchedule
from prefect_vertex_training.cli.main import main

pytestmark = pytest.mark.prefect


@pytest.fixture
def pool(prefect_server: str) -> str:
    """A process work pool."""
    with get_client(sync_client=True) as client:
        return client.create_work_pool(WorkPoolCreate(name=f"pool-{uuid4().hex[:6]}", type="process")).name


def deploy(*words: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    with pytest.raises(SystemExit) as stop:
        main(["deploy", *map(str, words)])
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def project_named(folder: Path, name: str) -> Path:
    """A project whose settings name it."""
    folder.mkdir()
    (folder / "train.py").write_text("")
    (folder / "pyproject.toml").write_text(f'[tool.vertex-training]\nname = "{name}"\n')
    return folder


def test_two_projects_of_one_name_keep_their_deployments(
    home: object, tmp_path: Path, pool: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second is refused, with the first one's folder; --name makes another, --overwrite replaces."""
    name = f"digits-{uuid4().hex[:6]}"
    first, second = project_named(tmp_path / "first", name), project_named(tmp_path / "second", name)
    words = ("--work-pool", pool)

    assert deploy(first, *words, capsys=capsys)[::2] == (0, "")
    code, out, err = deploy(second, *words, capsys=capsys)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert f"train/{name} trains another project: {first}" in err
    assert "--overwrite" in err
    assert deploy(second, *words, "--name", f"{name}-2", capsys=capsys)[0] == 0
    code, _, err = deploy(second, *words, "--overwrite", capsys=capsys)
    assert code == 0
    assert f"project: {first} -> {second}" in err


def test_what_changes_is_shown_before(
    home: object, tmp_path: Path, pool: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A schedule that somebody made in the UI too, which a new deployment removes."""
    name = f"digits-{uuid4().hex[:6]}"
    project = project_named(tmp_path / "digits", name)
    words = (project, "--work-pool", pool)

    deploy(*words, "--cron", "0 2 * * *", "--", "--epochs", "20", capsys=capsys)
    _, _, same = deploy(*words, "--cron", "0 2 * * *", "--", "--epochs", "20", capsys=capsys)
    with get_client(sync_client=True) as client:
        made = client.read_deployment_by_name(f"train/{name}")
        client.create_deployment_schedules(made.id, [(IntervalSchedule(interval=timedelta(hours=1)), True)])
    _, _, changed = deploy(*words, "--", "--epochs", "30", capsys=capsys)

    assert same == ""
    assert changed.splitlines()[0] == f"the deployment train/{name} exists; this changes:"
    assert 'args: ["--epochs", "20"] -> ["--epochs", "30"]' in changed
    assert "schedule: " in changed
    assert "0 2 * * *" in changed
    assert "1:00:00" in changed
    assert "-> none" in changed
