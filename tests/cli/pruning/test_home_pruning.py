"""Pruning of the home: old and superfluous files go, models and what is in use stay."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from fixtures.images.stored_images import make_image
from prefect_vertex_training.cli.main import main
from prefect_vertex_training.cli.pruning import home_pruning
from prefect_vertex_training.cli.pruning.home_pruning import KEPT, HomePruning, prune_when_due
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.local_vertex.endpoint import store_path
from prefect_vertex_training.local_vertex.store.records import JobRecord
from prefect_vertex_training.local_vertex.store.store import Store

DAY = 24 * 3600.0


def old(path: Path, days: float = 1000) -> Path:
    """Sets a file's time, or that of a folder and all in it, back."""
    then = time.time() - days * DAY
    for each in (*path.rglob("*"), path):
        os.utime(each, (then, then), follow_symlinks=False)
    return path


def put(path: Path, size: int = 1000) -> Path:
    """Writes a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    return path


def prune(*options: str) -> None:
    """Runs the command."""
    with pytest.raises(SystemExit) as ended:
        main(["local", "prune", *options])
    assert not ended.value.code


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home whose path has a blank and a colon."""
    monkeypatch.setenv("VERTEX_TRAINING_HOME", str(tmp_path / "a home:1"))
    return Home.default()


def test_what_is_removed_by_age(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """Each kind of file after its time; new ones, models and jobs that run stay; a dry run only says it."""
    gone = [old(put(home.root / kept.folder / "old" / "file").parent) for kept in KEPT]
    gone += [old(put(home.root / "vertex/store.db.damaged"))]
    kept = [put(home.root / kept.folder / "new" / "file").parent for kept in KEPT]
    kept += [old(put(home.root / "vertex/buckets/local/run/model/model.pkl"))]
    kept += [old(put(home.root / "vertex/buckets/local/run/x.damaged"))]
    store = Store(store_path(home))
    for number, state in (("1", "JOB_STATE_RUNNING"), ("2", "JOB_STATE_SUCCEEDED")):
        store.create(JobRecord(id=number))
        store.transition(number, state)
        (gone if number == "2" else kept).append(old(put(home.root / f"vertex/runs/{number}/out").parent))
    store.close()
    used = old(put(home.root / "vertex/trees/used/files/file").parents[1])
    link = home.root / "vertex/runs/1/1-a/code.tree"
    link.parent.mkdir()
    link.symlink_to(used / "files")
    kept += [used]

    prune("--dry-run")
    said = capsys.readouterr().out
    assert "would free" in said
    assert all(path.exists() for path in (*gone, *kept))
    prune()
    assert [path for path in gone if path.exists()] == []
    assert [path for path in kept if not path.exists()] == []
    assert capsys.readouterr().out == said.replace("would free", "freed")
    assert HomePruning(home).run() == []


def test_what_is_removed_by_size(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit, what was used longest ago."""
    kind = home_pruning.Kept("environments", "cache/environments", 30, limit=2500)
    monkeypatch.setattr(home_pruning, "KEPT", (kind,))
    for days in range(4):
        old(put(home.root / kind.folder / str(days) / "file").parent, days)

    (freed,) = HomePruning(home).run()
    assert (freed.count, freed.size) == (2, 2000)
    assert sorted(path.name for path in (home.root / kind.folder).iterdir()) == ["0", "1"]


def test_images_of_the_layout(home: Home) -> None:
    """Unused ones go with their blobs; layers that a used image shares stay."""
    layout = OciLayout(home.images, "thing")
    unused, used = make_image(layout, 5000), make_image(layout, 6000)
    old(layout.blob_path(unused.digest))
    (freed,) = HomePruning(home).run()

    assert freed.count == 1
    assert freed.size > 5000
    assert not layout.is_whole(unused.digest)
    assert layout.is_whole(used.digest)


def test_once_a_day(home: Home) -> None:
    """A run prunes the home if that wasn't done for a day."""
    first = old(put(home.root / "cache/locks/a.toml"))
    prune_when_due(home)
    second = old(put(home.root / "cache/locks/b.toml"))
    prune_when_due(home)
    assert (first.exists(), second.exists()) == (False, True)
    old(home.cache / "pruned", days=2)
    prune_when_due(home)
    assert not second.exists()
