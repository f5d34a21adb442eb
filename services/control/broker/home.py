"""What stands in a cluster's folders: who runs it (`cluster.json`), a lock, and each broker's data and logs."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from services.control.broker.config import Node
from services.control.broker.settings import Jvm

_LOOK_AGAIN_S = 0.05


class Record(Struct, frozen=True):
    """What `cluster.json` holds: a cluster as any process can find it."""

    nodes: tuple[Node, ...]
    data: Path
    ephemeral: bool
    jvm: Jvm
    java: Path
    classpath: tuple[Path, ...]


def read_record(home: Path) -> Record | None:
    """Read who runs here; none if nobody has said so."""
    try:
        content = _record_file(home).read_bytes()
    except FileNotFoundError:
        return None
    return msgspec.json.decode(content, type=Record, dec_hook=lambda kind, value: kind(value))


def write_record(home: Path, record: Record) -> None:
    """Say who runs here; readers see the former record or this one, never a part."""
    part = home / "cluster.json.part"
    part.write_bytes(msgspec.json.encode(record, enc_hook=str))
    part.replace(_record_file(home))


def remove_record(home: Path) -> None:
    """Say that nobody runs here."""
    _record_file(home).unlink(missing_ok=True)


@asynccontextmanager
async def locked(home: Path) -> AsyncIterator[None]:
    """Hold a home folder while a cluster starts in it, waiting for whoever has it."""
    with _lock_file(home) as file:
        while not _try_lock(file):  # noqa: ASYNC110  # the system has no event for locks of others
            await asyncio.sleep(_LOOK_AGAIN_S)
        yield


def size_of(data: Path) -> int:
    """Count the brokers that have written this data."""
    return sum(1 for _ in data.glob("broker-*"))


def is_formatted(folder: Path) -> bool:
    """Tell whether a broker has data."""
    return (folder / "log" / "meta.properties").exists()


def cluster_id(data: Path) -> str | None:
    """Read the id that the data bears."""
    for meta in sorted(data.glob("broker-*/log/meta.properties")):
        for line in meta.read_text().splitlines():
            if line.startswith("cluster.id="):
                return line.partition("=")[2]
    return None


def last_words(folder: Path) -> str:
    """Find the line of a broker's logs that tells most about why it ended."""
    logs = (folder / "kafka.log", folder / "console.log")
    return telling_line("\n".join(path.read_text(errors="replace") for path in logs if path.exists()))


def telling_line(output: str) -> str:
    """Find the last line that names an error, or the last of all."""
    lines = output.splitlines()
    telling = [line for line in lines if re.search("Exception|Error|ERROR", line)]
    return (telling or lines or ["it said nothing"])[-1].strip()


def _record_file(home: Path) -> Path:
    return home / "cluster.json"


def _lock_file(home: Path) -> IO[str]:
    home.mkdir(parents=True, exist_ok=True)
    return (home / ".lock").open("a")


def _try_lock(file: IO[str]) -> bool:
    try:
        flock(file, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        return False
    return True
