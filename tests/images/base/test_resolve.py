"""Base images: what is read of them, how many requests that takes, and which are refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from fixtures.images.faulty_proxy import Fault, Proxy
from fixtures.images.stored_images import make_base, make_image
from prefect_vertex_training.core.errors import BaseImageError
from prefect_vertex_training.images.base.default_images import default_base
from prefect_vertex_training.images.base.resolve import Base, resolve_base
from prefect_vertex_training.images.oci.config import OCI
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.images.oci.reference import Reference
from prefect_vertex_training.images.push import push
from prefect_vertex_training.images.registry.repository import Repository

INDEX = "application/vnd.oci.image.index.v1+json"


def resolve(layout: OciLayout, tmp_path: Path, python: str | None = "3.11") -> Base:
    """The base tagged `v1` in the layout."""
    return resolve_base(f"oci:{layout.folder}:{layout.name}:v1", cache=tmp_path / "cache", python=python)


@pytest.mark.parametrize("docker", [True, False])
@pytest.mark.parametrize(
    ("names", "env", "path"),
    [
        (("usr/bin/python3.11",), (), "/usr/bin/python3.11"),
        (("./opt/conda/bin/python3.11",), (), "/opt/conda/bin/python3.11"),
        (("usr/bin/python3.11", "opt/conda/bin/python3.11"), ("PATH=/opt/conda/bin:/usr/bin",), None),
    ],
)
def test_the_bases_python_is_found(
    names: tuple[str, ...], env: tuple[str, ...], path: str | None, docker: bool, layout: OciLayout, tmp_path: Path
) -> None:
    """In images of Debian, conda and Docker; of several interpreters, one that PATH finds."""
    digest, _ = make_base(layout, *names, env=env, docker=docker)
    base = resolve(layout, tmp_path)

    assert path in (base.contents.python, None)
    assert Path(base.contents.python).name == "python3.11"
    assert (base.digest, base.docker, base.contents.python_version) == (digest, docker, "3.11")


def test_newest_python_by_default(layout: OciLayout, tmp_path: Path) -> None:
    """Versions are compared as numbers."""
    make_base(layout, "usr/bin/python3.9", "usr/bin/python3.12")

    assert resolve(layout, tmp_path, None).contents.python_version == "3.12"


@pytest.mark.parametrize(
    ("names", "architecture", "message"),
    [
        (("usr/bin/python3.9",), "amd64", r"the base has Python 3\.9, not 3\.11.*Set base or python"),
        ((), "amd64", "the base has no Python"),
        (("usr/bin/python3.11",), "arm64", "only for linux/arm64; Vertex AI runs linux/amd64"),
    ],
)
def test_bases_that_are_refused(
    names: tuple[str, ...], architecture: str, message: str, layout: OciLayout, tmp_path: Path
) -> None:
    """The error is one line with the base's name."""
    make_base(layout, *names, architecture=architecture)
    with pytest.raises(BaseImageError, match=message) as caught:
        _ = resolve(layout, tmp_path).contents

    assert "thing:v1" in str(caught.value)
    assert "\n" not in str(caught.value)


def put_index(layout: OciLayout, *platforms: tuple[str, str, bytes]) -> None:
    """Tags an index of (architecture, digest, manifest) as `v1`."""
    entries = [
        {
            "mediaType": OCI.manifest,
            "digest": digest,
            "size": len(raw),
            "platform": {"os": "linux", "architecture": name},
        }
        for name, digest, raw in platforms
    ]
    raw = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    layout.put_manifest(raw, INDEX, ["v1"])


def test_the_image_for_amd64_of_several_platforms(layout: OciLayout, tmp_path: Path) -> None:
    """The position in the index doesn't matter."""
    arm, arm_raw = make_base(layout, "usr/bin/python3.11", architecture="arm64")
    amd, amd_raw = make_base(layout, "usr/bin/python3.11")
    put_index(layout, ("arm64", arm, arm_raw), ("amd64", amd, amd_raw))

    assert resolve(layout, tmp_path).digest == amd


def test_an_index_without_amd64(layout: OciLayout, tmp_path: Path) -> None:
    """The error names the platforms of the index."""
    arm, raw = make_base(layout, "usr/bin/python3.11", architecture="arm64")
    put_index(layout, ("arm64", arm, raw))

    with pytest.raises(BaseImageError, match="only for linux/arm64"):
        resolve(layout, tmp_path)


@pytest.mark.registry
def test_a_tag_is_asked_once_an_hour(repository: Repository, proxy: Proxy, tmp_path: Path) -> None:
    """Within the hour there is no request; afterwards one HEAD, which finds a moved tag."""
    text = f"{repository.host}/{repository.repository}:v1"
    now = [1000.0]

    def ask() -> Base:
        return resolve_base(text, cache=tmp_path, python="3.11", credentials=lambda _: None, clock=lambda: now[0])

    first, _ = make_base(repository, "usr/bin/python3.11")
    assert ask().digest == first
    _ = ask().contents
    proxy.seen.clear()
    now[0] += 3599
    assert (ask().digest, proxy.seen) == (first, [])
    now[0] += 2
    assert ask().digest == first
    assert [request.split()[0] for request in proxy.seen] == ["HEAD"]
    second, _ = make_base(repository, "usr/bin/python3.11")
    now[0] += 3601
    assert ask().digest == second


@pytest.mark.registry
def test_reading_a_base_over_a_bad_line(repository: Repository, proxy: Proxy, tmp_path: Path) -> None:
    """A layer that is cut while it is read is read again."""
    make_base(repository, "usr/bin/python3.11")
    cuts = [Fault(cut_answer=700)]
    proxy.choose = lambda _m, path, _n: cuts.pop() if "/blobs/" in path and cuts else None
    text = f"{repository.host}/{repository.repository}:v1"
    base = resolve_base(text, cache=tmp_path, python="3.11", credentials=lambda _: None)

    assert base.contents.python == "/usr/bin/python3.11"
    assert cuts == []


@pytest.mark.registry
@pytest.mark.parametrize("way", ["mounted", "mount refused", "another place"])
def test_layers_of_a_base(
    way: str, repository: Repository, proxy: Proxy, layout: OciLayout, tmp_path: Path
) -> None:  # fmt: skip
    """Layers are mounted within a registry, else copied once; nothing of a base is stored here."""
    place = OciLayout(tmp_path / "elsewhere", "base")
    source = place if way == "another place" else Repository(Reference.parse(f"{proxy.host}/b{os.urandom(6).hex()}/x"))
    make_base(source, "usr/bin/python3.11")
    text = f"oci:{place.folder}:base:v1" if source is place else f"{proxy.host}/{source.repository}:v1"
    base = resolve_base(text, cache=tmp_path / "cache", python="3.11", credentials=lambda _: None)
    if way == "mount refused":  # the registry opens an upload for a source that doesn't exist
        missing = Repository(Reference(proxy.host, "no/such"))
        real = repository.mount_blob
        repository.mount_blob = lambda blob, _source: real(blob, missing)
    own = make_image(layout, 1000)
    manifest = json.loads(layout.blob_path(own.digest).read_bytes())
    blob = base.layers[0]
    manifest["layers"].insert(0, {"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size})
    descriptor = layout.put_manifest(json.dumps(manifest).encode(), OCI.manifest)
    image = type(own)(layout.reference(descriptor.digest), descriptor.digest, OCI.manifest, 0)
    done = push(image, layout, repository, tags=["tag"], base=base)

    assert done.layers[0].action == ("mounted" if way == "mounted" else "uploaded")
    assert done.layers[0].title == "base"
    assert not layout.has_blob(blob.digest)
    with repository.open_blob(blob.digest) as body:
        assert len(body.read()) == blob.size


def test_default_bases() -> None:
    """There is one for each supported Python; for others the error has a next step."""
    assert default_base("3.11") == "docker.io/library/python:3.11-slim"
    with pytest.raises(BaseImageError, match=r"no default base for Python 2\.7.*Set base"):
        default_base("2.7")
