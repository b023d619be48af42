"""Git as this package runs it: what a repository's own configuration names is never started, and tokens stay hidden."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect_vertex_training.core.security import safe_git
from prefect_vertex_training.project.git import is_changed, refusal, revision

GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]


def git(folder: Path, *words: str) -> str:
    """What plain git printed, without any of the protections."""
    return subprocess.run([*GIT, "-C", str(folder), *words], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit, and a file that differs from it in its time alone, so that git reads it again."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "train.py").write_text("print(1)\n")
    (folder / ".gitattributes").write_text("*.py filter=evil\n*.txt filter=a=b diff=evil\n")
    (folder / "a.txt").write_text("a\n")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "one")
    for name in ("train.py", "a.txt"):
        os.utime(folder / name, (1, 1))
    return folder


def _config(folder: Path, text: str) -> None:
    with (folder / ".git/config").open("a") as file:
        file.write(text)


def _monitor(folder: Path, run: str) -> None:
    _config(folder, f'[core]\n\tfsmonitor = "{run}"\n')


def _clean_filter(folder: Path, run: str) -> None:
    _config(folder, f'[filter "evil"]\n\tclean = "{run}"\n\trequired = true\n')


def _process_filter(folder: Path, run: str) -> None:
    _config(folder, f'[filter "evil"]\n\tprocess = "{run}"\n\trequired = true\n')


def _filter_with_equals_sign(folder: Path, run: str) -> None:
    """`git -c filter.a=b.clean=` would set another key."""
    _config(folder, f'[filter "a=b"]\n\tclean = "{run}"\n')


def _included_filter(folder: Path, run: str) -> None:
    (folder / "more.config").write_text(f'[filter "evil"]\n\tclean = "{run}"\n')
    _config(folder, "[include]\n\tpath = ../more.config\n")


def _filter_of_a_work_tree(folder: Path, run: str) -> None:
    _config(folder, "[extensions]\n\tworktreeConfig = true\n")
    (folder / ".git/config.worktree").write_text(f'[filter "evil"]\n\tclean = "{run}"\n')


def _filter_by_condition(folder: Path, run: str) -> None:
    (folder / "more.config").write_text(f'[filter "evil"]\n\tclean = "{run}"\n')
    _config(folder, '[includeIf "onbranch:**"]\n\tpath = ../more.config\n')


def _filter_for_files_of_another_list(folder: Path, run: str) -> None:
    """The attributes are outside of the work tree's own lists."""
    (folder / ".gitattributes").unlink()
    (folder / "more.attributes").write_text("*.py filter=evil\n")
    _config(folder, f'[core]\n\tattributesFile = {folder}/more.attributes\n[filter "evil"]\n\tclean = "{run}"\n')


def _filter_for_files_of_the_repository_s_list(folder: Path, run: str) -> None:
    (folder / ".git/info").mkdir(exist_ok=True)
    (folder / ".git/info/attributes").write_text("*.py filter=other\n")
    _config(folder, f'[filter "other"]\n\tclean = "{run}"\n')


def _monitor_of_a_work_tree(folder: Path, run: str) -> None:
    _config(folder, "[extensions]\n\tworktreeConfig = true\n")
    (folder / ".git/config.worktree").write_text(f'[core]\n\tfsmonitor = "{run}"\n')


def _included_monitor(folder: Path, run: str) -> None:
    (folder / "more.config").write_text(f'[core]\n\tfsmonitor = "{run}"\n')
    _config(folder, f'[includeIf "gitdir:{folder}/**"]\n\tpath = {folder}/more.config\n')


def _monitor_of_another_common_folder(folder: Path, run: str) -> None:
    """As a work tree made by `git worktree add` has it: the configuration comes from `commondir`."""
    (folder / ".git").rename(folder / "common")
    (folder / "tree").mkdir()
    for name in ("HEAD", "index"):
        (folder / "common" / name).rename(folder / "tree" / name)
    (folder / "common/HEAD").write_text("ref: refs/heads/main\n")
    (folder / "tree/commondir").write_text("../common\n")
    (folder / "tree/gitdir").write_text(f"{folder}/.git\n")
    (folder / ".git").write_text("gitdir: tree\n")
    with (folder / "common/config").open("a") as file:
        file.write(f'[core]\n\tfsmonitor = "{run}"\n')


def _link_that_leads_into_the_project(folder: Path, run: str) -> None:
    (folder / ".git").rename(folder / "data")
    (folder / ".git").symlink_to("data")
    _config(folder, f'[core]\n\tfsmonitor = "{run}"\n')


def _work_tree_elsewhere(folder: Path, run: str) -> None:
    _config(folder, f'[core]\n\tworktree = {folder}\n\tfsmonitor = "{run}"\n')


def _hook_in_its_own_folder(folder: Path, run: str) -> None:
    (folder / ".git/hooks").mkdir(exist_ok=True)
    (folder / ".git/hooks/post-index-change").write_text(f"#!/bin/sh\n{run}\n")
    (folder / ".git/hooks/post-index-change").chmod(0o755)


def _monitor_of_a_submodule(folder: Path, run: str) -> None:
    """Git looks into a submodule by that one's own configuration."""
    inner = folder / "inner"
    inner.mkdir()
    git(inner, "init", "--quiet")
    git(inner, "commit", "--quiet", "--allow-empty", "--message", "one")
    subprocess.run([*GIT, "-C", str(folder), "add", "inner"], capture_output=True, check=True)
    _config(inner, f'[core]\n\tfsmonitor = "{run}"\n')


def _hook(folder: Path, run: str) -> None:
    """`post-index-change` runs when status writes a refreshed index."""
    hooks = folder / "hooks"
    hooks.mkdir()
    (hooks / "post-index-change").write_text(f"#!/bin/sh\n{run}\n")
    (hooks / "post-index-change").chmod(0o755)
    _config(folder, "[core]\n\thooksPath = hooks\n")


def _git_file_that_leads_into_the_project(folder: Path, run: str) -> None:
    (folder / ".git").rename(folder / "data")
    (folder / ".git").write_text("gitdir: data\n")
    with (folder / "data/config").open("a") as file:
        file.write(f'[core]\n\tfsmonitor = "{run}"\n')


ATTACKS = [
    _monitor,
    _clean_filter,
    _process_filter,
    _filter_with_equals_sign,
    _included_filter,
    _filter_of_a_work_tree,
    _hook,
    _git_file_that_leads_into_the_project,
    _filter_by_condition,
    _filter_for_files_of_another_list,
    _filter_for_files_of_the_repository_s_list,
    _monitor_of_a_work_tree,
    _included_monitor,
    _monitor_of_another_common_folder,
    _link_that_leads_into_the_project,
    _work_tree_elsewhere,
    _hook_in_its_own_folder,
    _monitor_of_a_submodule,
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_of_the_repository_s_configuration_is_started(
    repository: Path, tmp_path: Path, attack: Callable[[Path, str], None]
) -> None:
    """Plain `git status` starts each of these programs; reading the commit and the changes doesn't."""
    mark = tmp_path / "started"
    attack(repository, f"touch {mark}; cat")

    assert len(revision(repository)) == 40
    is_changed(repository)
    safe_git.read(repository, "ls-files", "--stage")
    assert not mark.exists()
    subprocess.run([*GIT, "-C", str(repository), "status"], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    assert mark.exists()


@pytest.mark.parametrize(
    ("setting", "plain"),
    [
        ('[diff]\n\texternal = "RUN"\n', ("diff", "HEAD", "--", "changed.txt")),
        ('[core]\n\tsshCommand = "RUN_FILE"\n', ("ls-remote", "ssh://127.0.0.1:1/x")),
        ('[core]\n\tgitProxy = "RUN_FILE"\n', ("ls-remote", "git://127.0.0.1:1/x")),
        ('[url "ext::sh -c RUN_FILE "]\n\tinsteadOf = https://\n', ("ls-remote", "https://127.0.0.1:1/x")),
        ('[remote "o"]\n\turl = .\n\tuploadpack = "RUN;git-upload-pack"\n', ("fetch", "o")),
        ("[gpg]\n\tprogram = RUN_FILE\n[log]\n\tshowSignature = true\n", ("log",)),
        ("[core]\n\taskPass = RUN_FILE\n", ("credential", "fill")),
        ('[credential]\n\thelper = "!RUN"\n', ("credential", "fill")),
        ("[core]\n\tpager = RUN_FILE\n", ("log",)),
        ("[pager]\n\tdiff = RUN_FILE\n", ("diff", "HEAD")),
        ('[diff "evil"]\n\ttextconv = RUN_FILE\n', ("diff", "HEAD", "--", "changed.txt")),
        ('[diff "evil"]\n\ttextconv = RUN_FILE\n', ("show", "HEAD:changed.txt", "--textconv")),
        ('[diff "evil"]\n\ttextconv = RUN_FILE\n', ("log", "--patch")),
        ('[diff "evil"]\n\tcommand = RUN_FILE\n', ("diff", "HEAD", "--", "changed.txt")),
        ('[remote "o"]\n\turl = x\n\tvcs = evil\n', ("fetch", "o")),
        ('[remote "o"]\n\turl = evil::x\n[protocol "evil"]\n\tallow = always\n', ("ls-remote", "o")),
        ("[core]\n\teditor = RUN_FILE\n", ("commit", "--amend")),
        ("[sequence]\n\teditor = RUN_FILE\n", ("rebase", "--interactive", "--autostash", "HEAD~1")),
        ('[trailer "x"]\n\tcommand = RUN\n', ("interpret-trailers", "--trailer", "x=1")),
        ('[tar "evil"]\n\tcommand = RUN_FILE\n', ("archive", "--format=evil", "HEAD")),
        ('[alias]\n\tgo = "!RUN"\n', ("go",)),
    ],
)
def test_programs_for_other_commands_are_not_started_either(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, plain: tuple[str, ...]
) -> None:
    """What only other commands than ours start: with the protections those don't start it, and without them they do."""
    mark, program = tmp_path / "started", tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(0o755)
    (tmp_path / "git-remote-evil").symlink_to(program)
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{tmp_path}")
    (repository / "changed.txt").write_text("1\n")
    git(repository, "add", "changed.txt")
    _signed_commit(repository)
    words = setting.replace("RUN_FILE", str(program)).replace("RUN", f"touch {mark}")
    _config(repository, f'[protocol "ext"]\n\tallow = always\n{words}')

    revision(repository)
    is_changed(repository)
    safe_git.read(repository, "ls-files", "--stage")
    if plain[0] not in _OTHER_COMMANDS:
        safe_git.read(repository, *(word for word in plain if word != "--textconv"))
    assert not mark.exists()
    _at_a_terminal(repository, *plain)
    assert mark.exists()


_OTHER_COMMANDS = {"credential", "go", "commit", "rebase", "interpret-trailers", "archive"}
"""Commands that start programs by their nature, or write: this package has no use for them."""


def _at_a_terminal(folder: Path, *words: str) -> None:
    """Runs plain git as a person does: a pager is started at a terminal alone."""
    chosen_by_variables = ("ASKPASS", "PAGER", "EDITOR")
    ours, terminal = pty.openpty()
    try:
        subprocess.run(
            [*GIT, "-C", str(folder), *words],
            input="protocol=https\nhost=127.0.0.1\n\n",
            env={name: value for name, value in os.environ.items() if not name.endswith(chosen_by_variables)}
            | {"GIT_TERMINAL_PROMPT": "0", "TERM": "xterm"},
            stdout=terminal,
            stderr=subprocess.DEVNULL,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        os.close(ours)
        os.close(terminal)


def _signed_commit(folder: Path) -> None:
    """The last commit has a signature, which isn't valid."""
    head = git(folder, "rev-parse", "HEAD").strip()
    tree, who = git(folder, "write-tree").strip(), "t <t@example.com> 1700000000 +0000"
    text = (
        f"tree {tree}\nparent {head}\nauthor {who}\ncommitter {who}\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n iQ==\n"
    )
    text += " -----END PGP SIGNATURE-----\n\ntwo\n"
    made = subprocess.run(
        [*GIT, "-C", str(folder), "hash-object", "-t", "commit", "-w", "--stdin"],
        input=text, capture_output=True, text=True, check=True,
    )  # fmt: skip
    git(folder, "update-ref", "HEAD", made.stdout.strip())
    git(folder, "reset", "--quiet")
    (folder / "changed.txt").write_text("2\n")


def test_a_folder_that_looks_like_a_bare_repository_is_none(tmp_path: Path) -> None:
    """Plain git would read its configuration: https://github.com/git/git/blob/master/Documentation/config/safe.txt."""
    bare = tmp_path / "project"
    git(tmp_path, "init", "--quiet", "--bare", str(bare))
    mark = tmp_path / "started"
    with (bare / "config").open("a") as file:
        file.write(f'[core]\n\tbare = false\n\tworktree = {tmp_path}\n\tfsmonitor = "touch {mark}"\n')

    assert revision(bare) == ""
    assert not is_changed(bare)
    assert not mark.exists()
    git(bare, "status")
    assert mark.exists()


def test_a_partial_clone_fetches_nothing(repository: Path, tmp_path: Path) -> None:
    """Its configuration names the program by which missing files come."""
    mark = tmp_path / "started"
    blob = git(repository, "rev-parse", "HEAD:train.py").strip()
    (repository / ".git/objects" / blob[:2] / blob[2:]).unlink()
    _config(
        repository,
        '[core]\n\trepositoryformatversion = 1\n[extensions]\n\tpartialClone = origin\n[remote "origin"]\n'
        f'\turl = {repository}\n\tpromisor = true\n\tuploadpack = "touch {mark};git-upload-pack"\n',
    )

    assert safe_git.read(repository, "show", "HEAD:train.py").returncode != 0
    assert not mark.exists()
    subprocess.run([*GIT, "-C", str(repository), "show", "HEAD:train.py"], capture_output=True, check=False)
    assert mark.exists()


def test_objects_of_another_folder_start_no_program(repository: Path, tmp_path: Path) -> None:
    """A repository may keep its objects elsewhere, and name a program that lists what is there."""
    mark, program = tmp_path / "started", tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(0o755)
    borrowed = tmp_path / "borrowed"
    git(tmp_path, "clone", "--quiet", str(repository), str(borrowed))
    git(borrowed, "commit", "--quiet", "--allow-empty", "--message", "two")
    git(tmp_path, "clone", "--quiet", "--bare", str(repository), str(tmp_path / "objects.git"))
    shutil.rmtree(repository / ".git/objects")
    (repository / ".git/objects/info").mkdir(parents=True)
    (repository / ".git/objects/info/alternates").write_text(f"{tmp_path}/objects.git/objects\n")
    _config(repository, f"[core]\n\talternateRefsCommand = {program}\n")

    assert len(revision(repository)) == 40
    assert not is_changed(repository)
    safe_git.read(repository, "fetch", str(borrowed))
    assert not mark.exists()
    git(repository, "fetch", "--quiet", str(borrowed))
    assert mark.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's repository")
def test_a_repository_cannot_trust_itself(repository: Path, tmp_path: Path) -> None:
    """`safe.directory` in the configuration of another user's repository doesn't count, and nothing of it is read."""
    mark = tmp_path / "started"
    _monitor(repository, f"touch {mark}; cat")
    _config(repository, "[safe]\n\tdirectory = *\n\tbareRepository = all\n")
    for path in (repository, repository / ".git"):
        os.chown(path, 12345, 12345)

    assert revision(repository) == ""
    assert not is_changed(repository)
    assert "dubious ownership" in refusal(repository)
    assert not mark.exists()


def test_filters_of_the_user_still_count(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as Git LFS, without which every large file would look changed; a repository can't replace it."""
    mark = tmp_path / "started"
    (tmp_path / "gitconfig").write_text('[filter "evil"]\n\tclean = cat\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    _clean_filter(repository, f"touch {mark}; tr 1 2")

    assert not is_changed(repository)
    assert not mark.exists()
    (tmp_path / "gitconfig").write_text('[filter "evil"]\n\tclean = tr 1 2\n')
    assert is_changed(repository)


@pytest.mark.parametrize(
    "name", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE"]
)
def test_variables_of_another_repository_do_not_count(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A run that is started from a git hook has them."""
    monkeypatch.setenv(name, str(tmp_path / "other"))

    assert len(revision(repository)) == 40
    assert safe_git.read(repository, "status", "--porcelain").stdout == ""


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://user:tok%40en@host/x.git", ("https://host/x.git", "user:tok@en")),
        ("https://host/@scope/x.git", ("https://host/@scope/x.git", "")),
        ("https://me@host/x.git", ("https://me@host/x.git", "")),
        ("https://ghp_0123456789abcdefghij@host/x", ("https://host/x", "ghp_0123456789abcdefghij")),
        ("ssh://git@host/x", ("ssh://git@host/x", "")),
    ],
)
def test_user_info_is_taken_out_of_an_address(address: str, expected: tuple[str, str]) -> None:
    """A token would show in the list of processes; a name alone is for git's own helpers."""
    assert safe_git.without_user_info(address) == expected
