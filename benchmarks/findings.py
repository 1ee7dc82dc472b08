"""What a run found out, as a value that can be kept and shown again."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import imports
from benchmarks.plan import Plan
from benchmarks.runner import About
from benchmarks.runners import is_ours

#: A consumer whose jobs are done so soon after it was killed is killed in every round; others are waited for long.
QUICK_SECONDS = 5.0


@dataclass(slots=True)
class Findings:
    """Everything that one run found out."""

    plan: Plan
    machine: str
    #: When it began, as a date.
    date: str
    #: What was typed.
    command: str
    #: The runners, in the order of the table.
    names: list[str]
    #: The load before each round: what else went on.
    loads: list[float] = field(default_factory=list)
    #: The servers' versions.
    postgres: str = ""
    redis: str = ""
    minutes: float = 0
    abouts: dict[str, About] = field(default_factory=dict)
    #: For each runner and each measure, one figure a round; fewer where it failed.
    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    #: For each runner, what went wrong.
    failures: dict[str, list[str]] = field(default_factory=dict)
    imports: imports.Times = field(default_factory=dict)
    #: See `messages.measure`.
    messages: list[tuple[float, float]] = field(default_factory=list)

    def add(self, name: str, answer: dict[str, Any]) -> None:
        """Take what a session found."""
        self.abouts[name] = About(**answer["about"])
        for key, figure in answer["figures"].items():
            self.figures.setdefault(name, {}).setdefault(key, []).append(figure)
        reasons: dict[str, list[str]] = {}
        for module, reason in answer["failures"].items():
            reasons.setdefault(reason, []).append(module)
        for reason, modules in reasons.items():
            self.add_failure(name, f"{', '.join(modules)}: {reason}")

    def add_failure(self, name: str, failure: str) -> None:
        """Note why something of this runner's is missing; once, when it happens in every round."""
        known = self.failures.setdefault(name, [])
        if failure not in known:
            known.append(failure)

    def title(self, name: str) -> str:
        """What a runner is called; its module's name when it never got to say."""
        return self.abouts[name].title if name in self.abouts else name

    def all(self, name: str, key: str) -> list[float]:
        """The figures of all rounds; none where nothing was measured."""
        return self.figures.get(name, {}).get(key, [])

    def has_ours(self) -> bool:
        """Whether there are figures of every Nephew that was to be measured."""
        return all(self.figures.get(name) for name in self.names if is_ours(name))

    def recovers_quickly(self, name: str) -> bool:
        """Whether all jobs of its killed consumer were done soon, whenever that was tried."""
        tried, took = self.all(name, "lost"), self.all(name, "recovered")
        return len(took) == len(tried) and all(seconds <= QUICK_SECONDS for seconds in took)

    def median(self, name: str, key: str) -> float:
        """
        :raises KeyError: when it was not measured.
        """
        if not (figures := self.all(name, key)):
            raise KeyError(f"{key} of {self.title(name)}")
        return statistics.median(figures)

    def save(self, path: Path) -> None:
        """Write it down, as JSON."""
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: Path) -> Findings:
        """What was saved."""
        found = json.loads(path.read_text())
        abouts = {name: About(**about) for name, about in found.pop("abouts").items()}
        return cls(plan=Plan(**found.pop("plan")), abouts=abouts, **found)
