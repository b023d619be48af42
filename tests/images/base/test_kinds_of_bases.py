"""Bases of many kinds: which Python is found in each, and which are refused before anything is built."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fixtures.images.base_kinds import PYTHON, Kind, entry, program, store, store_index, tar
from fixtures.images.stored_images import make_base
from prefect_vertex_training.core.errors import BaseImageError, RegistryError
from prefect_vertex_training.images.base.inspect import BaseContents
from prefect_vertex_training.images.base.resolve import resolve_base
from prefect_vertex_training.images.oci.layout import OciLayout

PATH = "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
VENV = b"home = /usr/bin\ninclude-system-site-packages = false\n"
DEBIAN = tar({"usr/bin/python3.11": PYTHON, "usr/bin/python3": "python3.11", "bin": "usr/bin"})
LONG = f"opt/{'x' * 90}/{'y' * 90}/bin"

FOUND = {
    "docker's official": (
        Kind([tar({"etc/debian_version": b"12"}), tar({"usr/local/bin/python3.11": PYTHON})], {"Env": [PATH]}),
        "/usr/local/bin/python3.11",
    ),
    "red hat: PYTHON_VERSION and /usr/bin": (
        Kind([DEBIAN], {"Env": [PATH, "PYTHON_VERSION=3.11"]}),
        "/usr/bin/python3.11",
    ),
    "red hat: an environment of its own": (
        Kind(
            [DEBIAN, tar({"opt/app-root/bin/python3.11": "/usr/bin/python3.11", "opt/app-root/pyvenv.cfg": VENV})],
            {"Env": ["PATH=/opt/app-root/bin:/usr/bin"], "User": "1001"},
        ),
        "/usr/bin/python3.11",
    ),
    "bitnami": (
        Kind([tar({"opt/bitnami/python/bin/python3.11": PYTHON})], {"Env": ["PATH=/opt/bitnami/python/bin:/usr/bin"]}),
        "/opt/bitnami/python/bin/python3.11",
    ),
    "azureml": (
        Kind([DEBIAN, tar({"azureml-envs/s/bin/python3.11": PYTHON})], {"Env": ["PATH=/azureml-envs/s/bin:/usr/bin"]}),
        "/azureml-envs/s/bin/python3.11",
    ),
    "conda, activated by PATH": (
        Kind([DEBIAN, tar({"opt/conda/envs/train/bin/python3.11": PYTHON, "opt/conda/bin/python3.11": PYTHON})],
             {"Env": ["PATH=/opt/conda/envs/train/bin:/opt/conda/bin:/usr/bin"]}),
        "/opt/conda/envs/train/bin/python3.11",
    ),
    "conda run in the entry point": (
        Kind([DEBIAN, tar({"opt/conda/envs/train/bin/python3.11": PYTHON, "opt/conda/bin/python3.11": PYTHON})],
             {"Env": ["PATH=/opt/conda/bin:/usr/bin"], "Entrypoint": ["conda", "run", "-n", "train", "python"]}),
        "/opt/conda/envs/train/bin/python3.11",
    ),
    "conda run as the shell": (
        Kind([tar({"srv/env/bin/python3.11": PYTHON})],
             {"Env": [PATH], "Shell": ["/opt/conda/bin/conda", "run", "-p", "/srv/env", "/bin/sh", "-c"]}),
        "/srv/env/bin/python3.11",
    ),
    "micromamba": (
        Kind([DEBIAN, tar({"opt/mamba/bin/python3.11": PYTHON})], {"Env": ["MAMBA_ROOT_PREFIX=/opt/mamba"]}),
        "/usr/bin/python3.11",
    ),
    "a python named by the entry point": (
        Kind([DEBIAN, tar({"srv/py/bin/python3.11": PYTHON})],
             {"Env": [PATH], "Entrypoint": ["/srv/py/bin/python3", "-u"], "Cmd": ["x.py"]}),
        "/srv/py/bin/python3.11",
    ),
    "pyenv, behind its shims": (
        Kind([tar({
            "home/app/.pyenv/shims/python3.11": b"#!/usr/bin/env bash\nexec pyenv exec",
            "home/app/.pyenv/version": b"3.11.4\n",
            "home/app/.pyenv/versions/3.11.4/bin/python3.11": PYTHON,
            "home/app/.pyenv/versions/3.11.9/bin/python3.11": PYTHON,
        })], {"Env": ["PATH=/home/app/.pyenv/shims:/usr/bin"]}),
        "/home/app/.pyenv/versions/3.11.4/bin/python3.11",
    ),
    "uv's python, through links": (
        Kind([tar({
            "home/app/.local/bin/python3.11": "../share/uv/python/cpython-3.11/bin/python3.11",
            "home/app/.local/share/uv/python/cpython-3.11": "cpython-3.11.9",
            "home/app/.local/share/uv/python/cpython-3.11.9/bin/python3.11": PYTHON,
        })], {"Env": ["PATH=/home/app/.local/bin:/usr/bin"]}),
        "/home/app/.local/share/uv/python/cpython-3.11.9/bin/python3.11",
    ),
    "alternatives": (
        Kind([tar({"usr/bin/python3": "/etc/alternatives/python3", "etc/alternatives/python3": "/usr/bin/python3.11",
                   "usr/bin/python3.11": PYTHON})], {"Env": [PATH]}),
        "/usr/bin/python3.11",
    ),
    "/opt/venv of its own": (
        Kind([DEBIAN, tar({"opt/venv/bin/python": "/usr/bin/python3.11", "opt/venv/pyvenv.cfg": VENV})],
             {"Env": ["PATH=/opt/venv/bin:/usr/bin", "VIRTUAL_ENV=/opt/venv"]}),
        "/usr/bin/python3.11",
    ),
    "a copied program in an environment": (
        Kind([DEBIAN, tar({"opt/venv/bin/python3.11": PYTHON, "opt/venv/pyvenv.cfg": VENV})],
             {"Env": ["PATH=/opt/venv/bin:/usr/bin"]}),
        "/usr/bin/python3.11",
    ),
    "two pythons of one version: PATH decides": (
        Kind([DEBIAN, tar({"usr/local/bin/python3.11": PYTHON})], {"Env": [PATH]}),
        "/usr/local/bin/python3.11",
    ),
    "removed by a whiteout": (
        Kind([DEBIAN, tar({"usr/local/bin/python3.11": PYTHON}), tar({"usr/local/bin/.wh.python3.11": b""})],
             {"Env": [PATH]}),
        "/usr/bin/python3.11",
    ),
    "hidden by an opaque folder": (
        Kind([DEBIAN, tar({"usr/local/bin/python3.11": PYTHON}), tar({"usr/local/bin/.wh..wh..opq": b""})],
             {"Env": [PATH]}),
        "/usr/bin/python3.11",
    ),
    "removed with the folder above": (
        Kind([DEBIAN, tar({"usr/local/bin/python3.11": PYTHON}), tar({"usr/.wh.local": b""})], {"Env": [PATH]}),
        "/usr/bin/python3.11",
    ),
    "removed and added again": (
        Kind([DEBIAN, tar({"usr/local/bin/.wh.python3.11": b"", "usr/local/bin/python3.11": PYTHON})], {"Env": [PATH]}),
        "/usr/local/bin/python3.11",
    ),
    "a linked folder": (
        Kind([tar({"opt/python": "/opt/python-3.11", "opt/python-3.11/bin/python3.11": PYTHON})],
             {"Env": ["PATH=/opt/python/bin"]}),
        "/opt/python-3.11/bin/python3.11",
    ),
    "a hard link": (
        Kind([tar({"usr/bin/python3.11": PYTHON}, {"usr/local/bin/python3.11": "usr/bin/python3.11"})]),
        "/usr/local/bin/python3.11",
    ),
    "names without a version, told by the library": (
        Kind([tar({"opt/py/bin/python3": PYTHON, "opt/py/lib/python3.11/os.py": b""})], {"Env": ["PATH=/opt/py/bin"]}),
        "/opt/py/bin/python3",
    ),
    "zstd": (Kind([DEBIAN], {"Env": [PATH]}, packing="zstd"), "/usr/bin/python3.11"),
    "not compressed": (Kind([DEBIAN], {"Env": [PATH]}, packing="plain"), "/usr/bin/python3.11"),
    "docker's media types": (Kind([DEBIAN], {"Env": [PATH]}, docker=True), "/usr/bin/python3.11"),
    "paths beyond a header's fields": (
        Kind([tar({"usr/bin/python3.11": PYTHON, f"{LONG}/python3.12": PYTHON})], {"Env": [f"PATH=/{LONG}:/usr/bin"]}),
        "/usr/bin/python3.11",
    ),
    "an environment that only VIRTUAL_ENV names": (
        Kind([tar({"usr/bin/python3.11": PYTHON, "srv/my env/bin/python": "/usr/bin/python3.11",
                   "srv/my env/pyvenv.cfg": VENV})], {"Env": ["PATH=/bin", "VIRTUAL_ENV=/srv/my env"]}),
        "/usr/bin/python3.11",
    ),
    "an environment of uv's python": (
        Kind([tar({
            "srv/.venv/bin/python": "/home/me/.local/share/uv/python/cpython-3.11.9-linux-x86_64-gnu/bin/python3.11",
            "srv/.venv/bin/python3": "python",
            "srv/.venv/pyvenv.cfg": b"home = /home/me/.local/share/uv/python/cpython-3.11.9-linux-x86_64-gnu/bin\n",
            "home/me/.local/share/uv/python/cpython-3.11.9-linux-x86_64-gnu/bin/python3.11": PYTHON,
        })], {"Env": ["PATH=/srv/.venv/bin:/usr/bin"]}),
        "/home/me/.local/share/uv/python/cpython-3.11.9-linux-x86_64-gnu/bin/python3.11",
    ),
    "alternatives with relative links, over layers": (
        Kind([
            tar({"usr/bin/python3.11": PYTHON}),
            tar({"etc/alternatives/python3": "../../usr/bin/python3.11"}),
            tar({"usr/bin/python3": "../../etc/alternatives/python3", "usr/bin/python": "python3"}),
        ], {"Env": [PATH]}),
        "/usr/bin/python3.11",
    ),
    "nix's profile": (
        Kind([tar({
            "home/me/.nix-profile": "/nix/var/nix/profiles/default",
            "nix/var/nix/profiles/default": "default-1-link",
            "nix/var/nix/profiles/default-1-link": "/nix/store/abc-env",
            "nix/store/abc-env/bin": "/nix/store/def-python3-3.11.9/bin",
            "nix/store/def-python3-3.11.9/bin/python3.11": PYTHON,
        })], {"Env": ["PATH=/home/me/.nix-profile/bin"]}),
        "/nix/store/def-python3-3.11.9/bin/python3.11",
    ),
    "homebrew": (
        Kind([tar({
            "home/linuxbrew/.linuxbrew/bin/python3.11": "../Cellar/python@3.11/3.11.9/bin/python3.11",
            "home/linuxbrew/.linuxbrew/Cellar/python@3.11/3.11.9/bin/python3.11": PYTHON,
        })], {"Env": ["PATH=/home/linuxbrew/.linuxbrew/bin:/usr/bin"]}),
        "/home/linuxbrew/.linuxbrew/Cellar/python@3.11/3.11.9/bin/python3.11",
    ),
    "conda that PATH doesn't name": (
        Kind([tar({"home/me/miniconda3/condabin/conda": b"#!/bin/sh", "home/me/miniconda3/bin/python3.11": PYTHON,
                   "home/me/miniconda3/pkgs/python-3.11/bin/python3.11": PYTHON})], {"Env": [PATH]}),
        "/home/me/miniconda3/bin/python3.11",
    ),
    "asdf, behind its shims": (
        Kind([tar({
            "home/me/.asdf/shims/python3": b"#!/usr/bin/env bash\nexec asdf exec",
            "home/me/.asdf/installs/python/3.11.4/bin/python3.11": PYTHON,
            "home/me/.asdf/installs/python/3.11.10/bin/python3.11": PYTHON,
        })], {"Env": ["PATH=/home/me/.asdf/shims:/usr/bin"]}),
        "/home/me/.asdf/installs/python/3.11.10/bin/python3.11",
    ),
    "mise, whose program has every name": (
        Kind([tar({
            "usr/local/bin/mise": PYTHON,
            "home/me/.local/share/mise/shims/python3.11": "/usr/local/bin/mise",
            "home/me/.local/share/mise/installs/python/3.11.9/bin/python3.11": PYTHON,
        })], {"Env": ["PATH=/home/me/.local/share/mise/shims:/usr/local/bin"]}),
        "/home/me/.local/share/mise/installs/python/3.11.9/bin/python3.11",
    ),
    "a hard link to a lower layer": (
        Kind([tar({"usr/bin/python3.11": PYTHON}), tar({}, {"usr/local/bin/python3.11": "usr/bin/python3.11"})],
             {"Env": [PATH]}),
        "/usr/local/bin/python3.11",
    ),
    "no shell, no /bin: distroless": (
        Kind([tar({"usr/bin/python3.11": PYTHON, "usr/bin/python": "/usr/bin/python3.11", "etc/passwd": b"x"})],
             {"Entrypoint": ["/usr/bin/python3.11"], "User": "65532"}),
        "/usr/bin/python3.11",
    ),
    "site-packages removed and filled again": (
        Kind([
            tar({"usr/local/bin/python3.11": PYTHON, "usr/local/lib/python3.11/site-packages/old.py": b""}),
            tar({"usr/local/lib/python3.11/site-packages/.wh..wh..opq": b"",
                 "usr/local/lib/python3.11/site-packages/new.py": b""}),
            tar({"usr/local/lib/python3.11/.wh.site-packages": b""}),
        ], {"Env": [PATH]}),
        "/usr/local/bin/python3.11",
    ),
    "a path with a slash too many": (
        Kind([DEBIAN], {"Env": ["PATH=relative::/usr//bin/:."]}), "/usr/bin/python3.11",
    ),
    "null where docker writes nothing": (
        Kind([DEBIAN], {"Env": [PATH], "Entrypoint": None, "Labels": None, "Volumes": None}), "/usr/bin/python3.11",
    ),
}  # fmt: skip

REFUSED = {
    "musl": (Kind([tar({"usr/local/bin/python3.11": program("/lib/ld-musl-x86_64.so.1")})]), "runs on musl.*glibc"),
    "musl, by its only loader": (
        Kind([tar({"usr/bin/python3.11": b"\x7fELF", "lib/ld-musl-x86_64.so.1": b"\x7fELF"})]), "runs on musl",
    ),
    "only a shell script": (Kind([tar({"usr/bin/python3.11": b"#!/bin/sh\n"})]), "has no Python"),
    "a python for arm64": (Kind([tar({"usr/bin/python3.11": program(machine=183)})]), "has no Python"),
    "a broken link": (Kind([tar({"usr/bin/python3.11": "/nowhere/python3.11"})]), "has no Python"),
    "a link to itself": (Kind([tar({"usr/bin/python3.11": "python3.11"})]), "has no Python"),
    "conda's package cache": (Kind([tar({"opt/conda/pkgs/python-3.11/bin/python3.11": PYTHON})]), "has no Python"),
    "PYTHON_VERSION alone": (Kind([tar({"x": b""})], {"Env": ["PYTHON_VERSION=3.11.9"]}), "has no Python"),
    "another version": (Kind([tar({"usr/bin/python3.9": PYTHON})]), r"has Python 3\.9, not 3\.11.*Set base or python"),
    "arm64": (Kind([DEBIAN], architecture="arm64"), "only for linux/arm64"),
    "pypy": (Kind([tar({"opt/pypy/bin/pypy3.11": PYTHON, "usr/local/bin/python3": "/opt/pypy/bin/pypy3.11",
                       "opt/pypy/lib/pypy3.11/os.py": b""})], {"Env": [PATH]}), "has no Python"),
    "a python without its lock": (
        Kind([tar({"usr/bin/python3.11t": PYTHON, "usr/bin/python3": "python3.11t",
                   "usr/lib/python3.11t/os.py": b""})]), "has no Python",
    ),
    "everything removed": (Kind([DEBIAN, tar({".wh..wh..opq": b""})]), "has no Python"),
}  # fmt: skip


def contents(
    layout: OciLayout, tmp_path: Path, python: str | None = "3.11", interpreter: str | None = None
) -> BaseContents:
    """What is read of the base tagged `v1`."""
    text = f"oci:{layout.folder}:{layout.name}:v1"
    return resolve_base(text, cache=tmp_path / "cache", python=python, interpreter=interpreter, max_age=0).contents


@pytest.mark.parametrize("name", FOUND)
def test_the_python_that_the_base_runs(name: str, layout: OciLayout, tmp_path: Path) -> None:
    """It is a program and no link, and the same when it is read again from this machine's records."""
    kind, path = FOUND[name]
    store(layout, kind)
    found = contents(layout, tmp_path)

    assert (found.python, found.python_version) == (path, "3.11")
    assert found.read > 0
    again = contents(layout, tmp_path)
    assert (again.python, again.packages, again.read) == (path, found.packages, 0)


@pytest.mark.parametrize("name", REFUSED)
def test_bases_that_are_refused(name: str, layout: OciLayout, tmp_path: Path) -> None:
    """In one line with the base's name and the next step."""
    kind, message = REFUSED[name]
    store(layout, kind)
    with pytest.raises(BaseImageError, match=message) as caught:
        contents(layout, tmp_path)

    assert "thing:v1" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_packages_of_the_bases_environment(layout: OciLayout, tmp_path: Path) -> None:
    """Their folder is named, because the real program doesn't look there."""
    store(layout, FOUND["/opt/venv of its own"][0])

    assert contents(layout, tmp_path).packages == ("/opt/venv/lib/python3.11/site-packages",)


def test_reading_stops_when_the_python_is_certain(layout: OciLayout, tmp_path: Path) -> None:
    """A big layer below, and one whose listing is known, aren't read; the bytes that were read are said."""
    big = tar({"noise": bytes(range(256)) * 4000})
    upper = tar({"usr/local/bin/python3.11": PYTHON})
    store(layout, Kind([big, upper], {"Env": [PATH]}, packing="plain"))
    first = contents(layout, tmp_path)
    assert first.read < len(big)
    assert any(f"{first.read:,} bytes" in remark and "base-python" in remark for remark in first.remarks)

    other = Kind([big, upper, tar({"etc/x": b""})], {"Env": [PATH.replace("/usr/local/bin:", "")]}, packing="plain")
    store(layout, other)
    second = contents(layout, tmp_path)
    assert second.read >= len(big)
    store(
        layout, Kind([big, upper, tar({"etc/y": b""})], {"Env": [PATH.replace("/usr/local/bin:", "")]}, packing="plain")
    )
    assert contents(layout, tmp_path).read < len(big)


def test_a_named_python_needs_no_layer(layout: OciLayout, tmp_path: Path) -> None:
    """With base-python the layers aren't read, so they may even be missing here."""
    store(layout, Kind([DEBIAN]))
    for blob in (layout.folder / "blobs/sha256").iterdir():
        if blob.stat().st_size > 3000:
            blob.unlink()

    found = contents(layout, tmp_path, interpreter="/srv/python3.11")
    assert (found.python, found.python_version, found.read) == ("/srv/python3.11", "3.11", 0)


def test_plain_amd64_of_an_index_comes_first(layout: OciLayout, tmp_path: Path) -> None:
    """Before the variants v2 and v3, which older processors can't run; attestations and other platforms are skipped."""
    plain, v2, v3 = (
        store(layout, Kind([tar({"usr/bin/python3.11": PYTHON, name: b""})])) for name in ("v1", "v2", "v3")
    )
    attestation = {**entry(v3, os="unknown", architecture="unknown"),
                   "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}  # fmt: skip
    entries = [
        entry(v3, architecture="amd64", variant="v3"), attestation, entry(v2, architecture="amd64", variant="v2"),
        entry(v3, architecture="arm64"), entry(plain, architecture="amd64"),
    ]  # fmt: skip
    text = f"oci:{layout.folder}:thing:v1"
    store_index(layout, entries)
    assert resolve_base(text, cache=tmp_path / "a").digest == plain.digest
    store_index(layout, entries[:-1])
    assert resolve_base(text, cache=tmp_path / "b").digest == v2.digest
    store_index(layout, [attestation])
    with pytest.raises(BaseImageError, match="only for"):
        resolve_base(text, cache=tmp_path / "c")


def test_an_index_in_an_index(layout: OciLayout, tmp_path: Path) -> None:
    """Some tools wrap an image and its attestations in an index of their own; one without end is refused."""
    plain = store(layout, Kind([DEBIAN]))
    unnamed = entry(plain, os="unknown", architecture="unknown")
    inner = store_index(layout, [entry(plain, architecture="amd64"), unnamed], "inner")
    text = f"oci:{layout.folder}:thing:v1"
    store_index(layout, [entry(inner, architecture="amd64"), unnamed])
    assert resolve_base(text, cache=tmp_path / "a").digest == plain.digest
    outer = store_index(layout, [entry(inner)], "outer")
    store_index(layout, [entry(outer)])
    with pytest.raises(BaseImageError, match="only for"):
        resolve_base(text, cache=tmp_path / "b")


def test_an_index_with_thousands_of_entries(layout: OciLayout, tmp_path: Path) -> None:
    """As nightly builds leave them; what is for other machines isn't asked for."""
    plain = store(layout, Kind([DEBIAN]))
    others = [{**entry(plain, architecture="arm64"), "digest": f"sha256:{number:064x}"} for number in range(5000)]
    store_index(layout, [*others, entry(plain, architecture="amd64")])

    assert resolve_base(f"oci:{layout.folder}:thing:v1", cache=tmp_path / "a").digest == plain.digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"artifactType": "application/vnd.example.sbom", "config": "application/vnd.oci.empty.v1+json"},
         "no image but an artifact of the type application/vnd.example.sbom"),
        ({"config": "application/vnd.cncf.helm.config.v1+json"}, "artifact of the type application/vnd.cncf.helm"),
        ({"schemaVersion": 1, "layers": None, "fsLayers": []}, "old manifest format"),
        ({"layers": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"}, "isn't in its registry"),
        ({"layers": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"}, "isn't in its registry"),
    ],
)  # fmt: skip
def test_what_is_no_base(change: dict[str, object], message: str, layout: OciLayout, tmp_path: Path) -> None:
    """Artifacts, manifests of schema 1 and layers that a registry needn't keep are refused in words."""
    found = store(layout, Kind([DEBIAN]))
    manifest = json.loads(layout.blob_path(found.digest).read_bytes())
    if isinstance(kind := change.get("config"), str):
        change = {**change, "config": {**manifest["config"], "mediaType": kind}}
    if isinstance(kind := change.get("layers"), str):
        change = {**change, "layers": [{"mediaType": kind, "digest": "sha256:" + "0" * 64, "size": 9}]}
    manifest = {name: value for name, value in {**manifest, **change}.items() if value is not None}
    layout.put_manifest(json.dumps(manifest).encode(), manifest["mediaType"], ["v1"])
    with pytest.raises(BaseImageError, match=message) as caught:
        contents(layout, tmp_path)

    assert "\n" not in str(caught.value)


def test_a_layer_that_may_not_be_passed_on_but_is_there(layout: OciLayout, tmp_path: Path) -> None:
    """Its kind doesn't matter then."""
    found = store(layout, Kind([DEBIAN]))
    manifest = json.loads(layout.blob_path(found.digest).read_bytes())
    manifest["layers"][0]["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    layout.put_manifest(json.dumps(manifest).encode(), manifest["mediaType"], ["v1"])

    assert contents(layout, tmp_path).python == "/usr/bin/python3.11"


def test_entries_without_a_platform_are_judged_by_their_configs(layout: OciLayout, tmp_path: Path) -> None:
    """The first that is for linux/amd64 is taken."""
    arm = store(layout, Kind([DEBIAN], architecture="arm64"))
    amd = store(layout, Kind([DEBIAN]))
    store_index(layout, [entry(arm), entry(amd)])
    text = f"oci:{layout.folder}:thing:v1"
    assert resolve_base(text, cache=tmp_path / "a").digest == amd.digest
    store_index(layout, [entry(arm)])
    with pytest.raises(BaseImageError, match="by its config"):
        resolve_base(text, cache=tmp_path / "b")


@pytest.mark.parametrize(
    "change",
    [
        {"layers": "x"}, {"layers": [1]}, {"config": {"digest": "../../etc/passwd", "size": 1}},
        {"config": {"digest": "sha256:" + "0" * 64, "size": -5}},
        {"layers": [{"digest": "sha256:" + "0" * 64, "size": 10**18}]},
        {"config": None},
    ],
)  # fmt: skip
def test_manifests_of_wrong_types(change: dict[str, object], layout: OciLayout, tmp_path: Path) -> None:
    """They are one-line errors."""
    _, raw = make_base(layout, "usr/bin/python3.11")
    manifest = {**json.loads(raw), **change}
    layout.put_manifest(json.dumps(manifest).encode(), manifest["mediaType"], ["v1"])
    with pytest.raises(RegistryError, match="manifest can't be used") as caught:
        contents(layout, tmp_path)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "config", [{"Env": "x"}, {"Env": [1]}, {"Labels": []}, {"User": 5}, {"Entrypoint": "python"}, {"Volumes": ["/x"]}]
)
def test_configs_of_wrong_types(config: dict[str, object], layout: OciLayout, tmp_path: Path) -> None:
    """They are one-line errors."""
    store(layout, Kind([DEBIAN], config))
    with pytest.raises(RegistryError, match="config can't be used"):
        contents(layout, tmp_path)
