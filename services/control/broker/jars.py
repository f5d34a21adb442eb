"""The broker's jars: a committed list with checksums, fetched once into the cache.

The list (`jars.lock`) is the truth, not a resolver: what runs is what was committed, byte for byte.
A file counts only when its checksum is right, so files may be put into the folder by hand.
A file appears under its name only when it is whole, and one process at a time downloads.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from services.control.broker.settings import BrokerSettings
from services.control.errors import ClarionError

KAFKA_VERSION = "4.2.1"
LOCK_FILE = Path(__file__).with_name("jars.lock")

_PARALLEL = 8
_CHUNK = 65_536
_TIMEOUT_S = (10, 60)


class Jar(Struct, frozen=True):
    """One line of the list."""

    coordinates: str
    size: int
    sha256: str

    @property
    def filename(self) -> str:
        """The name in the cache; no two jars of the list share one."""
        _, artifact, version = self.coordinates.split(":")
        return f"{artifact}-{version}.jar"


def read_lock(path: Path = LOCK_FILE) -> tuple[Jar, ...]:
    """Read the list: coordinates, size in bytes, sha256 on each line."""
    lines = (line.split() for line in path.read_text().splitlines() if line and not line.startswith("#"))
    return tuple(Jar(coordinates, int(size), digest) for coordinates, size, digest in lines)


def ensure_jars(settings: BrokerSettings, console: Console, lock: Path = LOCK_FILE) -> tuple[Path, ...]:
    """Have all jars in the cache, and return them in the order of the class path."""
    folder = settings.cache_dir / f"kafka-{KAFKA_VERSION}"
    jars = read_lock(lock)
    if missing(jars, folder):
        with locked(folder / ".lock"):
            _download(missing(jars, folder), folder, settings.jar_mirror, console)
    return tuple(sorted(folder / jar.filename for jar in jars))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file's lock, waiting for whoever has it; it is free again when its holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        flock(file, LOCK_EX)
        yield


def missing(jars: tuple[Jar, ...], folder: Path) -> tuple[Jar, ...]:
    """List the jars that are not in the folder, or not whole."""
    return tuple(jar for jar in jars if not _whole(folder / jar.filename, jar))


def _whole(path: Path, jar: Jar) -> bool:
    return path.is_file() and path.stat().st_size == jar.size and _digest(path) == jar.sha256


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def _download(jars: tuple[Jar, ...], folder: Path, mirror: str | None, console: Console) -> None:
    progress = Progress(
        TextColumn(f"downloading Kafka {KAFKA_VERSION}, {len(jars)} files"),
        BarColumn(),
        DownloadColumn(),
        TimeElapsedColumn(),
        console=console,
    )
    with progress, ThreadPoolExecutor(_PARALLEL) as pool:
        task = progress.add_task("", total=sum(jar.size for jar in jars))
        try:
            list(pool.map(lambda jar: _fetch(jar, folder, mirror, lambda n: progress.advance(task, n)), jars))
        except OSError as error:
            pool.shutdown(cancel_futures=True)
            _give_up(jars, folder, error)


def _fetch(jar: Jar, folder: Path, mirror: str | None, advance: Callable[[int], None]) -> None:
    # Imported here: it takes 0.2 s, which every command would pay for the one first download.
    from maven_artifact.artifact import Artifact  # noqa: PLC0415
    from maven_artifact.downloader import Downloader  # noqa: PLC0415

    source = Downloader(mirror) if mirror else Downloader()
    address = source.resolver.uri_for_artifact(Artifact.parse(jar.coordinates))
    part = folder / f"{jar.filename}.part"
    with source.requestor.request(address, _raise, stream=True, timeout=_TIMEOUT_S) as answer, part.open("wb") as file:
        for chunk in answer.iter_content(_CHUNK):
            file.write(chunk)
            advance(len(chunk))
    if not _whole(part, jar):
        part.unlink()
        raise ClarionError(f"{jar.coordinates} was downloaded, but its sha256 is not the one of {LOCK_FILE.name}")
    part.replace(folder / jar.filename)


def _raise(_address: str, error: Exception) -> NoReturn:
    raise error


def _give_up(jars: tuple[Jar, ...], folder: Path, error: OSError) -> NoReturn:
    names = [jar.filename for jar in missing(jars, folder)]
    hint = ", ".join(names[:2]) + (", ..." if names[2:] else "")
    raise ClarionError(
        f"cannot download Kafka {KAFKA_VERSION} ({type(error).__name__}): {len(names)} of its files are missing "
        f"({hint}); connect to a network, or put the files that {LOCK_FILE} lists into {folder}"
    ) from error
