import os

import pytest
from prefect_vertex_training.core.errors import ProjectError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.project.files import large_data
from prefect_vertex_training.project.snapshot import Project


@pytest.fixture
def open_project(tmp_path):
    """Opens a project as a run does."""
    return lambda root, **options: Project.open(root, Home(tmp_path / "home"), **options)


def grow(root, path, megabytes):
    """Makes a sparse file of zeros, which takes no space on the disk."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).touch()
    os.truncate(root / path, int(megabytes * 1e6))


def write_settings(root, text):
    """Writes the project's settings."""
    (root / "pyproject.toml").write_text(f"[tool.vertex-training]\n{text}\n")


def test_files_bytes_and_the_ten_largest_are_reported(make_project, open_project):
    """The report counts files and bytes, and lists the largest files first."""
    root = make_project({f"f{number:02}.bin": bytes(number) for number in range(1, 13)})

    facts = open_project(root).size_report

    assert (facts.files, facts.size) == (13, 78)
    assert facts.largest == tuple((f"f{number:02}.bin", number) for number in range(12, 2, -1))
    assert list(facts.lines()) == ["13 files with 0.1 kB; the largest is f12.bin with 0.0 kB"]


def test_a_large_checkpoint_is_left_out_and_reported(make_project, open_project):
    """The report has its path and size, the consequence for the job, and the setting that includes it."""
    root = make_project({"model.py": ""})
    grow(root, "runs/epoch9.CKPT", 60)
    grow(root, "runs/small.ckpt", 0.001)

    project = open_project(root)

    assert [file.path for file in project.files] == ["model.py", "runs/small.ckpt", "train.py"]
    _, line = project.size_report.lines()
    assert line == (
        "left out: runs/epoch9.CKPT, 60.0 MB of data; the job won't have them."
        ' To send them as a data set: epoch9 = "runs/epoch9.CKPT" under [tool.vertex-training.data];'
        ' into the image: include = ["/runs/epoch9.CKPT"] under [tool.vertex-training]'
    )

    write_settings(root, 'include = ["/runs/epoch9.CKPT"]')
    project = open_project(root)
    assert "runs/epoch9.CKPT" in [file.path for file in project.files]
    assert project.size_report.left_out == ()


def test_a_large_data_folder_is_left_out_except_for_its_code(make_project, open_project, monkeypatch):
    """The sizes of its files are added up; a module in a package called `data` stays."""
    monkeypatch.setattr(large_data, "FOLDER_LIMIT", 60_000_000)
    root = make_project({"pkg/data/loader.py": "", "pkg/data/labels.json": "{}", "other/x.jpg": "x"})
    for number in range(4):
        grow(root, f"pkg/data/images/{number}.jpg", 20)

    project = open_project(root)

    assert [file.path for file in project.files] == [
        "other/x.jpg",
        "pkg/data/labels.json",
        "pkg/data/loader.py",
        "train.py",
    ]
    assert project.size_report.left_out == (large_data.LeftOut("pkg/data/", 4, 80_000_000),)
    assert "80.0 MB of 4 data files" in list(project.size_report.lines())[1]

    write_settings(root, 'include = ["/pkg/data/"]')
    assert len(open_project(root).files) == 9


def test_a_large_file_that_is_not_data_stays(make_project, open_project):
    """Only files with the suffix of data are left out; for others the size limit applies."""
    root = make_project()
    grow(root, "program", 60)

    assert [file.path for file in open_project(root).files] == ["program", "train.py"]


def test_the_size_limit_can_be_raised_for_one_run(make_project, open_project):
    """The message gives a limit that is high enough."""
    root = make_project({"a": bytes(2_500_000)})
    write_settings(root, "size-limit-mb = 1")

    with pytest.raises(ProjectError, match=r"over the limit of 1 MB.*--size-limit-mb 3\b"):
        open_project(root)

    assert open_project(root, size_limit_mb=3).size_report.size > 2_500_000


def test_dockerignore_leaves_out_as_docker_does(make_project, open_project):
    """Anchored patterns, `**` and exceptions work; an exception doesn't override .gitignore or the defaults."""
    root = make_project(
        {
            ".dockerignore": "*.csv\n**/tmp\nmodels\n!models/base.json\n!.venv\n",
            ".gitignore": "*.log\n",
            "a.csv": "",
            "sub/a.csv": "",
            "sub/tmp/x.py": "",
            "models/base.json": "",
            "models/big.json": "",
            "models/deep/x.json": "",
            "x.log": "",
            ".venv/x.py": "",
        }
    )

    assert [file.path for file in open_project(root).files] == ["models/base.json", "sub/a.csv", "train.py"]


def test_settings_include_what_dockerignore_leaves_out(make_project, open_project):
    """`include` adds a file, or a folder with everything in it."""
    root = make_project({".dockerignore": "*\n!train.py\n", "a/b.txt": "", "a/c.txt": "", "d/e/f.txt": "", "d/g": ""})
    assert [file.path for file in open_project(root).files] == ["train.py"]

    write_settings(root, 'include = ["/a/b.txt", "/d/e/"]')
    assert [file.path for file in open_project(root).files] == ["a/b.txt", "d/e/f.txt", "train.py"]


def test_a_dockerignore_that_docker_rejects_is_an_error(make_project, open_project):
    """The error names the pattern."""
    with pytest.raises(ProjectError, match=r"not a pattern: \[a.*\.dockerignore"):
        open_project(make_project({".dockerignore": "[a\n"}))
