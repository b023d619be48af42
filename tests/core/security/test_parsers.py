"""Parsers of what others write: whatever they are given, they answer, or raise an error of the tree."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
from fixtures.suite.hypothesis_profile import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prefect_vertex_training.core.errors import TrainingError
from prefect_vertex_training.datasets.manifest import Manifest, StoredFile
from prefect_vertex_training.images.base.resolve import resolve_base
from prefect_vertex_training.images.docker import dockerfile_parse
from prefect_vertex_training.images.oci.image_types import Descriptor
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.images.registry.auth import TokenCache
from prefect_vertex_training.images.wheels.lockfile import read_lock
from prefect_vertex_training.local_vertex.api import filters
from prefect_vertex_training.local_vertex.execution.process.unpack import unpack_layer
from prefect_vertex_training.project.dependencies import find_list
from prefect_vertex_training.project.secrets import containers
from prefect_vertex_training.project.secrets.scan import SecretScan
from prefect_vertex_training.project.secrets.search import SecretSearch
from prefect_vertex_training.project.settings import settings as project_settings
from prefect_vertex_training.tasks.reporting.metrics import Metrics
from prefect_vertex_training.tasks.reporting.progress import part_done

LOCK = """lock-version = "1.0"
created-by = "uv"
requires-python = ">=3.11"
[[packages]]
name = "demo"
version = "1.0"
wheels = [{ url = "https://host/demo-1.0-py3-none-any.whl", size = 10, hashes = { sha256 = "%s" } }]
""" % ("0" * 64)

KEYS = sorted(project_settings._KEYS)
VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.floats(), st.text(max_size=12)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("ab-_=", max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)


def toml(value: object) -> str:
    """A value in TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\u{ord(sign):04x}" if ord(sign) < 0xD800 else "?" for sign in value) + '"'
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
    return str(value)


def changed(text: bytes, where: float, piece: bytes, cut: int) -> bytes:
    """The text with a piece of it replaced."""
    place = int(where * len(text))
    return text[:place] + piece + text[place + cut :]


CHANGES = st.tuples(st.floats(0, 1), st.binary(max_size=6), st.integers(0, 40))


@settings(max_examples=examples(80))
@given(table=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3))
@example(table={"secret-env": {"A": "hunter2"}})
@example(table={"pools": {"worker": {"replicas": float("nan")}}})
def test_settings(tmp_path: Path, table: dict[str, object]) -> None:
    """Any value of any key."""
    (tmp_path / "train.py").write_text("")
    lines = [f"{toml(key)} = {toml(value)}" for key, value in table.items()]
    (tmp_path / "pyproject.toml").write_text("\n".join(["[tool.vertex-training]", *lines, ""]), encoding="utf-8")

    with contextlib.suppress(TrainingError):
        project_settings.load(tmp_path)


@settings(max_examples=examples(60))
@given(change=CHANGES)
def test_locks(change: tuple[float, bytes, int]) -> None:
    """A lock of which a piece was changed."""
    text = changed(LOCK.encode(), *change).decode("utf-8", "replace")

    with contextlib.suppress(TrainingError):
        read_lock(text, "3.11", Path("/srv/project"))


@settings(max_examples=examples(150))
@given(
    st.one_of(st.text(), st.from_regex(r'(NOT |-)?\(?[a-z.]{1,8}(=|!=|<|:)("[^"]*"|\*|[a-z0-9]+)\)?( (AND|OR) .*)?'))
)
def test_filters(text: str) -> None:
    """Any text is a filter, or is refused as one."""
    with contextlib.suppress(filters.FilterError):
        filters.parse(text)


LISTS = {
    "requirements.txt": "numpy==1.2 --hash=sha256:%s\n-r other.txt\n-f wheels\npkg @ git+https://h/a/b@v1\n-e .\n"
    % ("a" * 64),
    "environment.yml": "dependencies:\n  - python=3.11\n  - forge::scipy=1.0=py311_0\n  - pip:\n    - torch==2.0\n",
    "poetry.lock": '[[package]]\nname = "a"\nversion = "1.0"\ngroups = ["main"]\nfiles = [{file = "a", hash = "b"}]\n'
    '[package.source]\ntype = "git"\nurl = "https://h/a"\n[metadata]\nlock-version = "2.1"\n',
    "Pipfile.lock": '{"_meta": {"hash": {"sha256": "a"}, "sources": []}, "default": {"a": {"version": "==1.0"}}}',
    "pdm.lock": '[metadata]\nlock_version = "4.5.0"\n[[package]]\nname = "a"\nversion = "1.0"\nfiles = []\n',
    "uv.lock": 'version = 1\n[[package]]\nname = "p"\nversion = "0"\nsource = { virtual = "." }\n',
    "pyproject.toml": '[project]\nname = "p"\ndependencies = ["numpy>=1"]\n[dependency-groups]\ndev = ["c"]\n',
}
JUNK = st.sampled_from(
    ["", "\0", "${A}", "[" * 2000, "9" * 5000, "a" * 3000, "- " * 200, "2026-99-99", "null", "é", "{"]
)


@settings(max_examples=examples(80))
@given(name=st.sampled_from(sorted(LISTS)), where=st.floats(0, 1), piece=JUNK, cut=st.integers(0, 40))
@example(name="uv.lock", where=0.2, piece="", cut=4)
def test_lists_of_dependencies(tmp_path_factory, name: str, where: float, piece: str, cut: int) -> None:
    """A list of any kind of which a piece was replaced."""
    root = tmp_path_factory.mktemp("lists")
    (root / "train.py").write_text("")
    (root / "Pipfile").write_text("")
    (root / name).write_bytes(changed(LISTS[name].encode(), where, piece.encode(), cut))
    own = project_settings.Settings(root=root, name="x", script="train.py", python="3.11", translate=True)

    with contextlib.suppress(TrainingError):
        find_list.read(root, own)


DOCKERFILE = (
    "# escape=\\\nARG BASE=python\nFROM ${BASE:-x} AS one\nRUN --mount=type=secret,id=a --mount=type=cache x <<EOF\n"
    'FROM y\nEOF\nCOPY --from=one /a /b\nUSER ${U:-1}:2\nENTRYPOINT ["python", "a.py"]\nCMD a b\n'
)


@settings(max_examples=examples(60))
@given(where=st.floats(0, 1), piece=st.one_of(JUNK, st.text(max_size=6)), cut=st.integers(0, 40))
def test_dockerfiles(where: float, piece: str, cut: int) -> None:
    """A Dockerfile of which a piece was replaced."""
    place = int(where * len(DOCKERFILE))
    text = DOCKERFILE[:place] + piece + DOCKERFILE[place + cut :]

    dockerfile_parse.instructions(text)
    dockerfile_parse.secret_mounts(text)
    dockerfile_parse.named_images(text, {"A": "x"})
    dockerfile_parse.startup(text, {})


@pytest.mark.parametrize("line", [f"epoch 1/{'9' * 5000}", f"step {'9' * 400} of {'9' * 400}"])
@pytest.mark.parametrize("value", [10**400, -(10**400), float("nan"), float("inf"), True, None, "x", {"a": 10**400}])
def test_what_a_script_prints(line: str, value: object) -> None:
    """Numbers that no float holds are no progress and no metric."""
    assert part_done(line, {"epoch": 1, "epochs": value}) is None
    metrics = Metrics()
    metrics.line({"loss": value, "step": value})
    assert metrics.values() == {}


@pytest.mark.parametrize("lifetime", [10**400, float("nan"), float("inf"), -1, "x", [], None])
def test_what_a_token_server_says(lifetime: object) -> None:
    """However long a token is said to live, it is kept for some time."""
    tokens = TokenCache()
    tokens.put("scope", {"token": "abc", "expires_in": lifetime})

    assert tokens.get("scope") == "abc"


def layer() -> bytes:
    """A layer with a folder, files and links."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, kind, link in (
            ("app", tarfile.DIRTYPE, ""),
            ("app/a", tarfile.REGTYPE, ""),
            ("app/l", tarfile.SYMTYPE, "a"),
            ("app/h", tarfile.LNKTYPE, "app/a"),
            ("app/.wh.b", tarfile.REGTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            archive.addfile(info)
    return out.getvalue()


LAYER = layer()


@settings(max_examples=examples(60))
@given(change=CHANGES, inner=st.booleans())
def test_layers(tmp_path_factory, change: tuple[float, bytes, int], inner: bool) -> None:
    """A layer that was damaged, outside or inside of its compression; nothing is written outside of its folder."""
    import gzip

    folder = tmp_path_factory.mktemp("layer")
    data = gzip.compress(changed(gzip.decompress(LAYER), *change)) if inner else changed(LAYER, *change)
    digest = hashlib.sha256(data).hexdigest()
    layout = OciLayout(folder / "layout", "demo")
    blob = Descriptor("application/vnd.oci.image.layer.v1.tar+gzip", f"sha256:{digest}", len(data))
    layout.put_blob(blob, lambda: io.BytesIO(data))
    (folder / "root").mkdir()

    with contextlib.suppress(TrainingError):
        unpack_layer(layout, blob, folder / "root")
    assert {path.name for path in folder.iterdir()} == {"layout", "root"}


@settings(max_examples=examples(60))
@given(st.one_of(st.binary(max_size=300), st.builds(changed, st.just(LAYER), st.floats(0, 1), st.binary(), st.just(3))))
def test_the_secret_scan(data: bytes) -> None:
    """Any bytes of any file; archives and pickles too."""
    scan = SecretScan(SecretSearch())
    scan.feed(data, last=True)
    for start in (b"", b"PK\x03\x04", b"\x80\x04"):
        list(containers.texts(start + data))


SHA = "sha256:" + "0" * 64
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.just(SHA)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=4,
)


def near(**fields: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """An object of which most fields are as they should be, the others any JSON, and one may be missing."""
    whole = st.fixed_dictionaries({name: st.one_of(right, right, right, JSON) for name, right in fields.items()})
    missing = st.one_of(st.none(), st.none(), st.sampled_from(sorted(fields)))
    return st.builds(lambda found, name: {key: found[key] for key in found if key != name}, whole, missing)


DESCRIPTORS = near(
    mediaType=st.just("application/vnd.oci.image.manifest.v1+json"),
    digest=st.just(SHA),
    size=st.integers(0, 99),
    annotations=near(title=st.just("a")),
    platform=near(os=st.just("linux"), architecture=st.just("amd64"), variant=st.just("v2")),
)
MANIFESTS = near(
    schemaVersion=st.just(2),
    mediaType=st.sampled_from(
        ["", "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"]
    ),
    config=DESCRIPTORS,
    layers=st.lists(DESCRIPTORS, max_size=2),
    manifests=st.lists(DESCRIPTORS, max_size=2),
)
CONFIGS = near(
    os=st.just("linux"),
    architecture=st.just("amd64"),
    config=near(Env=st.just(["PATH=/bin", "x"]), Entrypoint=st.just(["a"]), User=st.just("1"), Labels=st.just({})),
    rootfs=near(type=st.just("layers"), diff_ids=st.lists(st.just(SHA), max_size=3)),
    history=st.lists(near(created_by=st.just("x"), empty_layer=st.booleans()), max_size=3),
)


@settings(max_examples=examples(150))
@given(manifest=st.one_of(MANIFESTS, MANIFESTS, MANIFESTS, JSON), config=CONFIGS, linked=st.booleans())
def test_manifests(tmp_path_factory, manifest: object, config: object, linked: bool) -> None:
    """A base whose index, manifest or config is anything that JSON can write."""
    folder = tmp_path_factory.mktemp("base")
    layout = OciLayout(folder / "layout", "demo")
    described = json.dumps(config).encode()
    digest = f"sha256:{hashlib.sha256(described).hexdigest()}"
    blob = Descriptor("application/vnd.oci.image.config.v1+json", digest, len(described))
    layout.put_blob(blob, lambda: io.BytesIO(described))
    if linked and isinstance(manifest, dict):
        manifest = {**manifest, "config": {"mediaType": blob.media_type, "digest": digest, "size": blob.size}}
    layout.put_manifest(json.dumps(manifest).encode(), "application/vnd.oci.image.manifest.v1+json", ["v1"])

    with contextlib.suppress(TrainingError):
        base = resolve_base(f"oci:{layout.folder}:demo:v1", cache=folder / "cache", python="3.11")
        _ = base.contents
        assert isinstance(base.read().remarks, list)
    assert {path.name for path in folder.iterdir()} <= {"layout", "cache"}


DATA_SET = Manifest("copy", [("0" * 64, 7)], [StoredFile("a/b.csv", 7, "1" * 64, 0, 0)]).encode()


@settings(max_examples=examples(150))
@given(change=CHANGES, inner=st.booleans())
def test_manifests_of_data_sets(change: tuple[float, bytes, int], inner: bool) -> None:
    """A data set's manifest of which a piece was changed, outside or inside of its compression."""
    import gzip

    data = gzip.compress(changed(gzip.decompress(DATA_SET), *change)) if inner else changed(DATA_SET, *change)

    with contextlib.suppress(TrainingError):
        Manifest.decode(data, "gs://bucket/manifest").objects("2" * 64)
