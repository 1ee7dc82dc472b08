"""How a worker ended, in words and back."""

from __future__ import annotations

import datetime as dt

import pytest

from nephew import death, fingerprint
from nephew.death import Death


@pytest.mark.parametrize(
    ("exit_code", "peak_memory", "words", "told"),
    [
        (
            -9,
            851_443_712,
            "it was killed by SIGKILL (signal 9); peak memory 812 MiB (851443712 bytes)",
            Death("SIGKILL", 9, None, 851_443_712),
        ),
        (3, 1024, "it exited with code 3; peak memory 0 MiB (1024 bytes)", Death(exit_code=3, peak_memory=1024)),
        (-60, None, "it was killed by an unknown signal (signal 60)", Death(signal_number=60)),
        (0, None, "it exited with code 0", Death(exit_code=0)),
        (None, None, "it is gone", None),
    ],
)
def test_the_end_of_a_child_is_told_in_words_that_are_read_back(
    exit_code: int | None, peak_memory: int | None, words: str, told: Death | None
):
    said = death.of_child(exit_code, peak_memory)

    assert said == words
    assert death.told_in(said) == told
    assert death.told_in(f"its worker died 3 times while it was running; the last time: {said}") == told


def test_an_end_that_nobody_saw_is_told_with_the_last_sign_of_life():
    said = death.unseen("its process is gone", 1_795_346_601.9, 1_795_346_605.2)

    assert said == (
        "its process is gone; last sign of life 2026-11-22 11:23:21 UTC, found gone 2026-11-22 11:23:25 UTC"
    )
    assert death.told_in(said) == Death(last_seen=dt.datetime(2026, 11, 22, 11, 23, 21, tzinfo=dt.UTC))


@pytest.mark.parametrize("words", [None, "", "ValueError('no signal (signal 9)')", "its host was started anew"])
def test_other_errors_tell_of_no_death(words: str | None):
    assert death.told_in(words) is None


def test_crashes_of_one_kind_have_one_fingerprint_however_much_memory_and_time_they_took():
    kills = {fingerprint.of_crash("shop.charge", death.of_child(-9, size)) for size in (1, 5 << 20, 7 << 30)}
    losses = {fingerprint.of_crash("shop.charge", death.unseen("its process is gone", at, at + 5)) for at in (1e9, 2e9)}

    assert (len(kills), len(losses), len(kills | losses)) == (1, 1, 2)
