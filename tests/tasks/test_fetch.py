"""Cloning a repository whose author is hostile: nothing of it runs, and nothing is written outside of the clone."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect_vertex_training.core.errors import DependencyError, ProjectError
from prefect_vertex_training.project.dependencies import local_sources
from prefect_vertex_training.project.dependencies.formats.requirements_txt import Line
from prefect_vertex_training.project.source import check_source
from prefect_vertex_training.tasks.fetch import pull

GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]


def git(folder: Path, *words: str, stdin: str = "") -> str:
    """What plain git printed."""
    command = [*GIT, "-C", str(folder), *words]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "train.py").write_text("print(1)\n")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "one")
    return folder


def _submodule(folder: Path, name: str, path: str, url: str, more: str = "") -> None:
    """A commit with a submodule, as its author may have written it by hand."""
    (folder / ".gitmodules").write_text(f'[submodule "{name}"]\n\tpath = {path}\n\turl = {url}\n{more}')
    head = git(folder, "rev-parse", "HEAD")
    git(folder, "add", ".gitmodules")
    git(folder, "update-index", "--add", "--cacheinfo", f"160000,{head},{path}")
    git(folder, "commit", "--quiet", "--message", "submodule")


def _update_by_a_program(folder: Path, run: str) -> None:
    _submodule(folder, "inner", "inner", "./.git", f"\tupdate = !{run}\n")


def _transport_by_a_program(folder: Path, run: str) -> None:
    _submodule(folder, "inner", "inner", f"ext::sh -c {run}")


def _address_that_is_an_option(folder: Path, run: str) -> None:
    _submodule(folder, "inner", "inner", f"--upload-pack={run}")


def _address_with_an_option_of_ssh(folder: Path, run: str) -> None:
    _submodule(folder, "inner", "inner", f"ssh://-oProxyCommand={run}/x")


def _name_outside(folder: Path, run: str) -> None:
    """Its repository would be made among the files of the project: CVE-2018-11235."""
    (folder / "evil/hooks").mkdir(parents=True)
    (folder / "evil/hooks/post-checkout").write_text(f"#!/bin/sh\n{run}\n")
    (folder / "evil/hooks/post-checkout").chmod(0o755)
    (folder / "evil/HEAD").write_text("ref: refs/heads/main\n")
    git(folder, "add", "evil")
    _submodule(folder, "../../evil", "inner", "./.git")


def _path_by_a_link(folder: Path, run: str) -> None:
    """The submodule would be checked out in `.git`: CVE-2024-32002."""
    _submodule(folder, "inner", "A/modules/x", "./.git")
    blob = git(folder, "hash-object", "-w", "--stdin", stdin=".git")
    git(folder, "update-index", "--add", "--cacheinfo", f"120000,{blob},a")
    git(folder, "commit", "--quiet", "--message", f"link {len(run)}")


def _files_of_this_machine(folder: Path, run: str) -> None:
    """A folder of this machine as a submodule would be copied into the image: CVE-2022-39253."""
    private = folder.parent / "private"
    private.mkdir()
    git(private, "init", "--quiet")
    (private / "secret.txt").write_text("secret")
    git(private, "add", "--all")
    git(private, "commit", "--quiet", "--message", "one")
    _submodule(folder, "inner", "inner", private.as_uri())
    git(folder, "update-index", "--cacheinfo", f"160000,{git(private, 'rev-parse', 'HEAD')},inner")
    git(folder, "commit", "--quiet", "--message", "two")


def _file_in_the_git_folder(folder: Path, run: str) -> None:
    """A tree with the entry `.git`, as only a program of one's own makes it."""
    hook = git(folder, "hash-object", "-w", "--stdin", stdin=f"#!/bin/sh\n{run}\n")
    hooks = git(folder, "mktree", stdin=f"100755 blob {hook}\tpost-checkout\n")
    tree = git(folder, "mktree", stdin=f"040000 tree {hooks}\thooks\n")
    top = git(folder, "mktree", stdin=f"040000 tree {tree}\t.git\n")
    git(folder, "update-ref", "HEAD", git(folder, "commit-tree", top, "-m", "two"))


def _file_below_a_link(folder: Path, run: str) -> None:
    """A link and a folder of one name, which on disk would be one: what is in the folder would be written outside."""
    outside = git(folder, "hash-object", "-w", "--stdin", stdin=str(folder.parent / "outside"))
    file = git(folder, "hash-object", "-w", "--stdin", stdin=run)
    inner = git(folder, "mktree", stdin=f"100644 blob {file}\tstarted\n")
    top = git(folder, "mktree", stdin=f"120000 blob {outside}\td\n040000 tree {inner}\td\n")
    git(folder, "update-ref", "HEAD", git(folder, "commit-tree", top, "-m", "two"))
    (folder.parent / "outside").mkdir()


def _filter_without_a_definition(folder: Path, run: str) -> None:
    """Attributes name filters; the commands behind them are no part of a clone."""
    (folder / ".gitattributes").write_text("*.py filter=evil diff=evil merge=evil\n")
    (folder / ".gitconfig").write_text(f'[filter "evil"]\n\tsmudge = "{run}"\n')
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "two")


def _hooks_among_the_files(folder: Path, run: str) -> None:
    for place in ("hooks", ".githooks", ".husky"):
        (folder / place).mkdir()
        (folder / place / "post-checkout").write_text(f"#!/bin/sh\n{run}\n")
        (folder / place / "post-checkout").chmod(0o755)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "two")


def _programs_of_the_cloned_folder(folder: Path, run: str) -> None:
    """A folder of this machine is served by git itself, which reads the folder's own configuration."""
    hooks = folder / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-upload-pack", "pre-auto-gc", "reference-transaction", "post-checkout"):
        (hooks / name).write_text(f"#!/bin/sh\n{run}\n")
        (hooks / name).chmod(0o755)
    with (folder / ".git/config").open("a") as file:
        file.write(
            f"[uploadpack]\n\tpackObjectsHook = {run}\n[core]\n\tfsmonitor = {run}\n\talternateRefsCommand = {run}\n"
            f'[remote "o"]\n\turl = .\n\tpromisor = true\n\tuploadpack = {run}\n[extensions]\n\tpartialClone = o\n'
            f"[protocol]\n\tallow = always\n[gc]\n\tauto = 1\n"
        )


def _missing_objects_of_the_cloned_folder(folder: Path, run: str) -> None:
    """A partial clone fetches what it lacks by a program of its configuration: CVE-2024-32004."""
    blob = git(folder, "rev-parse", "HEAD:train.py")
    (folder / ".git/objects" / blob[:2] / blob[2:]).unlink()
    _programs_of_the_cloned_folder(folder, run)


ATTACKS = [
    _update_by_a_program,
    _transport_by_a_program,
    _address_that_is_an_option,
    _address_with_an_option_of_ssh,
    _name_outside,
    _path_by_a_link,
    _files_of_this_machine,
    _file_in_the_git_folder,
    _file_below_a_link,
    _filter_without_a_definition,
    _hooks_among_the_files,
    _programs_of_the_cloned_folder,
    _missing_objects_of_the_cloned_folder,
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_repository_is_cloned_or_refused(
    repository: Path, tmp_path: Path, attack: Callable[[Path, str], None]
) -> None:
    """No program starts, and no file of this machine gets into the clone; a refusal is an error of this package."""
    mark, program = tmp_path / "started", tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(0o755)
    attack(repository, str(program))
    clone = tmp_path / "clones/project"

    with contextlib.suppress(ProjectError):
        pull(repository.as_uri(), "", None, clone)
    assert not mark.exists()
    assert not (tmp_path / "outside/started").exists()
    assert not list(clone.rglob("secret.txt"))
    assert [path.name for path in (tmp_path / "clones").iterdir()] == ["project"]
    assert not [path for path in (clone / ".git/hooks").glob("*") if os.access(path, os.X_OK)]


@pytest.mark.parametrize("ref", ["--upload-pack=touch started", "-u touch started", "--exec=touch"])
def test_a_branch_that_is_an_option_is_refused(ref: str) -> None:
    """Git would start the program that it names; a project's branch is refused like that of a dependency."""
    with pytest.raises(ProjectError, match="not a branch, tag or commit"):
        check_source("https://example.com/a/b", ref, "")
    line = Line("requirements.txt", 1, f"pkg @ git+ssh://git@example.com/a/b@{ref}")
    source = local_sources.parse(line, Path("/"))
    assert source
    with pytest.raises(DependencyError, match="is not a branch, tag or commit"):
        source.build()


@pytest.mark.parametrize(
    "address",
    [
        "git+https://example.com/a/b#subdirectory=../../..",
        "git+https://example.com/a/b@main#subdirectory=/etc",
        "https://example.com/a/b.tar.gz#subdirectory=../..",
        "git+--upload-pack=touch",
    ],
)
def test_a_dependency_outside_of_its_repository_is_refused(address: str) -> None:
    """Its folder would be built, and so run, from elsewhere on this machine."""
    source = local_sources.parse(Line("requirements.txt", 1, f"pkg @ {address}"), Path("/"))
    assert source
    with pytest.raises(DependencyError, match=r"is not a folder in the repository|is not the address of a repository"):
        source.build()


@pytest.mark.parametrize(
    "address", ["ssh://-oProxyCommand=touch/x", "file://--upload-pack=touch", "git://-x/y", "https://-x/y"]
)
def test_an_address_that_is_an_option_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """Git refuses hosts that begin with a dash, and so does the run."""
    monkeypatch.setenv("GIT_SSH_COMMAND", f"touch {tmp_path}/started;")
    with pytest.raises(ProjectError, match="can't be cloned"):
        pull(address, "", None, tmp_path / "clone")
    assert not (tmp_path / "started").exists()
