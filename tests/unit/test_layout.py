"""Which module of nephew may import which: values → store → backends → core → faces.

Read from the source, imports inside functions included. Imports for annotations only (`if TYPE_CHECKING:`)
are free: they tie nothing together when the code runs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

VALUES = {
    "clock",
    "codec",
    "death",
    "errors",
    "failpoints",
    "job",
    "options",
    "settings",
    "shield",
    "tuples",
    "version",
}
BACKENDS = {"redis", "sql"}
FACES = {"cli", "laravel", "testing", "web"}

#: From the ground up; a module imports from its own level and those below.
LEVELS = ("value", "store", "backend", "core", "face")

#: Packages that only some of our modules may import, named by what they begin with.
RESERVED = {
    "peewee": ("nephew.backends.sql", "nephew.store"),
    "playhouse": ("nephew.backends.sql", "nephew.store"),
    "psycopg": ("nephew.backends.sql",),
    "redis": ("nephew.backends.redis",),
}

APPLICATION = {"app", "periodic", "tasks"}

#: A small nephew, in which the test of this test breaks the rules.
EXAMPLE = (
    "__init__.py",
    "job.py",
    "runner.py",
    "consumer.py",
    "store/tables.py",
    "backends/contract.py",
    "backends/redis/queue.py",
    "backends/sql/queue.py",
    "cli/__init__.py",
    "cli/jobs.py",
)

Modules = dict[str, set[str]]


def test_the_layout_is_kept() -> None:
    modules = read_modules(ROOT)

    assert len(modules) > 5, f"expected the modules of nephew under {ROOT}, found {sorted(modules)}"
    assert problems(modules) == []


@pytest.mark.parametrize(
    ("file", "line", "problem"),
    [
        ("nephew/job.py", "import nephew.consumer", "nephew.job (value) imports nephew.consumer (core)"),
        ("nephew/job.py", "from nephew import Nephew", "nephew.job (value) imports nephew (core)"),
        ("nephew/runner.py", "from . import cli", "nephew.runner (core) imports nephew.cli (face)"),
        (
            "nephew/backends/sql/queue.py",
            "from ...runner import Runner",
            "nephew.backends.sql.queue (backend) imports nephew.runner (core)",
        ),
        (
            "nephew/store/tables.py",
            "from nephew.backends.contract import Backend",
            "nephew.store.tables (store) imports nephew.backends.contract (backend)",
        ),
        (
            "nephew/backends/sql/queue.py",
            "from nephew.backends.redis import queue",
            "nephew.backends.sql.queue and nephew.backends.redis.queue are different backends",
        ),
        (
            "nephew/cli/jobs.py",
            "def show():\n    from nephew.backends import contract",
            "nephew.cli.jobs is a face and imports nephew.backends.contract: it should ask the core",
        ),
        ("nephew/runner.py", "import peewee", "nephew.runner imports peewee"),
        ("nephew/backends/sql/queue.py", "import redis.client", "nephew.backends.sql.queue imports redis"),
        ("nephew/runner.py", "from app.models import Todo", "nephew.runner imports app, an application's"),
    ],
)
def test_an_import_against_the_layout_is_found(tmp_path: Path, file: str, line: str, problem: str) -> None:
    for path in (tmp_path / "nephew" / each for each in EXAMPLE):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / file).write_text(line)

    assert problems(read_modules(tmp_path)) == [problem]


def problems(modules: Modules) -> list[str]:
    return [
        problem
        for module, imported in sorted(modules.items())
        for other in sorted(imported)
        if (problem := problem_with(module, other))
    ]


def problem_with(module: str, other: str) -> str | None:
    """What is wrong with `module` importing `other`, if anything."""
    package = other.partition(".")[0]
    if package in APPLICATION:
        return f"{module} imports {package}, an application's"
    if package != "nephew":
        allowed = RESERVED.get(package, ("nephew",))
        return None if any(within(module, each) for each in allowed) else f"{module} imports {package}"
    if LEVELS.index(level(module)) < LEVELS.index(level(other)):
        return f"{module} ({level(module)}) imports {other} ({level(other)})"
    if (mine := backend(module)) and (theirs := backend(other)) and mine != theirs:
        return f"{module} and {other} are different backends"
    if level(module) == "face" and level(other) in ("backend", "store"):
        return f"{module} is a face and imports {other}: it should ask the core"
    return None


def within(module: str, start: str) -> bool:
    """nephew.store holds nephew.store, nephew.store.tables and nephew.store_tables, but not nephew.stored."""
    return module == start or module.startswith((f"{start}.", f"{start}_"))


def level(module: str) -> str:
    if module == "nephew.__main__":
        return "face"
    name = module.split(".")[1] if "." in module else ""  # "": nephew itself, which offers the core
    if name in VALUES:
        return "value"
    if within(module, "nephew.store"):
        return "store"
    if name == "backends":
        return "backend"
    return "face" if name in FACES else "core"


def backend(module: str) -> str | None:
    """`sql` for nephew.backends.sql and what is in it; None for what all backends share."""
    parts = module.split(".")
    if parts[:2] != ["nephew", "backends"] or len(parts) < 3:
        return None
    return parts[2] if parts[2] in BACKENDS else None


def read_modules(root: Path) -> Modules:
    """Every module of nephew, by its full name, with the full names of what it imports."""
    files = {module_name(file.relative_to(root)): file for file in (root / "nephew").rglob("*.py")}
    return {name: set(imports(file, name, files.keys())) for name, file in files.items()}


def module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file: Path, module: str, known: Modules | set[str]) -> Iterator[str]:
    package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
    for node in nodes_that_run(ast.parse(file.read_text(), str(file))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*start, *filter(None, [node.module])])
            for alias in node.names:  # a module of that name, or something inside of `source`
                inner = f"{source}.{alias.name}"
                yield inner if inner in known else source


def nodes_that_run(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below, but for those under `if TYPE_CHECKING:`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            children: list[ast.AST] = list(child.orelse)
        else:
            children = [child]
        for each in children:
            yield each
            yield from nodes_that_run(each)
