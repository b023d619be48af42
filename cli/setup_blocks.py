"""The Prefect blocks that `vertex-training setup` makes of a person's answers."""

from __future__ import annotations

import json
import sys
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import ProjectError
from .setup_answers import Answers

if TYPE_CHECKING:
    from prefect.blocks.core import Block
    from prefect_docker.credentials import DockerRegistryCredentials
    from prefect_gcp.credentials import GcpCredentials


def make_blocks(answers: Answers) -> list[Block]:
    """The blocks, unsaved; a block that others refer to comes before them.

    Raises:
        ProjectError: An answer is missing or not valid.
    """
    from pydantic import ValidationError

    if not answers.registry and not answers.project:
        raise ProjectError(
            "neither a registry nor a project was named", where="setup", next_step="Give --registry or --project"
        )
    try:
        google = _google_credentials(answers.key_file)
        return [
            *([google] if google else []),
            *(_registry(answers, google) if answers.registry else []),
            *([_vertex(answers, google)] if answers.project else []),
        ]
    except ValidationError as error:
        first = error.errors()[0]
        raise ProjectError(
            first["msg"].removeprefix("Value error, "),
            where=".".join(map(str, first["loc"])) or "setup",
            next_step="Correct it; nothing was saved",
        ) from error


def block_exists(block: type[Block], name: str) -> bool:
    """Whether a block of that type is saved under that name."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            client.read_block_document_by_name(name, block.get_block_type_slug())
        except ObjectNotFound:
            return False
    return True


def _google_credentials(key_file: str) -> GcpCredentials | None:
    """The credentials in a key file; None, without a file, stands for the application default credentials."""
    if not key_file:
        return None
    from google.oauth2.service_account import Credentials
    from prefect_gcp.credentials import GcpCredentials

    path = Path(key_file).expanduser()
    try:
        key = json.loads(path.read_text())
        Credentials.from_service_account_info(key)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ProjectError(
            "not a service account's key file", where=path, next_step="Give the JSON file that Google made"
        ) from error
    return GcpCredentials(service_account_info=key)


def _registry(answers: Answers, google: GcpCredentials | None) -> list[Block]:
    """The registry's block, and before it the login that is made for it, if any."""
    from ..blocks.registry import ContainerRegistry
    from ..images.registry.artifact_registry import RegistryPath

    host, _, path = answers.registry.partition("/")
    project, _, repository = path.partition("/")
    image_path = RegistryPath(host, project, repository)  # checked before a password is asked for
    login = _registry_login(host, answers.registry_user) if answers.registry_user else None
    credentials = login or (google if image_path.is_google else None)
    registry = ContainerRegistry(host=host, project=project, repository=repository, credentials=credentials)
    return [login, registry] if login else [registry]


def _registry_login(host: str, user: str) -> DockerRegistryCredentials:
    from prefect_docker.credentials import DockerRegistryCredentials
    from pydantic import SecretStr

    password = _read_password(f"Password of {user} at {host}: ")
    return DockerRegistryCredentials(username=user, password=SecretStr(password), registry_url=host)


def _read_password(prompt: str) -> str:
    """A password typed unseen, or the first line of standard input.

    There is no option for it: other users of the machine can read a process's arguments.
    """
    return getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")


def _vertex(answers: Answers, google: GcpCredentials | None) -> Block:
    from ..blocks.vertex_ai import VertexAI

    return VertexAI(
        project=answers.project,
        region=answers.region,
        bucket=answers.bucket,
        credentials=google,
        endpoint=answers.endpoint or None,
    )
