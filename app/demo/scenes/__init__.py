"""The scenes, in their order. Each plays on a `Stage` and returns its outcome in a few words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.demo.scenes.cleanup import clean_up
from app.demo.scenes.crash import kill_a_worker
from app.demo.scenes.downloads import download_a_file, download_once
from app.demo.scenes.exports import export_to_dos
from app.demo.scenes.failures import always_fail, fail_twice
from app.demo.scenes.mail import remind
from app.demo.scenes.periodic import watch_ticks
from app.demo.scenes.workflows import combine
from app.demo.stage import Stage


@dataclass(frozen=True, slots=True)
class Scene:
    """A title for people, and what happens."""

    title: str
    play: Callable[[Stage], str]


SCENES = (
    Scene("A download, with progress and checksum", download_a_file),
    Scene("The same URL, asked for twice at the same time", download_once),
    Scene("An export of 5,000 to-dos to JSON and CSV", export_to_dos),
    Scene("A reminder by e-mail", remind),
    Scene("Cleaning up an expired export", clean_up),
    Scene("A job that fails twice, then succeeds", fail_twice),
    Scene("A job that always fails", always_fail),
    Scene("A tick every 2 seconds", watch_ticks),
    Scene("A pipeline and a chord", combine),
    Scene("A worker killed in the middle of a job", kill_a_worker),
)
