"""The secrets of a build: where they come from, and what is refused before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect.blocks.system import Secret
from prefect_vertex_training.core.errors import ProjectError
from prefect_vertex_training.core.security.masked_text import masked
from prefect_vertex_training.core.security.secret_sources import BUILD_KINDS, SecretSource
from prefect_vertex_training.images.oci.image_types import ImageRequest
from prefect_vertex_training.tasks.image_request import secrets_of

MOUNT = "FROM x\nRUN --mount=type=secret,id=index true\n"


def request(root: Path, dockerfile: str = MOUNT, **sources: str) -> ImageRequest:
    """The request of a project with this Dockerfile."""
    root.mkdir(exist_ok=True)
    (root / "Dockerfile").write_text(dockerfile)
    parsed = {name: SecretSource.parse(text, BUILD_KINDS) for name, text in sources.items()}
    return ImageRequest("own", root, (), "train.py", "", "3.11", dockerfile=root / "Dockerfile", build_secrets=parsed)


@pytest.mark.usefixtures("prefect_server")
def test_each_source_gives_its_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block, a variable, and a file beside the project; from now on the log masks them."""
    Secret(value="of-the-block-1").save("build-index", overwrite=True)  # pyright: ignore[reportUnusedCoroutine, reportCallIssue]
    monkeypatch.setenv("INDEX_TOKEN", "of-the-variable-2")
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://me:of-the-file-3@index/simple\n")
    mounts = "FROM x\nRUN --mount=type=secret,id=a --mount=type=secret,id=b --mount=type=secret,id=c true\n"
    sources = {"a": "block:build-index", "b": "env:INDEX_TOKEN", "c": "file:../pip.conf"}
    values = secrets_of(request(tmp_path / "project", mounts, **sources), print)

    assert (values["a"], values["b"]) == (b"of-the-block-1", b"of-the-variable-2")
    assert b"of-the-file-3" in values["c"]
    printed = "got of-the-block-1 and of-the-variable-2, index-url = https://me:of-the-file-3@index/simple"
    assert "of-the" not in masked(printed)


@pytest.mark.parametrize(
    ("dockerfile", "sources", "message"),
    [
        (MOUNT, {"index": "env:NO_SUCH_VARIABLE"}, r"index needs the variable NO_SUCH_VARIABLE, which is not set"),
        (MOUNT, {"index": "file:/no/such/file"}, r"index can't be read from /no/such/file: No such file"),
        (MOUNT, {"index": "file:/"}, r"index can't be read from /: Is a directory"),
        (MOUNT, {"index": "file:/dev/zero"}, r"index has 512,001 bytes, and a build takes 512,000"),
        (MOUNT, {"index": "file:Dockerfile"}, r"lies in the build's context, from where COPY takes it"),
        (MOUNT, {"indx": "env:HOME"}, r"no RUN of the Dockerfile mounts the secret indx"),
        (MOUNT.replace("index", "index,required=true"), {}, r"requires the secret index, .*Dockerfile:2\)"),
    ],
)
def test_what_can_not_be_is_refused(tmp_path: Path, dockerfile: str, sources: dict[str, str], message: str) -> None:
    """Before anything is built; one line."""
    with pytest.raises(ProjectError, match=message) as caught:
        secrets_of(request(tmp_path / "project", dockerfile, **sources), print)

    assert "\n" not in str(caught.value)


def test_a_mount_without_a_secret_is_said(tmp_path: Path) -> None:
    """As Docker, which builds without it."""
    lines: list[str] = []

    assert secrets_of(request(tmp_path / "project"), lines.append) == {}
    assert lines == ["Dockerfile line 2 runs without the secret index, which build-secrets doesn't name"]
