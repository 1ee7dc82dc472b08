"""The documentation is true: its examples run, its tables are the code's, its links and names exist.

How an example is marked. A Python block whose first line is `# app.py` (or any other file name) is that file;
`# app.py, continued` is its next part. A shell block with a line `huey_consumer …` says how the consumer is
started. `try.py` is run beside it and has to print what stands behind its prints, as in
`print(add(1, 2))  # 3`; `test_….py` is run by pytest. Other blocks are fragments, for reading only.
"""

from __future__ import annotations

import ast
import configparser
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nephew import cron
from nephew.cli.schedules import print_entries
from nephew.middleware import OPTIONS
from nephew.options import known
from nephew.preview import preview
from nephew.settings import Settings, names

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

#: Written by others, or made by programs.
OTHERS = {"benchmarks.md", "cli.md"}

PAGES = sorted([ROOT / "README.md", *(page for page in DOCS.glob("*.md") if page.name not in OTHERS)])

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (\w+\.py)(, continued)?\n")

Files = dict[str, str]


# -- examples ----------------------------------------------------------------------------------------


def blocks(page: Path, kind: str) -> list[str]:
    """The fenced blocks of a kind."""
    return [text for found, text in FENCE.findall(page.read_text()) if found == kind]


def files(page: Path) -> Files:
    """The files that the Python blocks of a page make up."""
    found: Files = {}
    for block in blocks(page, "python"):
        head = FILE.match(block)
        if head is None:
            continue
        name, continued = head.groups()
        assert bool(continued) == (name in found), f"{page.name}: `# {name}` is begun twice or continued before"
        found[name] = f"{found[name]}\n\n{block}" if continued else block
    return found


def command(page: Path) -> tuple[dict[str, str], list[str]]:
    """The first consumer command of a page, and the variables set before it."""
    lines = "\n".join(blocks(page, "sh")).splitlines()
    line = next(line for line in lines if re.match(r"(\w+=\S+ )*huey_consumer app\.huey\b", line))
    words = shlex.split(line, comments=True)
    start = words.index("huey_consumer")
    return dict(word.split("=", 1) for word in words[:start]), words[start + 1 :]


def runnable(file: str) -> list[Path]:
    return [page for page in PAGES if any(name.startswith(file) for name in files(page))]


@pytest.mark.parametrize("page", runnable("try"), ids=lambda page: page.stem)
def test_the_example_of_the_page_works(page: Path, tmp_path: Path, redis_url: str) -> None:
    for name, text in files(page).items():
        (tmp_path / name).write_text(text.replace("redis://localhost:6379/0", redis_url))

    with consumer(page, tmp_path) as process:
        printed = run("try.py", cwd=tmp_path)
        process.send_signal(signal.SIGTERM)
        exit_code = process.wait(timeout=20)

    assert printed.splitlines() == promised_lines(files(page)["try.py"])
    assert exit_code == 0, (tmp_path / "output").read_text()


@pytest.mark.parametrize("page", runnable("test_"), ids=lambda page: page.stem)
def test_the_tests_of_the_page_pass(page: Path, tmp_path: Path) -> None:
    for name, text in files(page).items():
        (tmp_path / name).write_text(text)

    run("-m", "pytest", "-q", "-p", "no:cacheprovider", ".", cwd=tmp_path)


@contextmanager
def consumer(page: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The consumer as the page starts it."""
    variables, arguments = command(page)
    with open(folder / "output", "wb") as output:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("huey_consumer"), *arguments],
            cwd=folder,
            env=environment(folder) | variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def promised_lines(code: str) -> list[str]:
    """What the code says that it prints: the comment behind each print."""
    prints = re.findall(r"^\s*print\(", code, re.MULTILINE)
    promised = re.findall(r"^\s*print\(.*\)\s+# (.+)$", code, re.MULTILINE)
    assert promised and len(promised) == len(prints), "each print tells behind it what it prints"
    return promised


def run(*arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment(cwd),
        capture_output=True,
        text=True,
        timeout=60,
    )
    log = cwd / "output"
    said = log.read_text() if log.exists() else ""
    assert done.returncode == 0, f"{arguments} failed:\n{done.stdout}{done.stderr}\n{said}"
    return done.stdout


def environment(folder: Path) -> dict[str, str]:
    """The example's folder comes first: the checkout, where nephew is, has an `app` as well."""
    return os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_python_can_be_read(page: Path) -> None:
    for block in blocks(page, "python"):
        ast.parse(block)


# -- tables ------------------------------------------------------------------------------------------


def test_the_settings_are_listed_with_their_defaults() -> None:
    rows = re.findall(r"^\| `(NEPHEW_\w+)` \| (.*?) \|", (DOCS / "deployment.md").read_text(), re.MULTILINE)
    defaults = {variable: text.strip("` ") for variable, text in rows}

    for variable in ("NEPHEW_URL", "NEPHEW_DATABASE_URL", "NEPHEW_APP"):  # which are no settings of an instance
        del defaults[variable]
    assert sorted(defaults) == sorted(f"NEPHEW_{name.upper()}" for name in names())
    for variable, text in defaults.items():
        written_out = "" if text == "empty" else text
        assert Settings.load({variable: written_out}, {}) == Settings(), f"{variable} is not {text!r}"


def test_the_options_of_tasks_are_listed() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", (DOCS / "tasks.md").read_text(), re.MULTILINE)

    assert sorted(listed) == sorted(known() | OPTIONS)


def test_the_preview_across_changes_of_the_clock_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    (printed,) = (block for block in blocks(DOCS / "schedules.md", "") if "--around-dst" in block)

    print_entries(preview(cron("30 2 * * *", tz="Europe/Berlin"), datetime(2026, 10, 1, tzinfo=UTC), around_dst=True))

    assert printed == f"$ nephew schedules preview nightly --around-dst\n{capsys.readouterr().out}"


def test_the_systemd_unit_waits_for_the_drain() -> None:
    (text,) = blocks(DOCS / "deployment.md", "ini")
    unit = configparser.ConfigParser(strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)

    assert "huey_consumer" in unit["Service"]["ExecStart"]
    (drain,) = re.findall(r"NEPHEW_DRAIN=(\d+)", unit["Service"]["Environment"])
    assert int(unit["Service"]["TimeoutStopSec"]) >= int(drain) + 5


# -- names and links ---------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        if "://" in path or Path(path).name in OTHERS:
            continue
        found = page.parent / path if path else page
        assert found.exists(), f"{page.name} links to {target}, which does not exist"
        assert not anchor or anchor in anchors(found), f"{page.name} links to {target}: no such heading"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_promise_names_a_test_that_exists() -> None:
    promised = re.findall(r"`(tests/[\w/]+\.py)::(?:\w+::)?(\w+)`", (DOCS / "guarantees.md").read_text())

    assert len(promised) > 20
    missing = [f"{path}::{name}" for path, name in promised if not has_test(ROOT / path, name)]
    assert not missing, f"docs/guarantees.md names tests that do not exist: {missing}"


def has_test(path: Path, name: str) -> bool:
    return path.exists() and re.search(rf"^ *def {name}\(", path.read_text(), re.MULTILINE) is not None


def test_every_module_is_in_the_map() -> None:
    mapped = set(re.findall(r"^\| `(nephew/[\w/.]+)` \|", (DOCS / "internals.md").read_text(), re.MULTILINE))
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "nephew").rglob("*.py")}

    folders = {entry for entry in mapped if entry.endswith("/")}
    covered = {module for module in modules if any(module.startswith(folder) for folder in folders)}
    unmapped = {module for module in modules - mapped - covered if not module.endswith("__init__.py")}
    assert not unmapped, f"docs/internals.md does not say what these modules do: {sorted(unmapped)}"
    assert mapped - folders <= modules, f"there are no modules {sorted(mapped - folders - modules)}"


def test_every_name_in_the_internals_exists() -> None:
    source = Source()
    named = set(re.findall(r"`([A-Za-z_][\w.]*?)(?:\(.*?\))?`", (DOCS / "internals.md").read_text()))

    unknown = sorted(name for name in named if not source.has(name))

    assert not unknown, f"docs/internals.md names what nephew does not have: {unknown}"


class Source:
    """The names that the source of nephew defines."""

    #: Names that are not ours, by how they begin.
    OTHERS = ("huey.", "pg_notify", "poll", "stat", "lockf", "json", "code", "LISTEN", "UPDATE", "IMMEDIATE")

    def __init__(self) -> None:
        self.modules: dict[str, set[str]] = {}
        self.classes: dict[str, set[str]] = {}
        self.words: set[str] = set()
        for path in (ROOT / "nephew").rglob("*.py"):
            text = path.read_text()
            self.words.update(re.findall(r"\w+", text))
            tree = ast.parse(text)
            self.modules.setdefault(path.stem, set()).update(defined(tree.body))
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    members = self.classes.setdefault(node.name, set())
                    members.update(
                        defined(ast.walk(node)),
                        *([base.id] for base in node.bases if isinstance(base, ast.Name)),
                    )

    def has(self, name: str) -> bool:
        """Whether a class or module has that member, or a name without a dot is in the source at all."""
        owner, _, member = name.rpartition(".")
        if name.startswith(self.OTHERS):
            return True
        if not owner:
            return member in self.words
        return member in self.modules.get(owner, set()) | self.members(owner)

    def members(self, cls: str) -> set[str]:
        """A class's own and its bases'."""
        own = self.classes.get(cls, set())
        return own.union(*(self.members(each) for each in own & self.classes.keys() - {cls}))


def defined(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """What these nodes define or assign to."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.attr for target in targets if isinstance(target, ast.Attribute))
            yield from (target.id for target in targets if isinstance(target, ast.Name))
