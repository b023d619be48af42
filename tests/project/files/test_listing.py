import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from fixtures.hypothesis_profile import examples
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from prefect_vertex_training.core.errors import ProjectError
from prefect_vertex_training.project.files.listing import list_files
from prefect_vertex_training.project.settings.settings import load


def paths(root: Path) -> list[str]:
    """What is listed."""
    return [file.path for file in list_files(root, load(root))]


def settings_of(text: str) -> dict[str, str]:
    """A pyproject.toml with these settings."""
    return {"pyproject.toml": f"[tool.vertex-training]\n{text}\n"}


def test_files_are_listed_by_path_with_size_and_mode(make_project):
    """Sorted by path as bytes compare; the owner's executable bit decides."""
    root = make_project({"b.py": "12", "a/z.py": "", "a.py": "1"})
    (root / "b.py").chmod(0o700)

    listed = [(file.path, file.size, file.executable) for file in list_files(root, load(root))]

    assert listed == [("a.py", 1, False), ("a/z.py", 0, False), ("b.py", 2, True), ("train.py", 0, False)]


def test_what_never_belongs_in_an_image_stays_out(make_project):
    """Version control, environments, caches, editors' files and .env are left out without being asked."""
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


def test_what_git_passes_over_is_passed_over(make_project):
    """Lines that are no pattern change nothing, nor does a folder of that name."""
    root = make_project({".gitignore": "!\n\\\n[\na\\\n*.log\n", "x.log": "", "sub/.gitignore/file": ""})

    assert paths(root) == ["train.py"]


def test_settings_decide_over_gitignore(make_project):
    """`exclude` removes what git keeps; `include` brings back what git ignores, also below an ignored folder."""
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


# git counts bytes where `?` stands, pathspec letters: names beyond ASCII differ there, and only there.
NAMES = st.sampled_from(["a", "b", "a.log", "b.txt", "build", "x y", "[a]"])
PATTERN = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "/", "**/"]),
    st.sampled_from(["a", "b", "*.log", "a/b", "build", "a/*", "?", "[ab]", "*", "a/**", "x\\ y", "**/b", "a*"]),
    st.sampled_from(["", "/", "/**", " "]),
)
PATTERNS = st.lists(PATTERN.filter(lambda pattern: not pattern.endswith("**/")), max_size=5)
"""`a/**/`, which nobody writes, is the one form that pathspec reads otherwise than git."""


@pytest.mark.skipif(shutil.which("git") is None, reason="git is what this compares with")
@hypothesis_settings(max_examples=examples(150))
@given(st.sets(st.lists(NAMES, min_size=1, max_size=3).map("/".join), max_size=10), PATTERNS, PATTERNS)
def test_ignored_is_what_git_ignores(tmp_path_factory, wanted, outer, inner):
    """For any tree and any .gitignore files the list is that of `git ls-files`."""
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
    subprocess.run(["git", "init", "-q", root], check=True)
    command = ["git", "-C", root, "ls-files", "-z", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True).stdout.decode().split("\0")
    git = sorted(path for path in listed if path and not path.endswith(".gitignore"))

    assert git == [path for path in paths(root) if not path.endswith(".gitignore")]


def test_a_link_inside_becomes_what_it_points_at(make_project):
    """A linked file and a linked folder are listed under the link's name, with the target's bytes."""
    root = make_project({"real/a.py": "12", "real/.gitignore": "b.py", "real/b.py": ""})
    (root / "file.py").symlink_to("real/a.py")
    (root / "folder").symlink_to("real")

    listed = {file.path: file.source.read_text() for file in list_files(root, load(root))}

    assert listed == {"file.py": "12", "folder/a.py": "12", "real/a.py": "12", "train.py": ""}


def test_a_link_out_of_the_project_is_refused(make_project, tmp_path):
    """The link and its target are named; an excluded one is not looked at."""
    root = make_project()
    (tmp_path / "data").mkdir()
    (root / "data").symlink_to(tmp_path / "data")

    with pytest.raises(ProjectError, match=rf"the link data points outside the project, at {tmp_path}/data"):
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
def test_a_link_to_nothing_is_refused(make_project, target):
    """A dangling link, or one to itself, is named with its target."""
    root = make_project()
    (root / "loop").symlink_to(target)

    with pytest.raises(ProjectError, match=rf"the link loop points at {target}, which does not exist"):
        paths(root)


def test_links_in_a_circle_are_refused(make_project):
    """A link to a folder around it, directly or by another link, ends in an error and not in a long walk."""
    root = make_project({"a/x.py": "", "b/y.py": ""})
    (root / "a" / "b").symlink_to("../b")
    (root / "b" / "a").symlink_to("../a")

    with pytest.raises(ProjectError, match="leads back to a folder around it"):
        paths(root)


def test_a_name_that_is_not_utf8_is_shown_escaped(make_project):
    """The message can be printed anywhere: the odd byte is written out."""
    root = make_project()
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.csv")).write_text("")

    with pytest.raises(ProjectError) as caught:
        paths(root)

    assert "caf\\xe9.csv" in str(caught.value)
    assert str(caught.value).isprintable()


def test_special_files_are_refused_by_kind(make_project):
    """A pipe would hang a build, a socket can't be read."""
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
    """Whoever may not read a folder is told which."""
    root = make_project({"closed/a.py": ""})
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)

    with pytest.raises(ProjectError, match=r"can't read the folder closed/: Permission denied"):
        paths(root)


def test_too_much_is_refused_with_the_ten_largest(make_project):
    """Over the limit, the largest is in the line, ten in the detail, and the key that raises the limit."""
    root = make_project(
        settings_of("size-limit-mb = 0.01") | {f"data/{number}.bin": bytes(1000 * number) for number in range(1, 13)}
    )

    with pytest.raises(ProjectError, match=r"over the limit of 0\.01 MB; the largest is data/12\.bin") as caught:
        paths(root)

    assert "size-limit-mb" in str(caught.value)
    detail = str(caught.value.detail).splitlines()
    assert len(detail) == 10
    assert detail[0].endswith("data/12.bin")


def test_an_ignored_script_is_told(make_project):
    """A script that .gitignore leaves out would be missing in the image."""
    with pytest.raises(ProjectError, match=r"train\.py is left out.*include = "):
        paths(make_project({".gitignore": "*.py\n"}))


def test_many_folders_deep(make_project):
    """A deep tree is walked to its end."""
    deep = "/".join(["d"] * 200) + "/x.py"

    assert deep in paths(make_project({deep: ""}))
