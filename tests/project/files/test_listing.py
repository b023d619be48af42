import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from fixtures.suite.hypothesis_profile import examples
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from prefect_vertex_training.core.errors import ProjectError
from prefect_vertex_training.project.files.listing import list_files
from prefect_vertex_training.project.settings.settings import load


def paths(root: Path) -> list[str]:
    """The paths of the listed files."""
    return [file.path for file in list_files(root, load(root))]


def settings_of(text: str) -> dict[str, str]:
    """A pyproject.toml with these settings."""
    return {"pyproject.toml": f"[tool.vertex-training]\n{text}\n"}


def test_files_are_listed_by_path_with_size_and_mode(make_project):
    """The list is sorted by path, byte by byte; `executable` is the owner's permission."""
    root = make_project({"b.py": "12", "a/z.py": "", "a.py": "1"})
    (root / "b.py").chmod(0o700)

    listed = [(file.path, file.size, file.executable) for file in list_files(root, load(root))]

    assert listed == [("a.py", 1, False), ("a/z.py", 0, False), ("b.py", 2, True), ("train.py", 0, False)]


def test_default_rules_leave_out_what_no_image_needs(make_project):
    """Version control, environments, caches, editors' files and .env are left out without any setting."""
    root = make_project(
        {
            ".git/config": "",
            "env/pyvenv.cfg": "",
            "env/lib/x.py": "",
            "conda/conda-meta/history": "",
            "pkg/__pycache__/a.pyc": "",
            ".ipynb_checkpoints/x.ipynb": "",
            ".DS_Store": "",
            ".env": "TOKEN=1",
            ".gitignore": "",
            "node_modules/a.js": "",
            "demo.egg-info/PKG-INFO": "",
            "keep/.hidden": "",
        }
    )

    assert paths(root) == ["keep/.hidden", "train.py"]


def test_gitignore_files_count_at_every_level(make_project):
    """A nested .gitignore overrides the one above it, for its own folder."""
    root = make_project(
        {
            ".gitignore": "*.csv\n/data/\n",
            "a.csv": "",
            "data/x.txt": "",
            "sub/data/x.txt": "",
            "sub/.gitignore": "!keep.csv\n*.txt\n",
            "sub/keep.csv": "",
            "sub/drop.csv": "",
            "notes.txt": "",
        }
    )

    assert paths(root) == ["notes.txt", "sub/keep.csv", "train.py"]


def test_a_negation_below_an_ignored_folders_content_counts(make_project):
    """`a/**` ignores what is in a, and not a itself, so that a file in it can be excepted."""
    root = make_project({".gitignore": "a/**\n!a/keep.py\n", "a/keep.py": "", "a/drop.py": "", "a/sub/keep.py": ""})

    assert paths(root) == ["a/keep.py", "train.py"]


def test_the_users_own_ignore_file_does_not_count(make_project, tmp_path, monkeypatch):
    """Git also reads `core.excludesFile`; a project must give the same list on every machine."""
    (tmp_path / "config").write_text(f"[core]\nexcludesFile = {tmp_path}/ignore\n")
    (tmp_path / "ignore").write_text("*.csv\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))

    assert paths(make_project({"a.csv": ""})) == ["a.csv", "train.py"]


def test_lines_that_git_ignores_are_ignored(make_project):
    """Lines that are not a valid pattern change nothing, nor does a folder with the name .gitignore."""
    root = make_project({".gitignore": "!\n\\\n[\na\\\n*.log\n", "x.log": "", "sub/.gitignore/file": ""})

    assert paths(root) == ["train.py"]


def test_settings_decide_over_gitignore(make_project):
    """`exclude` removes what git keeps; `include` adds what git ignores, also below an ignored folder."""
    root = make_project(
        settings_of('exclude = ["*.md"]\ninclude = ["models/start/*.bin", "/.env.example"]')
        | {
            ".gitignore": "models/\n.env*\n",
            "README.md": "",
            "models/start/a.bin": "",
            "models/start/a.txt": "",
            "models/end/a.bin": "",
            ".env.example": "",
        }
    )

    assert paths(root) == [".env.example", "models/start/a.bin", "pyproject.toml", "train.py"]


NAMES = st.sampled_from(["a", "b", "a.log", "b.txt", "build", "x y", "[a]", "é"])
PATTERN = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "/", "**/"]),
    st.sampled_from(
        ["a", "b", "*.log", "a/b", "build", "a/*", "?", "[!a]", "[[:alpha:]]", "*", "a/**", "x\\ y", "**/b", "a*"]
    ),
    st.sampled_from(["", "/", "/**", "/**/", " "]),
)
PATTERNS = st.lists(PATTERN, max_size=5)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is what this compares with")
@hypothesis_settings(max_examples=examples(150))
@given(st.sets(st.lists(NAMES, min_size=1, max_size=3).map("/".join), max_size=10), PATTERNS, PATTERNS)
def test_ignored_is_what_git_ignores(tmp_path_factory, wanted, outer, inner):
    """For any tree and any .gitignore files the list is the same as that of `git ls-files`."""
    root = tmp_path_factory.mktemp("git")
    for path in sorted(wanted, key=len, reverse=True):
        target = root / path
        if not target.exists() and all(not parent.is_file() for parent in target.parents):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text("")
    (root / "train.py").write_text("")
    (root / ".gitignore").write_text("\n".join([*outer, "!/train.py"]))
    if (root / "a").is_dir():
        (root / "a" / ".gitignore").write_text("\n".join(inner))
    alone = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", "init", "-q", root], check=True, env=alone)
    command = ["git", "-C", root, "ls-files", "-z", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, env=alone).stdout.decode().split("\0")
    git = sorted(path for path in listed if path and not path.endswith(".gitignore"))

    assert git == [path for path in paths(root) if not path.endswith(".gitignore")]


def test_a_link_inside_becomes_what_it_points_at(make_project):
    """A linked file or folder is listed under the link's name, with the content of the target."""
    root = make_project({"real/a.py": "12", "real/.gitignore": "b.py", "real/b.py": ""})
    (root / "file.py").symlink_to("real/a.py")
    (root / "folder").symlink_to("real")

    listed = {file.path: file.source.read_text() for file in list_files(root, load(root))}

    assert listed == {"file.py": "12", "folder/a.py": "12", "real/a.py": "12", "train.py": ""}


def test_a_link_out_of_the_project_is_refused(make_project, tmp_path):
    """The error names the link and its target; an excluded link is not followed."""
    root = make_project()
    (tmp_path / "data").mkdir()
    (root / "data").symlink_to(tmp_path / "data")

    with pytest.raises(ProjectError, match=rf"the link data points outside the project, to {tmp_path}/data"):
        paths(root)

    (root / ".gitignore").write_text("data\n")
    assert paths(root) == ["train.py"]


def test_a_name_that_only_begins_like_the_project_is_outside(make_project, tmp_path):
    """A neighbour whose path begins with the project's path is not inside it."""
    root = make_project()
    (tmp_path / "demo-2").write_text("")
    (root / "x").symlink_to(tmp_path / "demo-2")

    with pytest.raises(ProjectError, match="outside the project"):
        paths(root)


@pytest.mark.parametrize("target", ["nowhere", "loop"])
def test_a_broken_link_is_refused(make_project, target):
    """The error names the link and its target, also for a link to itself."""
    root = make_project()
    (root / "loop").symlink_to(target)

    with pytest.raises(ProjectError, match=rf"the link loop points to {target}, which does not exist"):
        paths(root)


def test_circular_links_are_refused(make_project):
    """A link to a folder above it, directly or through another link, is an error and not an endless walk."""
    root = make_project({"a/x.py": "", "b/y.py": ""})
    (root / "a" / "b").symlink_to("../b")
    (root / "b" / "a").symlink_to("../a")

    with pytest.raises(ProjectError, match="leads back to a folder above it"):
        paths(root)


def test_a_name_that_is_not_utf8_is_shown_escaped(make_project):
    """The message can be printed everywhere: the invalid byte is escaped."""
    root = make_project()
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.csv")).write_text("")

    with pytest.raises(ProjectError) as caught:
        paths(root)

    assert "caf\\xe9.csv" in str(caught.value)
    assert str(caught.value).isprintable()


def test_special_files_are_refused_by_kind(make_project):
    """Reading a pipe would block a build, and a socket can't be read."""
    root = make_project()
    os.mkfifo(root / "pipe")
    with pytest.raises(ProjectError, match="pipe is a named pipe"):
        paths(root)

    (root / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(root)  # a socket's path has at most 107 bytes
        server.bind("s.sock")
        with pytest.raises(ProjectError, match=r"s\.sock is a socket"):
            paths(root)


def test_an_unreadable_folder_is_named(make_project, monkeypatch):
    """A folder without read permission is named in the error."""
    root = make_project({"closed/a.py": ""})
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)

    with pytest.raises(ProjectError, match=r"can't read the folder closed/: Permission denied"):
        paths(root)


def test_a_project_over_the_size_limit_is_refused_with_the_ten_largest_files(make_project):
    """The message names the largest file and the setting that raises the limit; the detail names ten files."""
    root = make_project(
        settings_of("size-limit-mb = 0.01") | {f"data/{number}.bin": bytes(1000 * number) for number in range(1, 13)}
    )

    with pytest.raises(ProjectError, match=r"over the limit of 0\.01 MB; the largest is data/12\.bin") as caught:
        paths(root)

    assert "size-limit-mb" in str(caught.value)
    detail = str(caught.value.detail).splitlines()
    assert len(detail) == 10
    assert detail[0].endswith("data/12.bin")


def test_an_ignored_script_is_an_error(make_project):
    """A script that .gitignore excludes would be missing in the image."""
    with pytest.raises(ProjectError, match=r"rules leave out the script train\.py.*include = "):
        paths(make_project({".gitignore": "*.py\n"}))


def test_many_folders_deep(make_project):
    """A file 200 folders deep is listed."""
    deep = "/".join(["d"] * 200) + "/x.py"

    assert deep in paths(make_project({deep: ""}))
