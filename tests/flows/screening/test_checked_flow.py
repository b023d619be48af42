"""Parameters of runs and deployments: a secret in them stops before Prefect stores anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import is_valid
from prefect_vertex_training.core.errors import ProjectError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.deployments.parameters import parameters_of
from prefect_vertex_training.flows.screening.checked_flow import check_parameters
from prefect_vertex_training.flows.train import train

pytestmark = pytest.mark.prefect

WANDB = "5b1c0e6f9a3d47c28e1f60b7d4a92c835e7f1a06"
GITHUB = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


def _plain(**parameters: Any) -> object:
    return train(**parameters)


def _with_options(**parameters: Any) -> object:
    return train.with_options(name="other")(**parameters)


def _stored(home: Home) -> int:
    with get_client(sync_client=True) as client:
        return len(client.read_flow_runs())


@pytest.mark.parametrize("start", [_plain, _with_options])
@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"project": f"https://{GITHUB}@host.example/x.git"}, r"holds a user name.*\(https://host.example/x.git\)"),
        ({"project": "https://me@host.example/x.git"}, "holds a user name"),
        ({"project": f"HTTPS://me:{WANDB}@host.example/x"}, "holds a user name"),
        ({"project": "https://host.example/x.git", "ref": GITHUB}, "ref looks like a secret"),
        ({"args": ["--wandb-api-key", WANDB]}, "the argument --wandb-api-key looks like a secret"),
        ({"args": [f"--wandb-api-key={WANDB}"]}, "the argument --wandb-api-key looks like a secret"),
        ({"args": [f"logger.wandb.api_key={WANDB}"]}, "the argument logger.wandb.api_key looks like a secret"),
        ({"args": ["--epochs", "3", GITHUB]}, "argument 3 looks like a secret"),
        ({"args": ["redis://:s3cr3tpass@cache.example:6379/0"]}, "argument 1 looks like a secret"),
    ],
)
def test_a_secret_stops_before_a_run_exists(
    home: Home, project: Path, start: Callable[..., object], parameters: dict[str, Any], said: str
) -> None:
    """One line that names the argument and what to use instead, and never the secret."""
    before = _stored(home)

    with pytest.raises(ProjectError, match=said) as refused:
        start(**{"project": str(project), **parameters})
    assert _stored(home) == before
    assert not any(secret in f"{refused.value} {refused.value.detail}" for secret in (WANDB, GITHUB, "s3cr3tpass"))
    words = {"project": str(project), "args": [], **parameters}
    with pytest.raises(ProjectError, match=said):
        parameters_of(words.pop("project"), words.pop("args"), **words)


def test_an_entry_allows_what_is_no_secret(home: Home, project: Path) -> None:
    """The one that the message names, in the project's own settings."""
    with pytest.raises(ProjectError) as refused:
        check_parameters({"project": str(project), "args": [GITHUB]})
    entry = str(refused.value).split('allow-secrets = ["')[1].split('"')[0]
    (project / "pyproject.toml").write_text(f'[tool.vertex-training]\nallow-secrets = ["{entry}"]\n')

    check_parameters({"project": str(project), "args": [GITHUB]})
    with pytest.raises(ProjectError):
        check_parameters({"project": str(project), "args": [GITHUB[::-1], GITHUB[:-1] + "x"]})


@pytest.mark.parametrize(
    "words",
    [
        ["--epochs", "20", "--lr=1e-3"],
        ["--out_dir={model-dir}", "--data=gs://bucket/some/long/path/to/data-2024-01-01.parquet"],
        ["--token", "$(HF_TOKEN)", "--password", "changeme"],
        ["--tokenizer", "bert-base-uncased", "--key", "accuracy"],
        ["trainer.max_epochs=3", "model.name=resnet50", "--hash=d41d8cd98f00b204e9800998ecf8427e"],
    ],
)
def test_ordinary_arguments_pass(project: Path, words: list[str]) -> None:
    """Placeholders, paths and hashes are no secrets."""
    check_parameters({"project": str(project), "args": words})


@pytest.mark.parametrize(
    ("address", "valid"),
    [
        ("https://tok@host/x", False),
        ("HTTP://a:b@host/x", False),
        ("https://host/x@y", True),
        ("git@host:x/y", True),
        ("ssh://git@host/x", True),
        ("/srv/a@b", True),
    ],
)
def test_the_server_refuses_user_info_too(address: str, valid: bool) -> None:
    """By the form's schema: a run from the UI is stored before this package sees it."""
    assert is_valid({"project": address}, parameter_schema(train).model_dump()) is valid
