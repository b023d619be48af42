"""Cells of a notebook that need an event loop at their top level, where Jupyter has one: as coroutines of a script.

IPython does the same: https://ipython.readthedocs.io/en/stable/interactive/autoawait.html
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

RUNS_CELL = '''
def _run_cell(source):
    """Runs a cell that needs an event loop at its top level, with the names of this script."""
    import ast, asyncio, inspect

    global _event_loop
    if "_event_loop" not in globals():
        _event_loop = asyncio.new_event_loop()
        asyncio.set_event_loop(_event_loop)

    async def run():
        result = eval(compile(source, "<cell>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), globals())
        if inspect.iscoroutine(result):
            await result

    _event_loop.run_until_complete(run())
'''.strip()
"""Defined once in the script. All cells share one event loop, so that a task of one can be awaited in the next."""

_WANT_LOOP = {"create_task", "ensure_future", "get_running_loop"}
"""Functions of asyncio that work in a running event loop only."""
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def needs_event_loop(text: str) -> bool:
    """Whether a cell awaits outside of a function, or starts a task there; a cell that is no valid Python doesn't."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return any(map(_wants_loop, _outside_of_functions(tree)))


def as_coroutine(text: str) -> str:
    """What runs the cell in a script. Its imports stand before it, where tools find them."""
    imports = [ast.unparse(node) for node in ast.parse(text).body if isinstance(node, (ast.Import, ast.ImportFrom))]
    lines = ",\n".join(f"    {line!r}" for line in text.splitlines())
    return "\n".join([*imports, f'_run_cell("\\n".join([\n{lines},\n]))'])


def _wants_loop(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return getattr(node.func, "attr", getattr(node.func, "id", "")) in _WANT_LOOP
    is_comprehension = isinstance(node, ast.comprehension) and bool(node.is_async)
    return isinstance(node, (ast.Await, ast.AsyncFor, ast.AsyncWith)) or is_comprehension


def _outside_of_functions(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, _FUNCTIONS):
            yield from _outside_of_functions(child)
