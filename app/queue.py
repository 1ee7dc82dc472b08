"""The application's one Nephew instance; jobs import it from here, consumers from `app.main`."""

from __future__ import annotations

from app.config import Settings, settings
from app.database import db
from app.models import create_tables
from nephew import Nephew


def make_queue(settings: Settings) -> Nephew:
    """Jobs live on Redis where it is configured; else in the application's database, in its transactions."""
    if settings.redis_url is not None:
        return Nephew(settings.queue_name, settings.redis_url, database_url=settings.database_url)
    return Nephew(settings.queue_name, database=db)


#: The one instance of this process.
huey = make_queue(settings)

# Every worker makes sure of the tables when it starts.
huey.on_startup()(create_tables)
