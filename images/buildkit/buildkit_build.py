"""Builds images with a BuildKit daemon: the context goes to the daemon, the image comes back as an image layout."""

from __future__ import annotations

import json
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from ...core.errors import storage_errors
from ...core.metering.meter import DOWNLOADING, Meters
from ..base.resolve import check_platform
from ..docker.build_context import dockerfile_name, dockerfile_text, write_context
from ..docker.build_output import BuildOutput
from ..docker.docker_build import other_platform
from ..docker.docker_push import layer_titles
from ..docker.dockerfile_parse import named_images
from ..docker.engine_transfer import EngineTransfer
from ..oci.documents import manifest_blobs, parse_object, read_config
from ..oci.image_types import PLATFORM, BuiltImage, ImageRequest, LayerReport
from ..oci.layout import OciLayout
from ..oci.reference import Reference
from ..oci.registry_host import DOCKER_HUB
from ..registry.auth import CredentialsFor
from ..registry.logins import docker_login
from .buildctl import CERTIFICATES, daemon_address, find_buildctl, is_open_network, run_build, write_logins

Log = Callable[[str], None]


def build(
    request: ImageRequest,
    layout: OciLayout,
    *,
    log: Log,
    bases: Mapping[str, str],
    credentials: CredentialsFor = docker_login,
    meters: Meters | None = None,
    secrets: Mapping[str, bytes] | None = None,
) -> BuiltImage:
    """Builds the image into the layout, where no tag names it yet.

    Args:
        request: The image's request, with a Dockerfile of the project or without one.
        layout: Gets the image.
        log: Called with each line of the build's output.
        bases: The digest of each image that the Dockerfile names, from `docker_build.resolve_bases`.
        credentials: Credentials for the bases' registries.
        meters: Where the bytes of bases are counted.
        secrets: The values of the secrets that the Dockerfile mounts, by id.

    Raises:
        DockerError: buildctl is missing, the daemon doesn't answer, or the Dockerfile fails or is for another platform.
        BaseImageError: The base is for another platform.
        StorageError: The disk is full.
    """
    find_buildctl()
    if is_open_network(daemon_address()):
        log(f"what {daemon_address()} gets (files, logins, secrets) isn't encrypted; {CERTIFICATES} names certificates")
    _check_base_platform(request, bases, credentials)
    transfer = EngineTransfer((meters or Meters())[DOWNLOADING])
    output = BuildOutput(dockerfile_text(request), log, transfer)
    with tempfile.TemporaryDirectory(prefix="buildkit-") as name, storage_errors(name):
        folder = Path(name)
        context, made, logins, private = (folder / part for part in ("context", "image", "logins", "secrets"))
        for each in (context, logins, private):
            each.mkdir(mode=0o700)
        _write_context(request, context)
        # Docker Hub's too: an image that reads the Dockerfile may be there (`# syntax=`).
        write_logins(logins, [*(Reference.parse(base).name for base in bases), DOCKER_HUB], credentials)
        metadata = folder / "metadata.json"
        arguments = [*_arguments(request, bases, context), "--metadata-file", str(metadata)]
        arguments += ["--output", f'type=oci,tar=false,"dest={made}"']
        arguments += _given(secrets or {}, private)
        message = run_build(arguments, output.handle_status, logins)
        transfer.close()
        if message:
            output.fail(message)
        digest = json.loads(metadata.read_bytes())["containerimage.digest"]
        return _kept(OciLayout(made, request.name, own=False), digest, layout, log)


def _arguments(request: ImageRequest, bases: Mapping[str, str], context: Path) -> Iterator[str]:
    options = {
        "filename": dockerfile_name(request),
        "platform": PLATFORM,
        **({"target": request.target} if request.target else {}),
        **{f"build-arg:{name}": value for name, value in request.build_args.items()},
        **{f"label:{name}": value for name, value in request.labels.items()},
        # The very images that the fingerprint names, also if a tag moves now.
        **{f"context:{_short(base)}": f"docker-image://{_pinned(base, digest)}" for base, digest in bases.items()},
    }
    yield from ("--frontend", "dockerfile.v0", "--local", f"context={context}", "--local", f"dockerfile={context}")
    for name, value in options.items():
        yield from ("--opt", f"{name}={value}")


def _given(secrets: Mapping[str, bytes], folder: Path) -> Iterator[str]:
    """The options that name the secrets' files: a value among the arguments would be in the list of processes."""
    for number, (name, value) in enumerate(secrets.items()):
        file = folder / str(number)
        file.touch(mode=0o600)
        file.write_bytes(value)
        yield from ("--secret", f'"id={name}","src={file}"')


def _short(base: str) -> str:
    """An image's name as BuildKit shortens it when it looks for a context of that name."""
    reference = Reference.parse(base)
    hub = f"{DOCKER_HUB}/"
    return str(reference).removeprefix(hub).removeprefix("library/").removesuffix(":latest")


def _pinned(base: str, digest: str) -> str:
    return str(Reference.parse(base).at(digest))


def _check_base_platform(request: ImageRequest, bases: Mapping[str, str], credentials: CredentialsFor) -> None:
    """Checks the base's platform: BuildKit labels an image amd64 whatever its base is."""
    origin = named_images(dockerfile_text(request), request.build_args, request.target).final
    if origin is None or origin.image == "scratch":
        return
    if origin.platform not in {"", PLATFORM}:
        raise other_platform(origin.platform, origin.image)
    if digest := bases.get(origin.image):
        check_platform(origin.image, digest, credentials)


def _write_context(request: ImageRequest, folder: Path) -> None:
    """Writes the files of the build's context: exactly those that the fingerprint holds."""
    with tempfile.TemporaryFile() as file:
        write_context(request, file)
        file.seek(0)
        with tarfile.open(fileobj=file) as archive:
            archive.extractall(folder, filter="fully_trusted")  # noqa: S202 - written by this process just now


def _kept(made: OciLayout, digest: str, layout: OciLayout, log: Log) -> BuiltImage:
    """Copies the built image into the layout."""
    with made.open_blob(digest) as body:
        data = body.read()
    where = f"the image {digest}"
    manifest = parse_object(data, "manifest", where)
    config, layers = manifest_blobs(manifest, where)
    document = read_config(made.open_blob(config.digest), where)
    platform = f"{document.get('os')}/{document.get('architecture')}"
    if platform != PLATFORM:
        raise other_platform(platform, layout.name)
    reports = []
    for title, layer in zip(layer_titles(document), layers, strict=True):
        action = "reused" if layout.has_blob(layer.digest) else "built"
        layout.put_blob(layer, partial(made.open_blob, layer.digest))
        reports.append(LayerReport(title, layer.digest, layer.size, action, 0.0))
        log(f"{action}: {title} ({layer.size:,} bytes)")
    layout.put_blob(config, partial(made.open_blob, config.digest))
    kept = layout.put_manifest(data, str(manifest["mediaType"]))
    size = sum(layer.size for layer in layers)
    return BuiltImage(layout.reference(kept.digest), kept.digest, kept.media_type, size, reports, "docker")
