"""A project in a git repository: what is fetched, what a retry gets, and what a wrong address answers."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from fixtures.projects.git_server import TOKEN, GitServer, git_server
from prefect import flow
from prefect.blocks.system import Secret
from prefect_vertex_training.core.errors import ProjectError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.checkout import project_folder
from prefect_vertex_training.flows.step_runner import Steps
from prefect_vertex_training.flows.train import train

__all__ = ["git_server"]
pytestmark = pytest.mark.prefect


def git(folder: Path, *words: str) -> str:
    """What git printed."""
    name = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *name, "-C", str(folder), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder: Path, file: str, text: str) -> str:
    """The commit that holds the file, and what was there before."""
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", f"change {file}")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one file on its branch `main`."""
    folder = tmp_path / "models"
    folder.mkdir()
    git(folder, "init", "--quiet")
    commit(folder, "digits/train.py", "print('one')\n")
    return folder


@flow(name="read")
def read(address: str, ref: str = "", subfolder: str = "", token: Secret[str] | None = None) -> str:
    """The training script as a run would get it."""
    with project_folder(address, ref, subfolder, token, home=Home.default(), steps=Steps()) as folder:
        return (folder / "train.py").read_text()


def test_a_run_trains_what_is_on_the_branch_when_it_starts(home: Home, repository: Path) -> None:
    """The next run takes the next commit; a branch, a tag and a commit id are found by name."""
    address = repository.as_uri()
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "tag", "v1")

    assert read(address, subfolder="digits") == "print('one')\n"
    commit(repository, "digits/train.py", "print('two')\n")
    assert read(address, subfolder="digits") == "print('two')\n"
    assert read(address, ref="main", subfolder="digits") == "print('two')\n"
    assert read(address, ref="v1", subfolder="digits") == "print('one')\n"
    assert read(address, ref=first, subfolder="digits") == "print('one')\n"
    assert list((home.cache / "sources").iterdir()) == []


def test_a_retry_trains_the_commit_of_the_first_attempt(home: Home, repository: Path) -> None:
    """Though the branch has moved, and the clone is on another machine."""
    said: list[str] = []

    @flow(name="twice")
    def twice() -> None:
        for other in ("one", "two"):
            steps = Steps()
            with project_folder(
                repository.as_uri(), "", "digits", None, home=Home(home.root / other), steps=steps
            ) as folder:
                said.append(f"{steps.reports[0].state} {(folder / 'train.py').read_text()}")
            commit(repository, "digits/train.py", f"print('after {other}')\n")

    twice()

    assert said == ["Completed print('one')\n", "Cached print('one')\n"]


def test_submodules_come_with_it(home: Home, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project may keep its script in one."""
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "file")
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "--quiet")
    git(outer, "submodule", "--quiet", "add", repository.as_uri(), "inner")
    commit(outer, "README", "")

    assert read(outer.as_uri(), subfolder="inner/digits") == "print('one')\n"


def test_a_private_repository_opens_with_its_token(
    home: Home, repository: Path, git_server: GitServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Over HTTPS, from a Secret block; the token is in no log line and in no message."""
    caplog.set_level(logging.DEBUG)
    shutil.copytree(repository / ".git", git_server.root / "models.git")
    address = f"{git_server.address}/models.git"

    assert read(address, subfolder="digits", token=Secret(value=TOKEN)) == "print('one')\n"
    with pytest.raises(ProjectError, match="git token") as refused:
        read(address, subfolder="digits", token=Secret(value="another-secret"))
    with pytest.raises(ProjectError, match=r"can't be cloned at gone.*Check the address, the ref"):
        read(address, ref="gone", token=Secret(value=TOKEN))
    assert "another-secret" not in str(refused.value) + caplog.text
    assert TOKEN not in caplog.text


def test_the_token_is_no_argument_and_not_in_the_clone(
    home: Home, repository: Path, git_server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every git command is recorded with its arguments; while the project's code runs, no file of the clone has it."""
    real, shim, record = shutil.which("git"), tmp_path / "bin", tmp_path / "arguments"
    shim.mkdir()
    (shim / "git").write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {record}\nexec {real} "$@"\n')
    (shim / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim}:{os.environ['PATH']}")
    shutil.copytree(repository / ".git", git_server.root / "models.git")
    seen: list[str] = []

    @flow(name="look")
    def look() -> None:
        address = f"{git_server.address}/models.git"
        with project_folder(address, "", "digits", Secret(value=TOKEN), home=home, steps=Steps()) as folder:
            found = [path.read_bytes() for path in folder.parent.rglob("*") if path.is_file()]
            seen.append("token" if any(TOKEN.encode() in data for data in found) else "none")

    look()

    assert seen == ["none"]
    assert "fetch" in record.read_text()
    assert TOKEN not in record.read_text()
    assert TOKEN not in "".join(os.environ.values())


@pytest.mark.parametrize(
    ("address", "words", "said"),
    [
        ("file:///nowhere/at/all", {}, r"can't be cloned: .*\(file:///nowhere/at/all\)\. Check the address"),
        ("{}", {"ref": "gone"}, "can't be cloned at gone"),
        ("{}", {"ref": "0" * 40}, f"can't be cloned at {'0' * 40}"),
        ("{}", {"ref": "--upload-pack=touch"}, "not a branch, tag or commit"),
        (
            "{}",
            {"subfolder": "nope"},
            r"no such folder in the repository \(.* nope\)\. .*looked at commit [0-9a-f]{12}",
        ),
        ("{}", {"subfolder": "../other"}, "not a folder inside the project"),
        ("/a/folder", {"ref": "main"}, "only a git repository has a branch"),
        ("s3://bucket/x", {}, "s3:// is not the URL of a git repository"),
        (
            "https://me:secret@127.0.0.1/x",
            {},
            r"the URL holds a user name, password or token.*\(https://127.0.0.1/x\).*Secret block",
        ),
        ("http://127.0.0.1:1/x", {"token": "t"}, "a token is only sent over https"),
        ("git@127.0.0.1:team/x", {"token": "t"}, "a token is only sent over https"),
    ],
)
def test_what_cannot_be_fetched_is_named(
    home: Home, repository: Path, address: str, words: dict[str, str], said: str
) -> None:
    """One line, with what to do; none of these is worth trying again."""
    options = {**words, "token": Secret(value=words["token"])} if "token" in words else words
    with pytest.raises(ProjectError, match=said) as caught:
        read(address.format(repository.as_uri()), **options)  # pyright: ignore[reportArgumentType]

    assert "\n" not in str(caught.value)
    assert "secret@" not in str(caught.value)
    assert not caught.value.transient


def test_a_host_that_is_out_of_reach_is_worth_another_try(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unlike a wrong name."""
    from prefect_vertex_training.tasks.fetch import pull

    with pytest.raises(ProjectError, match="can't be cloned") as caught:
        pull("http://127.0.0.1:1/x", "", None, home.cache / "sources" / "x")

    assert caught.value.transient


def test_the_train_flow_from_a_repository(home: Home, project: Path, repository: Path) -> None:
    """The image is named after the subfolder and labelled with the commit."""
    shutil.copytree(project, repository / "tiny")
    head = commit(repository, "tiny/more.txt", "")

    result = train(repository.as_uri(), ref="main", subfolder="tiny", args=["--epochs", "2"])

    assert [step.name for step in result.steps][:3] == ["fetch", "verify", "freeze"]
    assert (Path(result.model) / "model.json").read_text() == '{"epochs": 2}'
    manifest = subprocess.run(
        ["grep", "-rlF", head, str(home.images / "blobs")], capture_output=True, text=True, check=False
    )
    assert manifest.stdout
