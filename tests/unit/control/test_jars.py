"""The broker's jars are those of the list, byte for byte, however they came into the cache."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import pytest
from rich.console import Console

from services.control.broker.jars import KAFKA_VERSION, LOCK_FILE, ensure_jars, read_lock
from services.control.broker.settings import BrokerSettings
from services.control.errors import ClarionError

CONTENT = b"not really a jar"


class Repository(NamedTuple):
    """A Maven repository on loopback with one jar, and what was asked of it."""

    settings: BrokerSettings
    lock: Path
    asked: list[str]
    jar: Path


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002
            asked.append(self.path)

    jar = tmp_path / "repository/com/example/thing/1.0/thing-1.0.jar"
    jar.parent.mkdir(parents=True)
    jar.write_bytes(CONTENT)
    lock = tmp_path / "jars.lock"
    lock.write_text(f"# comment\ncom.example:thing:1.0 {len(CONTENT)} {sha256(CONTENT).hexdigest()}\n")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path / "repository")))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    mirror = f"http://127.0.0.1:{server.server_port}"
    yield Repository(BrokerSettings(cache_dir=tmp_path / "cache", jar_mirror=mirror), lock, asked, jar)
    server.shutdown()
    thread.join()
    server.server_close()


def ensure(repository: Repository) -> tuple[Path, ...]:
    return ensure_jars(repository.settings, Console(quiet=True), repository.lock)


def test_the_committed_list_is_complete_and_of_one_kafka() -> None:
    jars = read_lock()
    assert len(jars) == len({jar.filename for jar in jars}) == 47
    kafka = [jar for jar in jars if jar.coordinates.startswith("org.apache.kafka:")]
    assert {jar.coordinates.rpartition(":")[2] for jar in kafka} == {KAFKA_VERSION}
    assert all(len(jar.sha256) == 64 for jar in jars)


def test_the_list_names_no_address() -> None:
    assert "://" not in LOCK_FILE.read_text()


def test_a_missing_jar_is_fetched_once(repository: Repository) -> None:
    (jar,) = ensure(repository)
    assert jar.read_bytes() == CONTENT
    ensure(repository)
    assert repository.asked == ["/com/example/thing/1.0/thing-1.0.jar"]


def test_a_damaged_jar_is_fetched_again(repository: Repository) -> None:
    (jar,) = ensure(repository)
    jar.write_bytes(CONTENT[::-1])
    assert ensure(repository)[0].read_bytes() == CONTENT


def test_a_jar_put_there_by_hand_needs_no_network(repository: Repository) -> None:
    folder = repository.settings.cache_dir / f"kafka-{KAFKA_VERSION}"
    folder.mkdir(parents=True)
    (folder / "thing-1.0.jar").write_bytes(CONTENT)
    ensure(repository)
    assert repository.asked == []


def test_a_jar_with_another_checksum_is_refused_and_not_kept(repository: Repository) -> None:
    repository.jar.write_bytes(CONTENT[::-1])
    with pytest.raises(ClarionError, match=r"com\.example:thing:1\.0 was downloaded, but its sha256"):
        ensure(repository)
    assert not list(repository.settings.cache_dir.rglob("thing-1.0.jar*"))


def test_without_a_network_the_error_says_what_is_missing_and_where_it_may_be_put(repository: Repository) -> None:
    settings = repository.settings.model_copy(update={"jar_mirror": "http://127.0.0.1:1"})
    with pytest.raises(ClarionError) as raised:
        ensure_jars(settings, Console(quiet=True), repository.lock)
    message = str(raised.value)
    assert "ConnectionError" in message
    assert "1 of its files are missing (thing-1.0.jar)" in message
    assert str(LOCK_FILE) in message
    assert str(settings.cache_dir / f"kafka-{KAFKA_VERSION}") in message
    assert "\n" not in message


def test_two_processes_at_once_fetch_once(repository: Repository) -> None:
    program = (
        "import sys; from pathlib import Path; from rich.console import Console;"
        "from services.control.broker.jars import ensure_jars;"
        "from services.control.broker.settings import BrokerSettings;"
        "settings = BrokerSettings(cache_dir=Path(sys.argv[1]), jar_mirror=sys.argv[2]);"
        "ensure_jars(settings, Console(quiet=True), Path(sys.argv[3]))"
    )
    arguments = [str(repository.settings.cache_dir), str(repository.settings.jar_mirror), str(repository.lock)]
    both = [subprocess.Popen([sys.executable, "-c", program, *arguments]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert len(repository.asked) == 1
