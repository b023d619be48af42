"""Imports that the command line makes light: whoever wants a whole package gets it, with the same classes."""

from __future__ import annotations

import subprocess
import sys

WHOLE = """
import sys
from prefect_vertex_training.cli import light_imports, partial_packages
light_imports.lighten_imports()
light_imports.import_clients()
partial = [n for n in sys.modules if type(sys.modules[n]) is partial_packages.PartialPackage]
assert {"google.cloud.aiplatform_v1", "google.cloud.aiplatform_v1.types", "fastapi"} <= set(partial), partial
assert "google.cloud.aiplatform_v1.services.endpoint_service" not in sys.modules
from google.cloud.aiplatform_v1.services.job_service.client import JobServiceClient
from google.cloud.aiplatform_v1.types.custom_job import CustomJob
from google.cloud import aiplatform_v1, logging_v2
assert aiplatform_v1.JobServiceClient is JobServiceClient
assert aiplatform_v1.CustomJob is aiplatform_v1.types.CustomJob is CustomJob
assert aiplatform_v1.EndpointServiceClient and logging_v2.Client
import fastapi, graphviz
from fastapi.encoders import jsonable_encoder
assert fastapi.FastAPI().version and graphviz.Digraph and jsonable_encoder
assert not [n for n in partial if type(sys.modules[n]) is partial_packages.PartialPackage and n != "graphviz"
            and "." not in n and not n.startswith("prefect_")], partial
"""


BLOCKS = """
import sys
from prefect_vertex_training.cli import light_imports, partial_packages
light_imports.lighten_imports()
from prefect_vertex_training.blocks.vertex_ai import VertexAI
heavy = ["google.cloud.bigquery", "google.cloud.aiplatform", "google.cloud.storage", "prefect_docker.worker"]
assert not [name for name in heavy if name in sys.modules]
light_imports.look_up_imported_blocks_first()
from prefect.blocks.core import Block
from prefect_gcp.credentials import GcpCredentials
assert Block.get_block_class_from_key("gcp-credentials") is GcpCredentials
assert type(sys.modules["prefect_gcp"]) is partial_packages.PartialPackage
from google.auth.credentials import AnonymousCredentials
GcpCredentials.get_credentials_from_service_account = lambda self: AnonymousCredentials()
client = GcpCredentials(project="p").get_cloud_storage_client()
from google.cloud.storage import Client
assert type(client) is Client, client
found = Block.get_block_class_from_key("docker-host")
import prefect_docker
assert prefect_docker.DockerHost is found and prefect_docker.DockerWorker
assert type(sys.modules["prefect_gcp"]) is partial_packages.PartialPackage
"""


def test_a_block_of_credentials_is_imported_alone() -> None:
    """Without Google's clients, which come when one is asked for; other blocks of the collection are found as ever."""
    done = subprocess.run([sys.executable, "-c", BLOCKS], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_a_light_import_is_no_other_import() -> None:
    """Without most of Google's modules at first; then with all of them, and with the same classes."""
    done = subprocess.run([sys.executable, "-c", WHOLE], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
