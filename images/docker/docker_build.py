"""Builds images with a Docker engine and BuildKit.

docker-py's own `build` supports only the classic builder, in which `RUN --mount` fails and every step's container is
committed. The same endpoint of the engine's API takes BuildKit builds with `version=2`. Other engines with Docker's
API may answer in the classic format, which is read as well:
https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Image/operation/ImageBuild
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Mapping
from typing import IO, TYPE_CHECKING, Any

from docker.errors import ImageNotFound, create_api_error_from_http_exception
from requests.exceptions import HTTPError

from ...core.errors import BaseImageError, DockerError, RegistryError, storage_errors
from ...core.metering.meter import DOWNLOADING, Meters
from ..oci.config import DOCKER
from ..oci.image_types import PLATFORM, BuiltImage, ImageRequest
from ..oci.reference import Reference
from ..registry.auth import CredentialsFor
from ..registry.logins import docker_login
from .build_context import dockerfile_name, dockerfile_text, write_context
from .build_output import BuildOutput, json_lines
from .dockerfile_parse import named_images, needs_session
from .engine_errors import engine_errors
from .engine_transfer import EngineTransfer

if TYPE_CHECKING:
    from docker import DockerClient

Log = Callable[[str], None]

_BUILDKIT = "2"


def build(
    request: ImageRequest,
    *,
    engine: DockerClient,
    tag: str,
    log: Log,
    bases: Mapping[str, str] | None = None,
    credentials: CredentialsFor = docker_login,
    meters: Meters | None = None,
    secrets: Mapping[str, bytes] | None = None,
) -> BuiltImage:
    """Builds the image in the engine and tags it `NAME:TAG` there; nothing is pushed.

    Args:
        request: The image's request, with a Dockerfile of the project or without one.
        engine: An engine that can run linux/amd64 images.
        tag: The image's tag in the engine.
        log: Called with each line of the build's output.
        bases: The digest or image id of each image that the Dockerfile names, from `resolve_bases`.
        credentials: Credentials for the registries of bases that the engine doesn't have.
        meters: Where the bytes of bases are counted.
        secrets: The values of the secrets that the Dockerfile mounts, by id.

    Returns:
        The image as `docker-daemon:NAME@sha256:ID`; its digest is the image's id until it is in a registry.

    Raises:
        DockerError: No engine answers, the Dockerfile fails, or the image is for another platform.
        StorageError: The disk has no room for the context.
    """
    transfer = EngineTransfer((meters or Meters())[DOWNLOADING])
    with engine_errors("to provide a base image"):
        for reference, digest in (bases or {}).items():
            _ensure_base(engine, reference, digest, credentials, log=log, transfer=transfer)
        _check_base_platform(engine, request)
    name = f"{request.name}:{tag}"
    with tempfile.TemporaryFile() as context:
        with storage_errors(tempfile.gettempdir()):
            write_context(request, context)
        output = BuildOutput(dockerfile_text(request), log, transfer)
        with _session(request, engine, secrets or {}) as session:
            image_id = _run(request, engine, name, context, output, session=session)
    transfer.close()
    with engine_errors():
        attributes = engine.api.inspect_image(image_id)
    _check_platform(attributes, name)
    return _built(request, attributes)


def _built(request: ImageRequest, attributes: Mapping[str, Any]) -> BuiltImage:
    return BuiltImage(
        reference=f"docker-daemon:{request.name}@{attributes['Id']}",
        digest=attributes["Id"],
        media_type=DOCKER.config,
        size=attributes["Size"],
        builder="docker",
    )


def _session(
    request: ImageRequest, engine: DockerClient, secrets: Mapping[str, bytes]
) -> contextlib.AbstractContextManager[str]:
    """The session that gives the build its secrets; only where the Dockerfile mounts one, or an ssh agent."""
    if not needs_session(dockerfile_text(request)):
        return contextlib.nullcontext("")
    from .build_session import build_session

    return build_session(engine, secrets)


def _run(
    request: ImageRequest, engine: DockerClient, name: str, context: IO[bytes], output: BuildOutput, *, session: str
) -> str:
    parameters = {
        "version": _BUILDKIT,
        "t": name,
        "dockerfile": dockerfile_name(request),
        "platform": PLATFORM,
        "buildargs": json.dumps(dict(request.build_args)),
        "labels": json.dumps(dict(request.labels)),
        # Containers of the build's steps are removed, also after a failure.
        "rm": "1",
        "forcerm": "1",
        **({"target": request.target} if request.target else {}),
        **({"session": session} if session else {}),
    }
    context.seek(0)
    _post(engine, parameters, context, output)
    if output.image_id:
        return output.image_id
    raise DockerError(
        "the engine ended the build without naming an image",
        where=name,
        next_step="Look at the engine's own log",
        detail="\n".join(output.tail),
    )


def _post(engine: DockerClient, parameters: dict[str, str], context: IO[bytes], output: BuildOutput) -> None:
    with (
        engine_errors("the build"),
        engine.api.post(
            f"{engine.api.base_url}/v{engine.api.api_version}/build",
            params=parameters,
            data=context,
            headers={"Content-Type": "application/x-tar"},
            stream=True,
            timeout=None,  # a step of a build may print nothing for any time
        ) as response,
    ):
        try:
            response.raise_for_status()
        except HTTPError as error:
            create_api_error_from_http_exception(error)
        for answer in json_lines(response.iter_content(None)):
            output.handle(answer)


def _check_base_platform(engine: DockerClient, request: ImageRequest) -> None:
    """Checks the base's platform: BuildKit labels an image amd64 whatever its base is."""
    text = dockerfile_text(request)
    origin = named_images(text, request.build_args, request.target).final
    if origin is None or origin.image == "scratch":
        return
    if origin.platform not in {"", PLATFORM}:
        raise other_platform(origin.platform, origin.image)
    with contextlib.suppress(ImageNotFound):  # the builder will pull it for linux/amd64
        _check_platform(engine.api.inspect_image(origin.image), origin.image)


def _check_platform(attributes: Mapping[str, Any], name: str) -> None:
    platform = f"{attributes['Os']}/{attributes['Architecture']}"
    if platform != PLATFORM:
        raise other_platform(platform, name)


def other_platform(platform: str, name: str) -> DockerError:
    """The error for an image that Vertex AI can't run."""
    return DockerError(
        f"the image is for {platform}, and Vertex AI runs {PLATFORM} only; nothing was pushed",
        where=name,
        next_step=f"Use images for {PLATFORM} in the Dockerfile's FROM lines, without another --platform",
    )


def find_built(request: ImageRequest, *, engine: DockerClient, tag: str) -> BuiltImage | None:
    """The image that an earlier `build` made under this tag; None if the engine doesn't have it."""
    with engine_errors():
        try:
            attributes = engine.api.inspect_image(f"{request.name}:{tag}")
        except ImageNotFound:
            return None
    return _built(request, attributes)


def resolve_bases(
    request: ImageRequest,
    resolve: Callable[[str], str],
    engine: Callable[[], DockerClient] | None = None,
) -> dict[str, str]:
    """The digests of the images that the Dockerfile names; they are part of the fingerprint.

    Args:
        request: The image's request, with a Dockerfile of the project or without one.
        resolve: Returns the digest of a reference in its registry, as `base_digest` does.
        engine: Connects to the engine, which may have images that are in no registry.

    Raises:
        BaseImageError: Neither the registry nor the engine has an image.
        RegistryError: The registry of an image that the engine doesn't have can't be asked.
    """
    found: dict[str, str] = {}
    for reference in named_images(dockerfile_text(request), request.build_args).all:
        local = _local(engine, reference)
        if local and not local["RepoDigests"]:  # built in this engine: no registry has it
            found[reference] = local["Id"]
            continue
        try:
            found[reference] = resolve(reference)
        except (BaseImageError, RegistryError):
            if local is None:
                raise
            found[reference] = local["Id"]
    return found


def _local(engine: Callable[[], DockerClient] | None, reference: str) -> dict[str, Any] | None:
    if engine is None:
        return None
    try:
        with engine_errors():
            return engine().api.inspect_image(reference)
    except DockerError:  # no such image, or no engine: the registry may still have it
        return None


def _ensure_base(
    engine: DockerClient,
    reference: str,
    digest: str,
    credentials: CredentialsFor,
    *,
    log: Log,
    transfer: EngineTransfer,
) -> None:
    """Makes `reference` name the image with `digest` in the engine, as `docker pull` would."""
    with contextlib.suppress(ImageNotFound):
        known = engine.api.inspect_image(reference)
        pinned = any(name.endswith(f"@{digest}") for name in known["RepoDigests"] or ())
        # The digest of an index doesn't say which of its platforms the engine has.
        if digest == known["Id"] or (pinned and known["Architecture"] == "amd64"):
            return
    wanted = Reference.parse(reference)
    login = credentials(wanted.host)
    log(f"pulling {wanted.at(digest)}")
    name = str(wanted.at(digest))
    for answer in engine.api.pull(
        name, platform=PLATFORM, auth_config=login and login.pair(), stream=True, decode=True
    ):
        transfer.handle(answer)
    image = engine.images.get(name)
    if wanted.tag:
        image.tag(wanted.name, wanted.tag)
