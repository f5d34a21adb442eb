"""One real Kafka for a run of the tests, shared by its parallel workers; topics of its own for each test.

The first worker that needs a Kafka starts it; the run's main process stops it. What a killed run left behind is
stopped by the next one.
"""

import asyncio
import getpass
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex

import psutil
import pytest
from rich.console import Console

from services.common.topics import Topics
from services.control.broker import cluster
from services.control.broker.jars import ensure_jars, locked
from services.control.broker.java import find_java
from services.control.broker.settings import BrokerSettings
from services.control.errors import ClarionError
from services.control.topics import connected, create_topics
from tests.support.settings import SuiteSettings

PARTITIONS = 4

_HOMES = Path(tempfile.gettempdir()) / f"clarion-tests-{getpass.getuser()}"


def shared_bootstrap(main_pid: int) -> str:
    """Say where the run's Kafka is, starting it if nobody has yet."""
    if named := SuiteSettings().kafka_bootstrap:
        return named
    need_packages()
    return _find_or_start(_HOMES / str(main_pid))


def need_packages() -> None:
    """Have what a Kafka needs; where it cannot be had, skip on a laptop and fail in CI."""
    settings, console = BrokerSettings(), Console(stderr=True)
    try:
        find_java(settings, console)
        ensure_jars(settings, console)
    except (ClarionError, OSError) as error:
        if SuiteSettings().ci:
            raise
        pytest.skip(f"no Kafka: {error}")


def stop_shared(main_pid: int) -> None:
    """Stop the run's Kafka, if there is one."""
    home = _HOMES / str(main_pid)
    if found := cluster.attach(home):
        asyncio.run(found.stop())
    (home / ".lock").unlink(missing_ok=True)
    if home.exists():
        home.rmdir()


def _find_or_start(home: Path) -> str:
    with locked(_HOMES / ".lock"):
        if found := cluster.attach(home):
            return found.bootstrap
        _sweep()
        return asyncio.run(cluster.start(ephemeral=True, home=home)).bootstrap


def _sweep() -> None:
    for home in _HOMES.glob("[0-9]*"):
        if not psutil.pid_exists(int(home.name)):
            stop_shared(int(home.name))


@asynccontextmanager
async def created_topics(bootstrap: str) -> AsyncIterator[Topics]:
    """Create all topics under a prefix that nobody else has, and delete them afterwards."""
    topics = Topics(prefix=f"t{token_hex(4)}-", partitions=PARTITIONS)
    async with connected(bootstrap) as admin:
        await create_topics(admin, topics.all())
        try:
            yield topics
        finally:
            await admin.delete_topics([topic.name for topic in topics.all()])
