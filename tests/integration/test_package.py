"""What a user gets: the wheel alone, installed in an empty environment, runs the README's first example."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.leftovers import MARK

ROOT = Path(__file__).resolve().parents[2]

PACKAGED = ("CHANGELOG.md", "LICENSE", "README.md", "nephew", "pyproject.toml", "setup.cfg")
PASSED_ON = ("HOME", "PATH", "SSL_CERT_FILE", "TMPDIR", "http_proxy", "https_proxy", "no_proxy", MARK)


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the wheel and the sdist, built from a copy, so that the checkout stays as it is."""
    folder = tmp_path_factory.mktemp("distributions")
    source = folder / "source"
    source.mkdir()
    for name in PACKAGED:
        assert (ROOT / name).exists(), f"{name} is missing"
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    run(sys.executable, "-m", "build", "--outdir", folder, source)
    return folder


@pytest.fixture(scope="module")
def programs(distributions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment in which the wheel was installed, without extras."""
    environment = tmp_path_factory.mktemp("environment")
    (wheel,) = distributions.glob("*.whl")
    run(sys.executable, "-m", "venv", environment)
    run(environment / "bin" / "python", "-m", "pip", "install", "--quiet", wheel)
    return environment / "bin"


def test_only_nephew_is_packaged(distributions: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    (sdist,) = distributions.glob("*.tar.gz")

    wheel_files = set(zipfile.ZipFile(wheel).namelist())
    with tarfile.open(sdist) as archive:
        sdist_files = {name.partition("/")[2] for name in archive.getnames()}

    assert {file.partition("/")[0] for file in wheel_files if ".dist-info/" not in file} == {"nephew"}
    assert {"nephew/__init__.py", "nephew/py.typed"} <= wheel_files
    assert {str(script.relative_to(ROOT)) for script in (ROOT / "nephew").rglob("*.lua")} <= wheel_files
    assert {"LICENSE", "README.md", "setup.cfg", "nephew/py.typed"} <= sdist_files
    assert not {file.partition("/")[0] for file in sdist_files} & {"app", "tasks", "periodic"}


def test_the_command_tells_its_version(programs: Path, distributions: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    version = wheel.name.split("-")[1]

    assert version in run(programs / "nephew", "--version")


def test_the_first_example_of_the_readme_works(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(readme_block("app.py"))
    (tmp_path / "try.py").write_text(readme_block("try.py"))

    with consumer(programs, tmp_path) as process:
        printed = run(programs / "python", "try.py", cwd=tmp_path)
        process.send_signal(signal.SIGTERM)
        exit_code = process.wait(timeout=20)

    assert printed.splitlines() == promised_lines(readme_block("try.py"))
    assert exit_code == 0, (tmp_path / "consumer.log").read_text()


@contextmanager
def consumer(programs: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`huey_consumer app.huey`, as a user would start it there."""
    with open(folder / "consumer.log", "wb") as log:
        process = subprocess.Popen(
            [programs / "huey_consumer", "app.huey"],
            cwd=folder,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def readme_block(name: str) -> str:
    """The README's Python block whose first line is the comment `# <name>`."""
    readme = (ROOT / "README.md").read_text()
    for block in re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL):
        if block.startswith(f"# {name}\n"):
            return str(block)
    pytest.fail(f"README.md has no ```python block whose first line is `# {name}`")


def promised_lines(code: str) -> list[str]:
    """What the code says that it prints: the comment behind each print, as in `print(add(1, 2))  # 3`."""
    promised = re.findall(r"^\s*print\(.*\)\s+# (.+)$", code, re.MULTILINE)
    assert promised, "no print in try.py tells what it prints: put the output behind it, as a comment"
    return promised


def run(*command: str | Path, cwd: Path | None = None) -> str:
    environment = clean_environment()
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


def clean_environment() -> dict[str, str]:
    """Ours without what would change the outcome, such as PYTHONPATH; pip keeps its own settings."""
    return {name: value for name, value in os.environ.items() if name in PASSED_ON or name.startswith("PIP_")}
