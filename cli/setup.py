"""`vertex-training setup`: the blocks that say where, made from flags or questions, and tried."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, replace
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import ProjectError, TrainingError
from .load_blocks import load_block
from .output import print_error, show_only_steps
from .prefect_server import require_prefect

if TYPE_CHECKING:
    from prefect.blocks.core import Block
    from prefect_gcp.credentials import GcpCredentials


@dataclass(frozen=True, slots=True)
class Answers:
    """What a person says about their cloud; empty where nothing was said.

    Attributes:
        registry: As the images are named: HOST/PROJECT/REPOSITORY.
        registry_user: Of a registry that isn't Google's.
        project: The Google Cloud project's id.
        region: Where jobs run.
        bucket: For models.
        key_file: A service account's key; without it the application default credentials.
        endpoint: Of another API than Google's.
    """

    registry: str = ""
    registry_user: str = ""
    project: str = ""
    region: str = ""
    bucket: str = ""
    key_file: str = ""
    endpoint: str = ""


QUESTIONS = {
    "registry": "Registry for images, as HOST/PROJECT/REPOSITORY; none without",
    "registry_user": "Its user; without one Google's credentials or this machine's docker login",
    "project": "Google Cloud project's id; no Vertex AI without",
    "region": "Region in which jobs run, such as europe-west4",
    "bucket": "Bucket for models",
    "key_file": "Service account's key file; application default credentials without",
}
_ASKED_AFTER = {"registry_user": "registry", "region": "project", "bucket": "project"}


def set_up(answers: Answers, *, name: str, check: bool, overwrite: bool) -> int:
    """Makes the blocks called `name` and says of each whether it works; returns the exit code, 2 if one doesn't.

    Raises:
        TrainingError: Something is wrong with an answer or the name; nothing was saved.
    """
    show_only_steps()
    require_prefect()
    if check:
        return _tried(_saved(name), name)
    asking = answers == Answers()
    if asking and not sys.stdin.isatty():
        raise ProjectError("nothing to set up", where="setup", next_step="Give --registry or --project; see --help")
    blocks = _asked_for() if asking else _blocks(answers)
    taken = [type(block).__name__ for block in blocks if _exists(type(block), name)]
    if taken and not overwrite:
        raise ProjectError(
            f"a {' and a '.join(taken)} block called {name!r} is there already",
            where="--name",
            next_step="Choose another name, or replace what is there: --overwrite",
        )
    for block in blocks:  # all of them are valid before one is saved
        block.save(name, overwrite=True)
        print(f"saved    {type(block).__name__} {name}")
    return _tried(blocks, name)


def _asked_for() -> list[Block]:
    """The blocks of what a person types; asks again, with their answers as defaults, until those are valid."""
    answers = Answers()
    while True:
        answers = _asked(answers)
        try:
            return _blocks(answers)
        except TrainingError as error:
            print_error(error)


def _asked(answers: Answers) -> Answers:
    print("Enter keeps what stands in brackets; - empties it.")
    for field, question in QUESTIONS.items():
        given = asdict(answers)
        if field in _ASKED_AFTER and not given[_ASKED_AFTER[field]]:
            continue
        try:
            said = input(f"{question} [{given[field]}]: ").strip() or given[field]
        except EOFError as error:
            raise ProjectError("the answers ended", where="setup", next_step="Start again, or give flags") from error
        answers = replace(answers, **{field: "" if said == "-" else said})
    return answers


def _blocks(answers: Answers) -> list[Block]:
    """The blocks, those first that others refer to.

    Raises:
        TrainingError: An answer is missing or wrong.
    """
    from pydantic import ValidationError

    if not answers.registry and not answers.project:
        raise ProjectError(
            "neither a registry nor a project was named", where="setup", next_step="Give --registry or --project"
        )
    try:
        google = _google(answers.key_file)
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


def _google(key_file: str) -> GcpCredentials | None:
    """The key file's credentials; None for the application default ones."""
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
    from prefect_docker.credentials import DockerRegistryCredentials
    from pydantic import SecretStr

    from ..blocks.registry import ContainerRegistry
    from ..images.registry.artifact_registry import RegistryPath

    host, _, path = answers.registry.partition("/")
    project, _, repository = path.partition("/")
    credentials = google if RegistryPath(host, project, repository).is_google else None
    if answers.registry_user:
        password = _password(f"Password of {answers.registry_user} at {host}: ")
        credentials = DockerRegistryCredentials(
            username=answers.registry_user, password=SecretStr(password), registry_url=host
        )
    registry = ContainerRegistry(host=host, project=project, repository=repository, credentials=credentials)
    return [credentials, registry] if isinstance(credentials, DockerRegistryCredentials) else [registry]


def _password(prompt: str) -> str:
    """Typed unseen, or the first line of what is piped in; never a flag, which other users of the machine could see."""
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


def _exists(block: type[Block], name: str) -> bool:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            client.read_block_document_by_name(name, block.get_block_type_slug())
        except ObjectNotFound:
            return False
    return True


def _saved(name: str) -> list[Block]:
    from ..blocks.registry import ContainerRegistry
    from ..blocks.vertex_ai import VertexAI

    kinds = [kind for kind in (ContainerRegistry, VertexAI) if _exists(kind, name)]
    if not kinds:
        raise ProjectError(
            f"no ContainerRegistry or VertexAI block is called {name!r}",
            where="--name",
            next_step="Make them: vertex-training setup",
        )
    return [block for kind in kinds if (block := load_block(kind, name, "--name"))]


def _tried(blocks: list[Block], name: str) -> int:
    """Tries each and says how to use those that there are."""
    from ..blocks.checks import check_registry, check_vertex
    from ..blocks.registry import ContainerRegistry
    from ..blocks.vertex_ai import VertexAI

    failed = False
    flags = ""
    for block in blocks:
        try:
            if isinstance(block, ContainerRegistry):
                flags += f" --registry {name}"
                print(f"works    {check_registry(block)}")
            elif isinstance(block, VertexAI):
                flags += f" --vertex {name}"
                print(f"works    {check_vertex(block)}")
        except TrainingError as error:
            failed = True
            print(f"FAILS    {error}")
    print(f"try them again: vertex-training setup --check --name {name}" if failed else f"use them: run PROJECT{flags}")
    return 2 if failed else 0
