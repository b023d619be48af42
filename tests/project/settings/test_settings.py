from pathlib import Path

import pytest
from prefect_vertex_training.core.errors import ProjectError
from prefect_vertex_training.core.job_options import Machine, Pool
from prefect_vertex_training.project.settings.job_settings import JobSettings
from prefect_vertex_training.project.settings.python_version import this_python
from prefect_vertex_training.project.settings.settings import image_name, load


def table(text: str) -> dict[str, str]:
    """A pyproject.toml with these settings."""
    return {"pyproject.toml": f"[tool.vertex-training]\n{text}\n"}


def test_a_bare_script_needs_no_configuration(make_project):
    """A folder with only train.py gets a name, its script and this interpreter's Python."""
    settings = load(make_project(name="My Project_2"))

    assert ("my-project-2", "train.py", this_python()) == (settings.name, settings.script, settings.python)
    assert (settings.args, settings.verify_args, settings.env, settings.verify_timeout) == ((), None, {}, 600.0)


def test_every_key_is_read(make_project):
    """What the table says stands in the settings, with `-` as `_`."""
    root = make_project(
        table("""
        name = "digits"
        script = "jobs/fit.py"
        python = "3.12"
        args = ["--epochs", 3]
        verify-args = ["--quick"]
        verify-timeout = 5
        directories = ["out/logs"]
        base = "python:3.12-slim"
        include = ["data/small.csv"]
        exclude = ["*.csv"]
        requirements = "deps/train.txt"
        model-dir-argument = "--output"
        machine-type = "g2-standard-8"
        accelerator-type = "NVIDIA_L4"
        accelerator-count = 1
        boot-disk-gb = 200
        boot-disk-type = "pd-standard"
        tpu-topology = "2x2"
        replicas = 2
        timeout = "36h"
        strategy = "FLEX_START"
        max-wait = 0
        attempts = 5
        restarts = "replica"
        service-account = "t@p.iam.gserviceaccount.com"
        network = "projects/1/global/networks/n"
        tensorboard = "projects/p/locations/europe-west4/tensorboards/7"
        web-access = true
        persistent-resource = "pool"
        output = "gs://bucket/models"
        builder = "docker"
        size-limit-mb = 1000
        allow-secrets = ["tests/*.pem"]
        [tool.vertex-training.labels]
        team = "vision"
        cost-centre = "4711"
        [tool.vertex-training.pools.server]
        replicas = 3
        machine-type = "n1-highcpu-16"
        image = "us-docker.pkg.dev/vertex-ai-restricted/training/reductionserver:latest"
        [tool.vertex-training.pools.evaluator]
        [tool.vertex-training.env]
        MODE = "fast"
        """)
        | {"jobs/fit.py": ""}
    )
    settings = load(root)

    assert (
        settings.name,
        settings.script,
        settings.python,
        settings.args,
    ) == ("digits", "jobs/fit.py", "3.12", ("--epochs", "3"))
    assert (
        settings.verify_args,
        settings.verify_timeout,
        settings.directories,
    ) == (("--quick",), 5.0, ("out/logs",))
    assert settings.builder == "docker"
    assert settings.job == JobSettings(
        machine=Machine("g2-standard-8", "NVIDIA_L4", 1, 200, "pd-standard", "2x2"),
        replicas=2,
        pools={
            "server": Pool(
                Machine("n1-highcpu-16"),
                3,
                "us-docker.pkg.dev/vertex-ai-restricted/training/reductionserver:latest",
            ),
            "evaluator": Pool(),
        },
        timeout=36 * 3600.0,
        strategy="FLEX_START",
        max_wait=0.0,
        attempts=5,
        restarts="replica",
        labels={"team": "vision", "cost-centre": "4711"},
        service_account="t@p.iam.gserviceaccount.com",
        network="projects/1/global/networks/n",
        tensorboard="projects/p/locations/europe-west4/tensorboards/7",
        web_access=True,
        persistent_resource="pool",
        output="gs://bucket/models",
    )
    assert settings.env["MODE"] == "fast"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('scirpt = "a.py"', ["scirpt", "Did you mean script?", "pyproject.toml"]),
        ("verify_timeout = 3", ["verify_timeout", "Did you mean verify-timeout?"]),
        ("zzz = 1", ["zzz", "The keys are accelerator-count"]),
        ("args = '--epochs 3'", ["args", "a list of arguments", "--epochs 3"]),
        ("python = 3.11", ["python", '"3.11"']),
        ('python = "3.11.7"', ["python", "3.11.7"]),
        ('timeout = "1 week"', ["timeout", 'such as "24h"', "1 week"]),
        ("timeout = 0", ["timeout", "at least 1 second"]),
        ('strategy = "spott"', ["strategy", '"SPOT"', "spott", "Did you mean SPOT?"]),
        ('freeze = "requirements"', ["freeze", "Did you mean requirements.txt?"]),
        ('verify = "lock"', ["verify", "Did you mean locked?"]),
        ('restarts = "jobs"', ["restarts", "Did you mean job?"]),
        ("attempts = 0", ["attempts", "1 or more"]),
        ('restarts = "all"', ["restarts", '"replica"']),
        ('web-access = "yes"', ["web-access", "true or false"]),
        ('output = "/tmp"', ["output", "gs://BUCKET/FOLDER"]),
        ("pools = 3", ["pools", "worker, server, evaluator"]),
        ("[tool.vertex-training.pools.master]", ["pools", "worker, server, evaluator"]),
        ("[tool.vertex-training.pools.workers]", ["pools", "Did you mean worker?"]),
        (
            '[tool.vertex-training.pools.worker]\nmachine-typ = "x"',
            ["machine-typ in [tool.vertex-training.pools.worker]", "Did you mean machine-type?"],
        ),
        ("verify-timeout = 0", ["verify-timeout", "above 0"]),
        ("verify-timeout = true", ["verify-timeout"]),
        ("accelerator-count = -1", ["accelerator-count"]),
        ('builder = "podman"', ["builder", '"direct" or "docker"']),
        ('name = "Über Uns"', ["name", "lowercase"]),
        ("env = {A = 1}", ["env"]),
        ('env = {"A B" = "1"}', ["env"]),
        ('directories = ["../x"]', ["directories", "inside"]),
        ('requirements = "/etc/passwd"', ["requirements"]),
        (f'directories = ["{"x" * 256}"]', ["directories"]),
        ('exclude = "data"', ["exclude", "list of patterns"]),
    ],
)
def test_a_wrong_setting_is_one_line_with_its_key(make_project, text, words):
    """An unknown key or a wrong value names file, key and what to write; nothing is guessed."""
    with pytest.raises(ProjectError) as caught:
        load(make_project(table(text)))

    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[tool.vertex-training]\nname = "x"\nscirpt = "a.py"\n', 3),
        ('[tool.other]\nscirpt = 1\n\n[tool.vertex-training]  # ours\n"scirpt" = "a.py"\n', 5),
        ('[tool.vertex-training]\nname = "x"\n[tool.vertex-training.scirpt]\na = 1\n', 3),
        ('[tool]\nvertex-training = {scirpt = "a.py"}\n', None),
        ('[tool.vertex-training.pools.worker]\nreplicas = 2\nmachine-typ = "x"\n', 3),
        ('[tool.vertex-training]\npools.worker = {machine-typ = "x"}\n', None),
        ('[tool.vertex-training]\nname = "x"\nstrategy = "SPOOT"\n', 3),
        ('[tool.vertex_training]\nname = "x"\n', 1),
        ('[tool.vertex-trainig.env]\nA = "x"\n', 1),
    ],
)
def test_a_misspelled_name_is_told_with_its_line(make_project, text, line):
    """The message suggests the right name and gives `file:line`, or the file where the line can't be told."""
    root = make_project({"pyproject.toml": text})

    with pytest.raises(ProjectError, match="Did you mean") as caught:
        load(root)

    assert caught.value.where == f"{root}/pyproject.toml" + (f":{line}" if line else "")


def test_a_table_that_is_none_is_refused(make_project):
    """`tool.vertex-training = 3` says that it must be a table."""
    with pytest.raises(ProjectError, match=r"must be a table"):
        load(make_project({"pyproject.toml": "[tool]\nvertex-training = 3\n"}))


def test_invalid_toml_names_its_line(make_project):
    """A pyproject.toml that can't be parsed is named with the line."""
    with pytest.raises(ProjectError, match=r"not valid TOML.*line 2.*pyproject.toml"):
        load(make_project({"pyproject.toml": "[project]\nname = \n"}))


def test_the_folder_must_exist_and_be_one(tmp_path: Path):
    """A missing folder and a file in its place are told apart."""
    (tmp_path / "file").write_text("")

    with pytest.raises(ProjectError, match=r"no such folder.*nowhere"):
        load(tmp_path / "nowhere")
    with pytest.raises(ProjectError, match=r"not a folder.*file"):
        load(tmp_path / "file")


def test_no_script_names_what_was_looked_for(tmp_path: Path):
    """Without a script the message has the names tried, and what lies there instead."""
    (tmp_path / "fit.py").write_text("")

    with pytest.raises(ProjectError, match=r"looked for train\.py, main\.py.*If it is fit\.py, set script = "):
        load(tmp_path)


def test_a_script_deep_in_a_package_is_suggested(tmp_path: Path):
    """In a src layout the message already has the setting's value."""
    (tmp_path / "src" / "pkg").mkdir(parents=True)
    (tmp_path / "src" / "pkg" / "train.py").write_text("")

    with pytest.raises(ProjectError, match=r"If it is src/pkg/train\.py, set script = "):
        load(tmp_path)


def test_a_notebook_alone_is_what_trains(tmp_path: Path):
    """It runs as a script beside it; a file that isn't a notebook is said with its name."""
    (tmp_path / "Model.ipynb").write_text('{"cells": [{"cell_type": "code", "source": ["%time x = 1", "y = 2"]}]}')

    found = load(tmp_path)
    assert (found.script, found.starts.typed()) == ("Model.ipynb", ("python", "Model.py"))

    (tmp_path / "Model.ipynb").write_text("{}")
    with pytest.raises(ProjectError, match=r"Model\.ipynb is not a notebook"):
        load(tmp_path)


def test_two_candidates_are_both_named(make_project):
    """train.py beside main.py is ambiguous; a setting decides."""
    with pytest.raises(ProjectError, match=r"train\.py and main\.py.*script ="):
        load(make_project({"main.py": ""}))

    assert load(make_project({"main.py": "", **table('script = "main.py"')})).script == "main.py"


@pytest.mark.parametrize("written", ["./jobs/fit.py", "jobs/../jobs/fit.py", "jobs//fit.py"])
def test_a_scripts_path_is_written_one_way(make_project, written):
    """However the setting writes it, it is the path that is listed."""
    assert load(make_project({"jobs/fit.py": "", **table(f'script = "{written}"')})).script == "jobs/fit.py"


def test_a_script_at_the_root_wins_over_one_below(make_project):
    """A train.py may import src/train.py without being ambiguous."""
    assert load(make_project({"src/train.py": ""})).script == "train.py"


@pytest.mark.parametrize("script", ["../other.py", "/etc/hostname", "missing.py", "folder", "notes.txt"])
def test_a_script_that_cannot_run_is_refused(make_project, script):
    """Outside, missing, a folder, not Python: each is named."""
    root = make_project({"folder/a.py": "", "notes.txt": "", **table(f'script = "{script}"')})
    (root.parent / "other.py").write_text("")

    with pytest.raises(ProjectError) as caught:
        load(root)

    assert script in str(caught.value)


def test_a_path_may_be_longer_than_a_name(make_project):
    """The file system limits each of its parts."""
    long = "/".join(["x" * 100] * 4)
    root = make_project({"pyproject.toml": f'[tool.vertex-training]\ndirectories = ["{long}"]\n'})

    assert load(root).directories == (long,)


def test_a_linked_script_may_lie_elsewhere_in_the_project(make_project, tmp_path: Path):
    """A link inside is followed; one that leads out or nowhere is refused."""
    root = make_project({"jobs/fit.py": ""})
    (root / "train.py").unlink()
    (root / "train.py").symlink_to("jobs/fit.py")
    assert load(root).script == "train.py"

    (root / "train.py").unlink()
    (root / "train.py").symlink_to("gone.py")
    with pytest.raises(ProjectError, match=r"link to gone\.py, which does not exist"):
        load(root)

    outside = tmp_path / "outside.py"
    outside.write_text("")
    (root / "train.py").unlink()
    (root / "train.py").symlink_to(outside)
    with pytest.raises(ProjectError, match=r"outside the project"):
        load(root)


@pytest.mark.parametrize(
    ("files", "python"),
    [
        ({".python-version": "3.12.4\n"}, "3.12"),
        ({".python-version": "cpython-3.13\n"}, "3.13"),
        ({".python-version": "my-virtualenv\n"}, this_python()),
        ({"pyproject.toml": '[project]\nname = "x"\nrequires-python = ">=3.9"\n'}, this_python()),
        ({"pyproject.toml": '[project]\nname = "x"\nrequires-python = "==3.9.*"\n'}, "3.9"),
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.9"\n'}, this_python()),
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = ">=3.8,<3.11"\n'}, "3.10"),
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "~3.10"\n'}, "3.10"),
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "3.10.*"\n'}, "3.10"),
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "<3.9 || ~3.12"\n'}, "3.12"),
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "*"\n'}, this_python()),
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "nonsense"\n'}, this_python()),
        ({"setup.py": "setup(\n    python_requires='>=3.6, <3.11',\n)\n"}, "3.10"),
        ({"setup.cfg": "[options]\npython_requires = >=3.13\n"}, "3.13"),
        ({"Pipfile": '[requires]\npython_version = "3.10"\n'}, "3.10"),
        ({".tool-versions": "nodejs 20\npython 3.12.1 system\n"}, "3.12"),
        ({".python-version": "3.12", "pyproject.toml": '[tool.vertex-training]\npython = "3.13"\n'}, "3.13"),
    ],
)
def test_python_comes_from_where_the_project_says_it(make_project, files, python):
    """The setting, then .python-version, then what the project's tools require, then this interpreter."""
    assert python == load(make_project(files)).python


@pytest.mark.parametrize("wanted", [">=4", "three"])
def test_a_python_that_cannot_be_is_refused(make_project, wanted):
    """requires-python that no Python version satisfies, or that is no specifier, is named."""
    with pytest.raises(ProjectError, match=rf"requires-python.*{wanted}"):
        load(make_project({"pyproject.toml": f'[project]\nname = "x"\nrequires-python = "{wanted}"\n'}))


@pytest.mark.parametrize(
    ("text", "name"),
    [("My Project (é)", "my-project-e"), ("digits", "digits"), ("__", "project"), ("Ünïx.v2", "unix-v2")],
)
def test_any_folder_name_becomes_an_image_name(text, name):
    """Letters are folded to ASCII, the rest becomes single dashes."""
    assert name == image_name(text)


def test_folders_of_modules_are_found_by_the_script(make_project):
    """A src layout, or a script in a subfolder, gets a PYTHONPATH; a plain project needs none."""
    assert load(make_project(name="plain")).env == {}
    assert load(make_project({"src/lib/__init__.py": ""}, name="layout")).env == {"PYTHONPATH": "src"}
    package = make_project({"trainer/task.py": "", "trainer/__init__.py": ""}, name="package")
    (package / "train.py").unlink()
    assert load(package).env == {"PYTHONPATH": "."}
    own = table('env = {PYTHONPATH = "lib"}')
    assert load(make_project({"src/a.py": "", **own}, name="own")).env == {"PYTHONPATH": "lib"}


@pytest.mark.parametrize(
    ("pyproject", "expected"),
    [("", "3.12"), ('[project]\nname = "x"\nrequires-python = ">=3.9,<3.11"\n', "3.10"), ("[project]\n", "3.12")],
)
def test_the_python_of_a_script_s_own_block(tmp_path: Path, pyproject: str, expected: str):
    """`requires-python` of PEP 723 counts where pyproject.toml has none."""
    block = '# /// script\r\n# requires-python = "==3.12.*"\r\n# dependencies = []\r\n# ///\r\n'
    (tmp_path / "train.py").write_bytes(block.encode())
    (tmp_path / "pyproject.toml").write_text(pyproject)

    assert load(tmp_path).python == expected


def test_a_block_with_a_python_that_cannot_be_read(tmp_path: Path):
    """The message names the script, not pyproject.toml."""
    (tmp_path / "train.py").write_text('# /// script\n# requires-python = "new"\n# ///\n')

    with pytest.raises(ProjectError, match=r"requires-python can't be read: 'new' \(.*train\.py\)"):
        load(tmp_path)


def test_the_script_that_the_dockerfile_starts(tmp_path: Path):
    """Where no script has a usual name, the image's own program says which one trains."""
    (tmp_path / "job").mkdir()
    for name in ("job/fit_model.py", "serve.py"):
        (tmp_path / name).write_text("print()")
    (tmp_path / "Dockerfile").write_text('FROM b\nCOPY . /app\nENTRYPOINT ["python", \\\n "/app/job/fit_model.py"]\n')

    assert load(tmp_path).script == "job/fit_model.py"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('build-secrets = { index = "hunter2-value" }', r"index in build-secrets of .* must be a source: .*file:PATH"),
        ('build-secrets = { "a b" = "env:A" }', r"a b in build-secrets of .* is not an id"),
        ('build-secrets = { a = "secret-manager:projects/p/secrets/s" }', r"a in build-secrets of .* must be a source"),
        ('secret-env = { "A-B" = "env:A" }', r"A-B in secret-env of .* is not a variable's name"),
        ("secret-env = { A = 1 }", r"A in secret-env of .* must be a source"),
        ('build-secrets = ["a"]', r"build-secrets in .* must be a table"),
    ],
)
def test_a_wrong_source_of_a_secret_is_named(tmp_path: Path, text: str, message: str) -> None:
    """By the entry's name; what stands in the source's place is not shown."""
    (tmp_path / "train.py").write_text("")
    (tmp_path / "pyproject.toml").write_text(f"[tool.vertex-training]\n{text}\n")
    with pytest.raises(ProjectError, match=message) as caught:
        load(tmp_path)

    assert "hunter2" not in str(caught.value)
    assert "pyproject.toml:2" in str(caught.value)
