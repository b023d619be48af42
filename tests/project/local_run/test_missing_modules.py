"""Why an import failed."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect_vertex_training.project.local_run.missing_modules import missing_module
from prefect_vertex_training.project.settings.settings import load


@pytest.fixture
def python(tmp_path):
    """An interpreter whose environment has scikit-learn 1.5.0."""
    site = tmp_path / "env/lib/python3.11/site-packages"
    (site / "sklearn").mkdir(parents=True)
    (site / "sklearn/__init__.py").touch()
    info = site / "scikit_learn-1.5.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: scikit-learn\nVersion: 1.5.0\n")
    (info / "top_level.txt").write_text("sklearn\n")
    return tmp_path / "env/bin/python"


def why(project, exception, python, method="requirements.txt"):
    """Reason and step."""
    paths = [path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()]
    found = missing_module(exception, load(project), paths, Path(python), method)
    assert found
    return found


@pytest.mark.parametrize(
    "exception",
    [
        "ModuleNotFoundError: No module named 'sklearn.externals'",
        "ImportError: cannot import name 'joblib' from 'sklearn.externals' (/x/__init__.py)",
        "AttributeError: module 'sklearn' has no attribute 'cross_validation'",
    ],
)
def test_another_version_of_a_package_is_not_a_missing_package(make_project, python, exception):
    """The package is there and has a version: to list it once more would change nothing."""
    reason, step = why(make_project(name="old"), exception, python)
    assert reason == f"{exception} (scikit-learn 1.5.0)"
    assert step == (
        "Write the version of scikit-learn for which the script was made into requirements.txt, or correct the script"
    )


@pytest.mark.parametrize(
    ("file", "module", "folder"),
    [
        ("common/helpers.py", "helpers", "common"),
        ("a/b/helpers/__init__.py", "helpers.data", "a/b"),
        ("tools/helpers/data.py", "helpers.data", "tools"),
    ],
)
def test_a_module_in_a_folder_of_the_project_is_no_package(make_project, python, file, module, folder):
    """The setting that puts its folder on Python's path is named."""
    reason, step = why(make_project({file: ""}, name="own"), f"ModuleNotFoundError: No module named '{module}'", python)
    assert reason == f"it imports {module}, which is in the project's {folder}"
    assert step == f'Set PYTHONPATH = "{folder}" under [tool.vertex-training.env] in pyproject.toml'


def test_folders_that_are_on_the_path_stay_on_it(make_project, python):
    """The advised value keeps what the project's layout gives."""
    project = make_project({"src/pkg/__init__.py": "", "libs/helpers.py": ""}, name="both")
    assert '"src:libs"' in why(project, "ModuleNotFoundError: No module named 'helpers'", python)[1]


def test_a_folder_with_a_packages_name_is_not_taken_for_it(make_project, python):
    """experiments/xgboost/fit.py is no module xgboost."""
    project = make_project({"experiments/xgboost/fit.py": "", "requirements.txt": "six\n"}, name="folder")
    reason, step = why(project, "ModuleNotFoundError: No module named 'xgboost'", python)
    assert (reason, step) == (
        "it imports xgboost, which requirements.txt does not list",
        "Add xgboost to requirements.txt",
    )


def test_a_module_that_an_own_package_lacks_is_said_to_be_missing_there(make_project, python):
    """No package index has it."""
    project = make_project({"pkg/__init__.py": ""}, name="lacks")
    reason, _ = why(project, "ModuleNotFoundError: No module named 'pkg.model'", python)
    assert reason == "it imports pkg.model, which pkg of the project doesn't have"


def test_other_exceptions_have_another_explanation(make_project, python):
    """None where no import failed, also for modules of Python itself."""
    project = make_project(name="other")
    for exception in ("ValueError: x", "ImportError: cannot import name 'Mapping' from 'collections' (/x)"):
        assert missing_module(exception, load(project), [], Path(python), "nothing") is None


@pytest.mark.parametrize(
    ("exception", "package"),
    [
        ("ImportError: Using skorch cli helpers requires numpydoc: python -m pip install numpydoc", "numpydoc"),
        ("ImportError: Missing optional dependency 'openpyxl'. Use pip or conda to install openpyxl.", "openpyxl"),
        (
            "ImportError: Trainer requires accelerate: Please run `pip install transformers[torch]`",
            "transformers[torch]",
        ),
    ],
)
def test_what_a_library_asks_for_is_added_to_the_list(make_project, python, exception, package):
    """It is imported only when something is called that needs it."""
    assert why(make_project(name="asked"), exception, python) == ("", f"Add {package} to requirements.txt")


@pytest.mark.parametrize(("installed", "version"), [("3.8.7", "3.8.0"), (None, "VERSION")])
def test_a_model_of_spacy_is_a_package_of_the_list(make_project, python, installed, version):
    """It is named with the address of the release that fits the installed spaCy."""
    if installed:
        info = Path(python).parents[1] / f"lib/python3.11/site-packages/spacy-{installed}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: spacy\nVersion: {installed}\n")
    said = "OSError: [E050] Can't find model 'en_core_web_sm'. It doesn't seem to be a Python package or a valid path"

    reason, step = why(make_project(name="nlp"), said, python)

    assert reason == "it loads spaCy's model en_core_web_sm, which is not installed"
    wheel = f"en_core_web_sm-{version}/en_core_web_sm-{version}-py3-none-any.whl"
    releases = "https://github.com/explosion/spacy-models/releases/download"
    assert step == f"Add en_core_web_sm @ {releases}/{wheel} to requirements.txt"
