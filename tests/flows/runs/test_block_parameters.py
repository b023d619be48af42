"""Blocks as a flow's parameters: listed by the run form, loaded with their secrets, imported only when given."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prefect import settings
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import BlockDocumentUpdate
from prefect.exceptions import ParameterTypeError
from prefect_vertex_training.blocks.registry import ContainerRegistry
from prefect_vertex_training.blocks.vertex_ai import VertexAI
from prefect_vertex_training.cli.load_blocks import load_vertex
from prefect_vertex_training.core.errors import ProjectError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.train import train

RUN = """\
import sys
from prefect_vertex_training.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
wrong = {"google.cloud.aiplatform", "prefect_gcp", "prefect_docker"} & set(sys.modules)
assert "google.cloud.aiplatform_v1" in sys.modules, "no job was run"
assert not wrong, wrong
"""


def test_the_form_offers_the_saved_blocks() -> None:
    """The schema names each block's type as the block itself does, which is what makes the form a list to pick from."""
    properties = train.parameters.properties

    for name, block in (("registry", ContainerRegistry), ("vertex", VertexAI)):
        assert properties[name]["block_type_slug"] == block.get_block_type_slug()
        assert properties[name]["default"] is None


def test_a_saved_block_is_loaded_with_its_secrets(prefect_server: str) -> None:
    """What Prefect keeps of a run's parameters hides a token; a hook in another process gets the real one."""
    block = VertexAI.model_validate(
        {"project": "my-project", "region": "europe-west4", "bucket": "models", "token": "hush", "endpoint": "unix:/s"}
    )
    block.save("with-token", overwrite=True)
    kept = train.serialize_parameters({"project": "p", "vertex": VertexAI.load("with-token")})

    loaded = train.validate_parameters(kept)["vertex"]

    assert "hush" not in str(kept)
    assert isinstance(loaded, VertexAI)
    assert loaded.token is not None
    assert loaded.token.get_secret_value() == "hush"


def test_a_wrong_value_in_a_saved_block_is_named(prefect_server: str) -> None:
    """As the block's own checks say it: for a hook that loads a run's parameters again, and on the command line."""
    block = VertexAI(project="my-project", region="europe-west4", bucket="models")
    block.save("in-a-zone", overwrite=True)
    saved = block._block_document_id
    assert saved
    with get_client(sync_client=True) as client:
        client.update_block_document(saved, BlockDocumentUpdate(data={"region": "europe-west4-a"}))
    wanted = "'europe-west4-a' is a zone: write europe-west4"

    with pytest.raises(ParameterTypeError, match=wanted):
        train.validate_parameters({"project": "p", "vertex": {"_block_document_id": str(saved)}})
    with pytest.raises(ProjectError, match=wanted):
        load_vertex("in-a-zone")


def test_another_block_is_refused() -> None:
    """A registry is no Vertex AI."""
    with pytest.raises(ParameterTypeError, match="VertexAI"):
        train.validate_parameters({"project": "p", "vertex": ContainerRegistry(host="example.com")})


def test_a_local_run_imports_no_sdk(home: Home, project: Path, tmp_path: Path) -> None:
    """A whole run, job included, without the high-level SDK and without the integrations that it doesn't use."""
    env = {
        **os.environ,
        "PREFECT_API_URL": str(settings.PREFECT_API_URL.value()),
        "PREFECT_LOCAL_STORAGE_PATH": str(tmp_path / "results"),
        "VERTEX_TRAINING_HOME": str(home.root),
    }

    words = [sys.executable, "-c", RUN, "run", str(project)]
    done = subprocess.run(words, check=False, env=env, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
