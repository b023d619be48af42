"""Notebooks as scripts."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from prefect_vertex_training.project.settings.notebooks.notebook import read_notebook


def notebook(folder, *cells, name="train.ipynb"):
    """Writes a notebook of code cells."""
    path = folder / name
    document = {"cells": [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]}
    path.write_text(json.dumps(document))
    return path


def run(script, folder):
    """What the script prints."""
    (folder / "script.py").write_text(script.text)
    return subprocess.run([sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("cell", "printed"),
    [
        ("def fit():\n    return 7\n%time model = fit()\nprint(model)", "7\n"),
        ("if True:\n    %time print(1)\n", "1\n"),
        ("model = %time 3 + 4\nprint(model)", "7\n"),
        ("files = !ls\nprint(files)", "[]\n"),
        ("where = %pwd\nprint(where)", "None\n"),
        ("!pip install \\\n    six \\\n    attrs\nprint(2)", "2\n"),
        ('text = """\n%d rows\n!important\n"""\nprint(text % 3)', "\n3 rows\n!important\n\n"),
        ("print(7\n      % 4)", "3\n"),
        ("total = 7 \\\n  % 4\nprint(total)", "3\n"),
        ("text = '''it's\n%s''' % 1\nprint(text)", "it's\n1\n"),
        ("x = 'a\\'b(' # [\n%matplotlib inline\nprint(x)", "a'b(\n"),
        ("%%writefile helper.py\nX = 3", ""),
        ("%cd /\nimport os\nprint(os.getcwd())", "/\n"),
        ("%env MODE=a b\nimport os\nprint(os.environ['MODE'])", "a b\n"),
        ("display({'a': 1})", "{'a': 1}\n"),
        ("print('google.colab' in str(get_ipython()))", "False\n"),
        ("get_ipython().run_line_magic('matplotlib', 'inline')\nprint(1)", "1\n"),
    ],
)
def test_a_cell_does_what_it_does_in_jupyter(tmp_path, cell, printed):
    """Magics are left out, Python behind or around them stays, and strings stay as they are."""
    assert printed == run(read_notebook(notebook(tmp_path, cell)), tmp_path)


def test_files_that_a_notebook_writes_and_runs_are_there(tmp_path):
    """Later cells import what %%writefile wrote and use what %run defined."""
    cells = (
        "%%writefile helper.py\nX = 'it\\'s'\n",
        "%%writefile -a helper.py\nY = 2",
        "%run helper.py\nprint(X, Y)",
        "import helper",
    )
    script = read_notebook(notebook(tmp_path, *cells))
    assert (run(script, tmp_path), script.left_out) == ("it's 2\n", ())


def test_an_import_of_the_future_comes_first(tmp_path):
    """In a notebook it may stand in any cell, in a script only at the top."""
    script = read_notebook(
        notebook(tmp_path, "display(1)", "from __future__ import annotations\ndef f(x: nothing): ...")
    )
    assert run(script, tmp_path) == "1\n"


def test_what_is_left_out_is_named(tmp_path):
    """Each magic is named once, and Python that stays is not."""
    script = read_notebook(notebook(tmp_path, "%matplotlib inline\n!ls\n%time x = 1\ny = !pwd", "%%bash\nls"))
    assert script.left_out == ("%matplotlib inline", "!ls", "y = !pwd", "%%bash")


def test_a_notebook_in_a_folder_runs_there(tmp_path):
    """Jupyter's working directory is the notebook's folder: paths beside it, and above it, are meant from there."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "data.csv").write_text("1,2")
    path = notebook(tmp_path / "notebooks", "print(open('../data.csv').read())")
    (tmp_path / "notebooks" / "train.py").write_text(read_notebook(path, in_folder=True).text)
    finished = subprocess.run(
        [sys.executable, "notebooks/train.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert finished.stdout == "1,2\n"


@pytest.mark.parametrize(
    ("cells", "printed"),
    [
        (["import asyncio\nawait asyncio.sleep(0)\nx = 1", "print(x)"], "1\n"),
        (["import asyncio\ntask = asyncio.create_task(asyncio.sleep(0, 2))", "print(await task)"], "2\n"),
        (
            ["async def f():\n    yield 3", "async for x in f():\n    print(x)\ntext = '''a\n b'''", "print(text)"],
            "3\na\n b\n",
        ),
        (["async def f():\n    yield 4", "print([x async for x in f()])"], "[4]\n"),
        (["import asyncio", "async with asyncio.Lock() as lock:\n    import os", "print(lock, os.sep)"], "None /\n"),
        (["import asyncio\nprint(await asyncio.sleep(0, 5))", "print(asyncio.run(asyncio.sleep(0, 6)))"], "5\n6\n"),
    ],
)
def test_a_cell_may_use_the_event_loop_at_its_top_level(tmp_path, cells, printed):
    """All such cells share an event loop and the script's names, and the other cells stay plain Python."""
    assert run(read_notebook(notebook(tmp_path, *cells)), tmp_path) == printed
