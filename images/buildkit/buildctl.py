"""BuildKit's own client, `buildctl`: which daemon it uses, and how a build is run with it.

https://github.com/moby/buildkit/blob/master/docs/reference/buildctl.md
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ...core.errors import DockerError
from ..oci.registry_host import DOCKER_HUB
from ..registry.auth import Credentials, CredentialsFor

_PROGRAM = "buildctl"
_HUB_KEY = "https://index.docker.io/v1/"
"""The key under which docker, and so buildctl, looks for Docker Hub's login."""
_TOKENS = {"identitytoken", "registrytoken"}

CERTIFICATES = "VERTEX_TRAINING_BUILDKIT_CERTS"
"""The variable that names the folder with the certificates for a daemon at `tcp://`; buildctl has only options."""

_TLS_FILES = {"tlscacert": ("ca.pem", "ca.crt"), "tlscert": ("cert.pem", "tls.crt"), "tlskey": ("key.pem", "tls.key")}
"""What docker's and Kubernetes' tools call the authority, the client's certificate and its key, by option."""


def daemon_address() -> str:
    """The daemon that the variable BUILDKIT_HOST names: `unix://`, `tcp://`, `docker-container://` and so on."""
    return os.environ.get("BUILDKIT_HOST", "")


def is_open_network(address: str) -> bool:
    """Whether what is sent to a daemon can be read on the way: `tcp://` to another machine without certificates."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    is_here = host == "localhost" or host.startswith("127.") or host == "::1"
    return parts.scheme == "tcp" and not is_here and not os.environ.get(CERTIFICATES)


def _tls_options() -> list[str]:
    """The options with the certificates.

    Raises:
        DockerError: The folder doesn't have the authority's certificate, or has a certificate without its key.
    """
    folder = os.environ.get(CERTIFICATES, "")
    if not folder or urlsplit(daemon_address()).scheme != "tcp":
        return []
    found = {
        option: path
        for option, names in _TLS_FILES.items()
        for path in [next((Path(folder, name) for name in names if Path(folder, name).is_file()), None)]
        if path is not None
    }
    missing = sorted({"tlscacert", *(_TLS_FILES if len(found) > 1 else ())} - found.keys())
    if missing:
        raise DockerError(
            f"{CERTIFICATES} has no {' or '.join(_TLS_FILES[missing[0]])}",
            where=folder,
            next_step="Put ca.pem there, and the client's cert.pem and key.pem if the daemon asks for them",
        )
    return [f"--{option}={path}" for option, path in found.items()]


def find_buildctl() -> str:
    """The path of buildctl.

    Raises:
        DockerError: It isn't on PATH.
    """
    found = shutil.which(_PROGRAM)
    if found is None:
        raise DockerError(
            "no Docker engine answers, and building with BUILDKIT_HOST needs buildctl, which isn't on PATH",
            where=f"BUILDKIT_HOST={daemon_address()}",
            next_step="Install buildctl (it comes with BuildKit), start Docker, or build without: --builder direct",
        )
    return found


def run_build(arguments: Sequence[str], on_status: Callable[[Mapping[str, Any]], None], logins: Path) -> str:
    """Runs `buildctl build`; returns "", or the message of a build that failed.

    Args:
        arguments: What comes after `buildctl build`.
        on_status: Called with each object of the progress (SolveStatus).
        logins: The folder with the `config.json` that buildctl takes registries' logins from.

    Raises:
        DockerError: buildctl is missing, or the daemon doesn't take the build.
    """
    command = [find_buildctl(), *_tls_options(), "build", "--progress=rawjson", *arguments]
    environment = {**os.environ, "DOCKER_CONFIG": str(logins)}
    others: list[str] = []
    has_begun = False
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                status = _status(line)
                if status is None:
                    others.append(line.decode(errors="replace").rstrip())
                else:
                    has_begun = True
                    on_status(status)
            code = process.wait()
        finally:
            process.kill()  # no build goes on for a run that was cancelled; nothing if it has ended
    message = _message(others)
    if code and not has_begun:
        certificates = f"; its certificates are named by {CERTIFICATES}" if daemon_address().startswith("tcp:") else ""
        raise DockerError(
            f"BuildKit doesn't take the build: {' '.join(message.split())}",
            where=f"BUILDKIT_HOST={daemon_address()}",
            next_step=f"Start buildkitd there, or correct BUILDKIT_HOST{certificates}",
        )
    return message if code else ""


def _status(line: bytes) -> dict[str, Any] | None:
    """The object of a line of progress; None for other text."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _message(lines: Sequence[str]) -> str:
    """What buildctl said at its end; before that it prints the part of the Dockerfile that failed."""
    errors = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    kept = lines[errors[-1] :] if errors else lines
    return "\n".join(kept).removeprefix("error: ").strip() or "buildctl gave no reason"


def write_logins(folder: Path, repositories: Iterable[str], credentials: CredentialsFor) -> None:
    """Writes the `config.json` with the logins for these repositories, which buildctl hands to the daemon as it asks.

    The person's own file isn't used: the registry block's credentials aren't in it, and its helpers would win.

    Args:
        folder: Gets the file.
        repositories: As HOST/PATH, or a HOST alone.
        credentials: Gives the logins.
    """
    logins: dict[str, dict[str, str]] = {}
    for name in dict.fromkeys(repositories):
        if (found := credentials(name)) is not None:
            host = name.partition("/")[0]
            logins[_HUB_KEY if host == DOCKER_HUB else host] = _login(found)
    path = folder / "config.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps({"auths": logins}))


def _login(credentials: Credentials) -> dict[str, str]:
    pair = credentials.pair()
    if _TOKENS & pair.keys():
        return pair
    return {"auth": base64.b64encode(f"{pair['username']}:{pair['password']}".encode()).decode()}
