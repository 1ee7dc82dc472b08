"""Cleaning up."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from app.demo.people import give_todos, someone
from app.demo.stage import Stage, expect
from app.models import Export, now
from tasks.cleanup import daily_cleanup
from tasks.exports import request_export


def clean_up(stage: Stage) -> str:
    """Let one of two exports expire and run the clean-up that otherwise comes at 02:00."""
    user = someone("Linus")
    give_todos(user, 10)
    results = [request_export(user.id), request_export(user.id)]
    expired, kept = (Path(stage.value(result)["path"]) for result in results)
    Export.update(expires_at=now() - dt.timedelta(seconds=1)).where(Export.path == str(expired)).execute()
    expect([expired.exists(), kept.exists()], [True, True], "which files there are before")
    cleaned = stage.value(daily_cleanup())
    expect(cleaned["exports"], 1, "the number of removed exports")
    expect([expired.exists(), kept.exists()], [False, True], "which files there are after")
    recorded = [export.path for export in Export.select().where(Export.user == user)]
    expect(recorded, [str(kept)], "the exports still recorded")
    stage.say("Of two exports one had expired: its file and its row are gone, the other is untouched.")
    return "1 of 2 exports removed"
