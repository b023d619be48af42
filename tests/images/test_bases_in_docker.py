"""What a job sees on bases of many kinds, run by docker: Python, packages, working directory, user."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fixtures.images.base_image import PythonBase, base_folder
from fixtures.images.base_kinds import Member, tar
from fixtures.images.registry_server import RegistryServer
from prefect_vertex_training.images.base.resolve import resolve_base
from prefect_vertex_training.images.oci.config import OCI
from prefect_vertex_training.images.oci.image_types import Descriptor
from prefect_vertex_training.images.oci.reference import Reference
from prefect_vertex_training.images.oci.verifying_reader import sha256
from prefect_vertex_training.images.push import push
from prefect_vertex_training.images.registry.repository import Repository

pytestmark = [pytest.mark.docker, pytest.mark.registry]

SCRIPT = """
import importlib.metadata as m, importlib.util as u, json, os, pathlib, sys
import small, big, tiny
pathlib.Path("model.txt").write_text("m")
pathlib.Path("sub/more.txt").write_text("m")
print(json.dumps({
    "python": sys.version_info[:2], "cwd": os.getcwd(), "user": os.getuid(),
    "versions": [m.version(name) for name in ("small", "big", "tiny")], "values": [small.X, big.X, tiny.X],
    "files": sorted(os.listdir()), "from base": bool(u.find_spec("basepkg")), "prefix": sys.prefix,
}))
"""
OLD = {
    "small.py": b"X = 'old'\n",
    "small-0.1.dist-info/METADATA": b"Metadata-Version: 2.1\nName: small\nVersion: 0.1\n",
    "big/__init__.py": b"X = 'old'\n",
    "basepkg.py": b"",
}
VENV = b"home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11.2\n"
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def old_packages(folder: str) -> dict[str, Member]:
    """Older versions of the lock's packages, and one that only the base has."""
    return {f"{folder}/{name}": content for name, content in OLD.items()}


@dataclass(frozen=True)
class Kind:
    """A base above a real Debian with Python.

    Attributes:
        layers: Further layers.
        config: What its config has beside the Debian's.
        user: The user id that the job has.
        from_base: Whether the base's own package can be imported.
        docker: Docker's media types.
    """

    layers: tuple[bytes, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    user: int = 0
    from_base: bool = False
    docker: bool = False


VENV_FILES: dict[str, Member] = {
    "opt/venv/bin/python3.11": "/usr/bin/python3.11", "opt/venv/bin/python": "python3.11",
    "opt/venv/pyvenv.cfg": VENV, **old_packages("opt/venv/lib/python3.11/site-packages"),
}  # fmt: skip
OURS: dict[str, Member] = {
    "opt/vertex-training/venv/bin/python": "/usr/bin/python3.11", "opt/vertex-training/venv/pyvenv.cfg": VENV,
    "app/old.py": b"", "app/train.py": b"raise SystemExit('the old code')\n",
    **old_packages("opt/vertex-training/venv/lib/python3.11/site-packages"),
}  # fmt: skip

KINDS = {
    "debian": Kind(),
    "docker's media types": Kind(docker=True),
    "red hat's variables": Kind(config={"Env": [f"PATH={DEFAULT_PATH}", "PYTHON_VERSION=3.11"]}),
    "another user": Kind(config={"User": "1001:0"}, user=1001),
    "a user by name": Kind(config={"User": "nobody"}, user=65534),
    "/opt/venv of its own": Kind(
        (tar(VENV_FILES),), {"Env": [f"PATH=/opt/venv/bin:{DEFAULT_PATH}", "VIRTUAL_ENV=/opt/venv"]}, from_base=True
    ),
    "an image of ours": Kind((tar(OURS),), {"Env": [f"PATH=/opt/vertex-training/venv/bin:{DEFAULT_PATH}"]}),
    "/app of its own": Kind((tar({"app/small.py": b"X = 'old'\n", "app/data/old.csv": b"1"}),), {"WorkingDir": "/app"}),
    "PYTHONPATH": Kind((tar(old_packages("srv/lib")),), {"Env": ["PYTHONPATH=/srv/lib:/nowhere"]}, from_base=True),
    "PYTHONHOME": Kind(config={"Env": ["PYTHONHOME=/nowhere"]}),
    "variables that change Python": Kind(
        config={"Env": ["PYTHONSAFEPATH=1", "PYTHONINSPECT=1", "PYTHONPLATLIBDIR=nowhere"], "WorkingDir": "relative/x"}
    ),
    "no shell: distroless": Kind(
        (tar({f"usr/bin/.wh.{name}": b"" for name in ("sh", "dash", "bash")}),), {"User": "65532:65532"}, user=65532
    ),
    "/app is a link": Kind(
        (tar({"app": "/srv/elsewhere", "srv/elsewhere/old.py": b""}),), {"WorkingDir": "/app"}
    ),
    "older packages of the system": Kind((tar(old_packages("usr/lib/python3/dist-packages")),), from_base=True),
    "older packages in /usr/local": Kind(
        (tar(old_packages("usr/local/lib/python3.11/dist-packages")),), from_base=True
    ),
    "a python that was removed": Kind(
        (tar({"usr/local/bin/python3.11": b"\x7fELF no program"}), tar({"usr/local/bin/.wh.python3.11": b""}))
    ),
    "a python behind links": Kind(
        (tar({"srv/current": "/srv/py-3.11", "srv/py-3.11/bin/python3.11": "/usr/bin/python3.11"}),),
        {"Env": ["PATH=/srv/current/bin:/bin:/usr/bin"]},
    ),
    "volumes over our places": Kind(config={"Volumes": {"/app": {}, "/opt": {}, "/data": {}}}),
    "an entry point, a health check and triggers": Kind(
        config={
            "Entrypoint": ["/entry.sh"], "Cmd": ["serve"], "WorkingDir": "/srv", "OnBuild": ["RUN false"],
            "Healthcheck": {"Test": ["CMD", "false"], "Interval": 10**9},
        }
    ),
}  # fmt: skip


def store(target: Repository, kind: Kind) -> None:
    """Stores the base under the tag v1; the Debian's layer is stored once for all."""
    folder = base_folder()
    manifest = json.loads((folder / "manifest.json").read_text())
    config = json.loads((folder / manifest["config"]["digest"][7:]).read_text())
    layer = manifest["layers"][0]
    debian = Descriptor(layer["mediaType"], layer["digest"], layer["size"])
    target.put_blob(debian, lambda: (folder / layer["digest"][7:]).open("rb"))
    types = layer["mediaType"], manifest["config"]["mediaType"], manifest["mediaType"]
    layer_type, config_type, manifest_type = types if kind.docker else (OCI.layer, OCI.config, OCI.manifest)
    layers = [{**layer, "mediaType": layer_type}]
    for raw in kind.layers:
        import gzip

        data = gzip.compress(raw, mtime=0)
        layers.append(put(target, layer_type, data))
        config["rootfs"]["diff_ids"].append(sha256(raw))
        config["history"].append({"created_by": "test"})
    config["config"] |= kind.config
    document = {
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": put(target, config_type, json.dumps(config).encode()),
        "layers": layers,
    }
    target.put_manifest(json.dumps(document).encode(), manifest_type, ["v1"])


def put(target: Repository, media_type: str, data: bytes) -> dict[str, Any]:
    """Stores a blob; returns its descriptor."""
    blob = Descriptor(media_type, sha256(data), len(data))
    target.put_blob(blob, lambda: io.BytesIO(data))
    return {"mediaType": media_type, "digest": blob.digest, "size": blob.size}


@pytest.mark.parametrize("name", KINDS)
def test_what_a_job_sees(
    name: str, demo_project: Any, open_registry: RegistryServer, docker_engine: Any, tmp_path: Path,
    python_base: PythonBase,
) -> None:  # fmt: skip
    """The base's Python, the lock's packages and nothing older, our files alone in a folder that can be written."""
    kind = KINDS[name]
    repository = f"bases/k{list(KINDS).index(name)}"
    store(Repository(Reference(open_registry.host, repository)), kind)
    base = resolve_base(f"{open_registry.host}/{repository}:v1", cache=tmp_path / "bases", python=python_base.python)
    demo_project.write("train.py", SCRIPT)
    demo_project.write("sub/data.txt", "1")
    target = Repository(Reference(open_registry.host, f"{repository}/job"))
    image = demo_project.build(upload_to=target, base=base)
    push(image, demo_project.store, target, tags=["v1"], base=base)
    reference = target.reference(image.digest)
    docker_engine.images.pull(reference)
    seen = json.loads(docker_engine.containers.run(reference, remove=True, stderr=True))

    assert seen == {
        "python": [3, 11], "cwd": "/app", "user": kind.user, "versions": ["1.0"] * 3, "values": [2, 1, 3],
        "files": ["model.txt", "sub", "train.py"], "from base": kind.from_base, "prefix": "/opt/vertex-training/venv",
    }  # fmt: skip
    config = docker_engine.api.inspect_image(reference)["Config"]
    assert set(config.get("Volumes") or {}) <= {"/data"}
    assert not config.get("Healthcheck")
    assert not config.get("OnBuild")
