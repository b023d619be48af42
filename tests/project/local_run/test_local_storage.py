"""The local run with buckets of this machine: gs:// and /gcs work as in a job, and real buckets are out of reach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from prefect_vertex_training.core.errors import VerifyError
from prefect_vertex_training.local_vertex.storage import storage_service
from prefect_vertex_training.project.files.listing import list_files
from prefect_vertex_training.project.local_run.verify import VerifyReport, verify
from prefect_vertex_training.project.settings.settings import load

Verify = Any


@pytest.fixture
def check(make_project: Any, tmp_path: Path) -> Iterator[Verify]:
    """A function that verifies a project with this script and these settings."""
    vertex = tmp_path / "home" / "vertex"

    def run(script: str, settings: str = "", args: Sequence[str] = (), **files: str) -> VerifyReport:
        toml = f"[tool.vertex-training]\n{settings}\n"
        root = make_project({"train.py": script, "requirements.txt": "", "pyproject.toml": toml, **files})
        found = load(root)
        cache = tmp_path / "cache"
        return verify(root, list_files(root, found), found, args, cache=cache, log=print, vertex=vertex)

    yield run
    storage_service.stop(vertex)


def test_a_model_saved_over_the_api_or_below_gcs_counts(check: Verify) -> None:
    """Both ways lead to the same folder, which is removed afterwards."""
    report = check(
        "import os, urllib.request as u\n"
        "model = os.environ['AIP_MODEL_DIR']\n"
        "bucket, _, prefix = model[5:].partition('/')\n"
        "url = os.environ['STORAGE_EMULATOR_HOST'] + '/upload/storage/v1/b/' + bucket\n"
        "u.urlopen(u.Request(url + '/o?uploadType=media&name=' + prefix + 'api.bin', b'x', method='POST'))\n"
        "open(model.replace('gs://', '/gcs/') + 'gcs.bin', 'w').write('y')\n"
        "open(os.environ['VERTEX_TRAINING_MODEL_DIR'] + '/path.bin', 'w').write('z')\n"
        "assert model.startswith('gs://') and model.endswith('/model/')\n"
    )

    assert report.model_files == ("api.bin", "gcs.bin", "path.bin")


def test_a_script_that_takes_a_gs_uri_for_a_path_fails(check: Verify) -> None:
    """The message says what to write instead."""
    with pytest.raises(VerifyError, match=r'took a gs:// URI for a path.*Write uri\.replace\("gs://", "/gcs/", 1\)'):
        check("import os\nos.makedirs(os.environ['AIP_MODEL_DIR']); open(os.environ['AIP_MODEL_DIR'] + 'm', 'w')")


def test_a_missing_file_of_a_bucket_is_explained(check: Verify) -> None:
    """It may be in the real bucket, which the local run doesn't reach."""
    with pytest.raises(VerifyError, match=r"/gcs/my-data/train\.csv, which is not in the buckets of this machine"):
        check("open('/gcs/my-data/train.csv')")


def test_a_bucket_that_the_script_names_exists_here(check: Verify) -> None:
    """In the cloud it does, so a script may write to it."""
    check(
        "import os, urllib.request as u\n"
        "uri = 'gs://my-bucket/x'\n"
        "url = os.environ['STORAGE_EMULATOR_HOST'] + '/upload/storage/v1/b/my-bucket/o?uploadType=media&name=x'\n"
        "assert u.urlopen(u.Request(url, b'x', method='POST')).status == 200\n"
        "open(os.environ['VERTEX_TRAINING_MODEL_DIR'] + '/m', 'w')"
    )


def test_an_address_that_stands_alone_may_be_the_models(check: Verify) -> None:
    """A positional argument whose name is unknown, as of sys.argv, is looked at after the run; old objects are none."""
    script = (
        "import pathlib, sys\n"
        "data, model = (pathlib.Path(word.replace('gs://', '/gcs/')) for word in sys.argv[1:])\n"
        "data.mkdir(parents=True, exist_ok=True)\n"
        "if not list(data.iterdir()):\n"
        "    (data / 'rows.csv').write_text('1')\n"
        "model.mkdir(parents=True, exist_ok=True)\n"
        "(model / 'm.bin').write_text('x')\n"
    )
    args = ["gs://my-data/rows", "gs://my-models/digits"]

    assert check(script, args=args).model_files == ("rows.csv",)  # both are new: the first counts
    assert check(script, args=args).model_files == ("m.bin",)
    with pytest.raises(VerifyError, match="saved no model"):
        check("import sys\nassert len(sys.argv) == 3", args=args)


def test_real_credentials_are_out_of_reach_unless_asked_for(check: Verify, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients get an account that does not exist; `local-storage = "real"` leaves all as it is."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/mine.json")
    save = "\nopen(os.environ['VERTEX_TRAINING_MODEL_DIR'] + '/m', 'w')"
    check("import os\nassert os.environ['GOOGLE_APPLICATION_CREDENTIALS'] != '/mine.json'" + save)
    check(
        "import os\nassert os.environ['GOOGLE_APPLICATION_CREDENTIALS'] == '/mine.json'\n"
        "assert 'STORAGE_EMULATOR_HOST' not in os.environ" + save,
        'local-storage = "real"',
    )


def test_data_is_used_in_place(check: Verify, tmp_path: Path) -> None:
    """The script opens it where it was, and its path stands in a variable."""
    data = tmp_path / "elsewhere"
    data.mkdir()
    (data / "a.csv").write_text("1")
    check(
        "import os\n"
        f"assert os.environ['VERTEX_TRAINING_DATA_FAR'] == {str(data)!r}\n"
        "assert open('near/b.csv').read() == '2'\n"
        "open(os.environ['VERTEX_TRAINING_MODEL_DIR'] + '/m', 'w')",
        f'data = {{ near = "near", far = "{data}" }}',
        **{"near/b.csv": "2"},
    )
