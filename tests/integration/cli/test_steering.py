"""Steering jobs, one or many at once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.cli.shop import Shop, here, opened, refused, run_waiting_jobs


# -- steering -----------------------------------------------------------------------------------------
def test_a_waiting_job_is_cancelled_and_put_back_and_leaves_no_registration(
    everywhere: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(everywhere, monkeypatch) as module:
        job = module.add(1)

        cancelled = everywhere.run("jobs", "cancel", job.id, job.id)
        record = module.huey.job(job.id)
        retried = everywhere.run("jobs", "retry", job.id, job.id)
        registered = module.huey.backend.workers()

    assert (record.state, record.reason) == ("cancelled", "cancelled by request")
    assert (cancelled.returncode, cancelled.stdout) == (1, f"Job {job.id} is cancelled.\n")
    assert "has ended already: it is cancelled" in cancelled.stderr
    assert (retried.returncode, retried.stdout) == (1, f"Job {job.id} is back in the queue.\n")
    assert "is queued; only an ended or parked job" in retried.stderr
    assert registered == []


def test_a_job_is_not_put_back_beside_one_with_its_unique_key(shop: Shop, module: Any) -> None:
    ended = module.once(7)
    run_waiting_jobs(module.huey)
    module.once(7)

    done = shop.run("jobs", "retry", ended.id)

    assert done.returncode == 1
    assert "an unfinished job has its unique key" in done.stderr


def test_a_job_is_deleted_once_it_has_ended(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ended = module.add(1)
    run_waiting_jobs(module.huey)
    waiting = module.add(2)

    assert here("jobs", "delete", ended.id, waiting.id, "nothing") == 1

    said = capsys.readouterr()
    assert said.out == f"Job {ended.id} is deleted.\n"
    assert said.err.splitlines() == [
        f"Error: job {waiting.id} is queued; only an ended or parked job can be deleted, so cancel it first",
        "Error: there is no job nothing here",
    ]
    assert [job.id for job in module.huey.jobs()] == [waiting.id]


def test_a_job_is_run_again_as_a_new_one(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    job = module.add(1)

    assert here("jobs", "rerun", job.id, "nothing") == 1

    said = capsys.readouterr()
    again = module.huey.job(said.out.strip())
    assert (again.args, again.relation, again.parents) == ((1,), "retry", (job.id,))
    assert said.err == "Error: there is no job nothing here\n"


# -- many at once -------------------------------------------------------------------------------------
def test_all_that_a_filter_means_is_put_back_cancelled_and_deleted(
    everywhere: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(everywhere, monkeypatch) as module:
        failed = [module.fail(str(number)).id for number in range(250)]
        run_waiting_jobs(module.huey)
        other = module.add(1)

        done = [
            everywhere.run("jobs", action, "--task", "fail", "--newer-than", "1h", "--yes")
            for action in ("retry", "cancel", "delete")
        ]

        assert [job.id for job in module.huey.jobs(limit=None)] == [other.id]
    assert len(failed) == 250
    assert [each.stdout for each in done] == [
        "250 jobs are back in the queue, 0 refused.\n",
        "250 jobs are cancelled, 0 refused.\n",
        "250 jobs are deleted, 0 refused.\n",
    ]


def test_many_are_changed_only_after_a_question(shop: Shop, module: Any) -> None:
    module.fail("x")
    run_waiting_jobs(module.huey)

    declined = shop.answer("n", "jobs", "delete", "--state", "failed")
    kept = len(module.huey.jobs())
    agreed = shop.answer("y", "jobs", "delete", "--state", "failed")

    assert (declined, kept) == ("Delete 1 job? [y/N]: Nothing was changed.\n", 1)
    assert (agreed, len(module.huey.jobs())) == ("Delete 1 job? [y/N]: 1 job is deleted, 0 refused.\n", 0)


def test_without_anybody_to_ask_nothing_is_changed(shop: Shop, module: Any) -> None:
    module.add(1)

    done = shop.run("jobs", "cancel", "--task", "add")

    assert done.returncode == 2
    assert "Cancel 1 job? There is nobody to ask; say --yes to do it" in done.stderr
    assert [job.state for job in module.huey.jobs()] == ["queued"]


def test_those_that_are_refused_are_counted(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    module.once(1)
    run_waiting_jobs(module.huey)
    module.once(1)

    code = here("jobs", "retry", "--task", "once", "--state", "succeeded", "--yes")

    assert (code, capsys.readouterr().out) == (1, "0 jobs are back in the queue, 1 refused.\n")


@pytest.mark.usefixtures("module")
def test_many_at_once_wants_ids_or_a_filter_and_not_both() -> None:
    for arguments in ([], ["some-id", "--state", "failed"]):
        assert "expected either IDs or a filter such as --state failed" in refused("jobs", "delete", *arguments)


def test_a_filter_that_means_nothing_is_exit_code_1(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    module.add(1)

    assert here("jobs", "delete", "--task", "add", "--yes") == 1
    assert capsys.readouterr().err == "No such job.\n"


def test_a_held_lock_is_listed_and_broken(shop: Shop, module: Any) -> None:
    module.huey.backend.acquire_lock("till", "owner", "host:1:thread", 60)

    listed = shop.json("locks", "list")
    broken = shop.run("locks", "break", "till", "till")

    assert [(lock["name"], lock["held_by"]) for lock in listed] == [("till", "host:1:thread")]
    assert (broken.returncode, broken.stdout) == (1, "Lock till is broken.\n")
    assert broken.stderr == "Nobody holds a lock till.\n"
    assert not module.huey.is_locked("till")
