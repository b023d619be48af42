"""Installed packages as they are read for the frozen versions: as importlib.metadata reads them, only faster."""

from __future__ import annotations

import sysconfig
from importlib.metadata import distributions
from pathlib import Path

from packaging.utils import canonicalize_name
from prefect_vertex_training.project.dependencies.verified import closure, installed_packages

SITE = Path(sysconfig.get_path("purelib"))


def test_names_versions_and_requirements_are_those_of_the_standard_library() -> None:
    """For every package of this environment."""
    known = {canonicalize_name(it.name): it for it in distributions(path=[str(SITE)]) if it.metadata["Name"]}
    found = installed_packages([SITE])

    assert found.keys() == known.keys()
    assert {name: it.version for name, it in found.items()} == {name: it.version for name, it in known.items()}
    assert {name: it.requires for name, it in found.items()} == {name: it.requires for name, it in known.items()}


def test_broken_and_old_installations(tmp_path: Path) -> None:
    """A folder without METADATA is no package; an egg's has its own name; the first place counts; extras count."""
    first, second = tmp_path / "first", tmp_path / "second"
    for place, version in ((first, "2.0"), (second, "1.0")):
        info = place / f"Some_Name-{version}.dist-info"
        info.mkdir(parents=True)
        fields = f"Name: Some.Name\nVersion: {version}\nRequires-Dist: old[x] >=1; extra == 'all'\nRequires-Dist: ???\n"
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\n{fields}\nRequires-Dist: in-the-description\n")
    (first / "gone-1.0.dist-info").mkdir()
    (second / "whatever.egg-info").mkdir()
    (second / "whatever.egg-info" / "PKG-INFO").write_text("Metadata-Version: 1.1\nName: old\nVersion: 0.1\n")
    found = installed_packages([first, second, tmp_path / "missing"])

    assert {name: it.version for name, it in found.items()} == {"some-name": "2.0", "old": "0.1"}
    assert closure(["Some.Name"], found) == {"some-name", "old"}
