"""The tasks of an instance by the names that their jobs are stored with, former names included."""

from __future__ import annotations

from typing import Any

from huey.registry import Registry as HueyRegistry

from nephew.errors import ConfigError, NameTaken


class Registry(HueyRegistry):
    """Huey's registry, in which a renamed task has a class of its own for each former name.

    A job that was stored under one of them keeps it: its retries, its revocations and the steps of its pipeline are
    what a consumer of the former version knows as well.
    """

    def __init__(self) -> None:
        super().__init__()
        #: The names of those that are registered: each job asks for it, more than once.
        self._names: dict[Any, str] = {}

    def task_to_string(self, task_class: Any) -> str:
        """The name that jobs of a task are stored with."""
        return self._names.get(task_class) or str(super().task_to_string(task_class))

    def register(self, task_class: Any) -> bool:
        """Make a task known by its name and its former names.

        :raises ConfigError: when one of them is that of another task, which is named as well.
        """
        name, aliases = self.task_to_string(task_class), aliases_of(task_class)
        for alias in aliases:
            if alias in (name, *self._registry):
                raise ConfigError(f"task {name}: expected an alias that no task is called by, got {alias!r}")
        if name in self._registry:
            other = self.present(name)
            now = self.task_to_string(other)
            if now != name:
                raise ConfigError(f"task {name}: expected a name that no task had before, got an alias of {now}")
            raise NameTaken(
                f"task {name}: expected one function of this name, got {_place_of(other)} and {_place_of(task_class)}; "
                "give one of them another name="
            )
        super().register(task_class)
        self._registry |= {alias: _former(task_class, alias) for alias in aliases}
        self._names |= {self._registry[each]: each for each in (name, *aliases)}
        return True

    def unregister(self, task_class: Any) -> bool:
        """Forget a task with its former names; False when it is not known."""
        for alias in aliases_of(task_class):
            self._names.pop(self._registry.pop(alias, None), None)
        self._names.pop(task_class, None)
        return bool(super().unregister(task_class))

    def tasks(self) -> dict[str, Any]:
        """The tasks by their present names."""
        return {name: made for name, made in self._registry.items() if name not in aliases_of(made)}

    def periodic(self) -> list[Any]:
        """The tasks that have a schedule, in the order in which they were registered."""
        found: list[Any] = self._periodic_tasks
        return found

    def all_names(self, task_class: Any) -> list[Any]:
        """A task's classes, that of its present name first."""
        task_class = getattr(task_class, "task_class", task_class)
        return [task_class, *(self._registry[alias] for alias in aliases_of(task_class))]

    def present(self, name: str) -> Any:
        """The task that is or was called so; None: none."""
        made = self._registry.get(name)
        return made.__base__ if name in aliases_of(made) else made

    def first_name(self, name: str) -> str:
        """What a task was called at first: consumers of all versions agree on it."""
        return (name, *aliases_of(self._registry[name]))[-1]


def aliases_of(task_class: Any) -> tuple[str, ...]:
    """The former names of a task, the latest first."""
    options = getattr(task_class, "nephew_options", None)
    return () if options is None else options.aliases


def _place_of(task_class: Any) -> str:
    """Where the function of a task is, for people."""
    code = getattr(getattr(task_class, "nephew_function", None), "__code__", None)
    return repr(task_class) if code is None else f"{code.co_filename}:{code.co_firstlineno}"


def _former(task_class: Any, alias: str) -> Any:
    module, _, name = alias.rpartition(".")
    return type(name, (task_class,), {"__module__": module})
