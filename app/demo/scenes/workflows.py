"""Jobs that follow from jobs."""

from __future__ import annotations

from huey.api import chord

from app.demo.stage import Stage, expect
from app.queue import huey
from tasks.demo import add, total


def combine(stage: Stage) -> str:
    """A pipeline, each step fed by the one before; a chord, whose callback waits for all its members."""
    steps = huey.enqueue(add.s(1, 2).then(add, 3).then(add, 4))
    values = [stage.value(step) for step in steps]
    expect(values, [3, 6, 10], "the values of the pipeline")
    stage.say("Pipeline: 1 + 2 = 3, then + 3 = 6, then + 4 = 10.")
    members = range(1, 11)
    sum_of_squares = stage.value(huey.enqueue(chord([add.s(*[n] * n) for n in members], total.s())).callback)
    expect(sum_of_squares, sum(n * n for n in members), "the chord's total")
    stage.say(f"Chord: ten jobs side by side, and one that adds their results: {sum_of_squares}.")
    return f"pipeline {values[-1]}, chord {sum_of_squares}"
