"""The command line as a person meets it: help, wrong usage, errors in one line."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from services.control.__main__ import COMMANDS
from services.control.policies import example_folder


def clarion(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.control", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "200", **(environment or {})},
    )


def test_help_lists_every_command_and_imports_none_of_them() -> None:
    found = clarion("--help")
    assert found.returncode == 0
    assert all(name in found.stdout for name in COMMANDS)
    probe = "import sys, services.control.__main__; print([m for m in sys.modules if m in ('grpc', 'aiokafka')])"
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "name", [name for name in COMMANDS if name not in {"control", "customer", "policy", "kafka", "topics", "fanout"}]
)
def test_every_command_has_help_with_an_example(name: str) -> None:
    found = clarion(name, "--help")
    assert found.returncode == 0
    assert f"Example: clarion {name}" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("explan",), "explain"),
        (("explain",), "--customer"),
        (("sender", "sms"), "email"),
        (("up", "--ports", "many"), "free"),
        (("policy", "check"), "DIR"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_right(arguments: tuple[str, ...], says: str) -> None:
    found = clarion(*arguments)
    assert found.returncode == 2
    assert says in found.stderr
    assert "Traceback" not in found.stderr


def test_a_kafka_that_does_not_answer_is_one_line() -> None:
    found = clarion("explain", "--customer", "ana", "--bootstrap", "127.0.0.1:1")
    assert found.returncode == 1
    assert found.stdout == ""
    assert found.stderr == ("clarion: Kafka does not answer at 127.0.0.1:1: start it, or set CLARION_KAFKA_BOOTSTRAP\n")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("CLARION_PARTITIONS", "many", "CLARION_PARTITIONS must be a whole number"),
        ("CLARION_PARTITIONS", "0", "CLARION_PARTITIONS must be at least 1"),
        ("CLARION_SMTP_PORT", "70000", "CLARION_SMTP_PORT must be at most 65535"),
        ("CLARION_SENDER_TIMEOUT_S", "0", "CLARION_SENDER_TIMEOUT_S must be above 0.0"),
        ("CLARION_INGEST_REFLECTION", "maybe", "CLARION_INGEST_REFLECTION must be true or false"),
        ("CLARION_SMTP_SECURITY", "some", "CLARION_SMTP_SECURITY must be one of 'none', 'starttls' or 'tls'"),
        (
            "CLARION_BIND",
            "0.0.0.0",
            "CLARION_BIND must be an address of this machine, such as 127.0.0.1: the doors have no credentials yet",
        ),
        (
            "CLARION_BIND",
            "somewhere",
            "CLARION_BIND must be an address of this machine, such as 127.0.0.1: the doors have no credentials yet",
        ),
    ],
)
def test_a_wrong_setting_is_one_plain_sentence(name: str, value: str, says: str) -> None:
    found = clarion("settings", environment={name: value})
    assert (found.returncode, found.stderr) == (2, f"clarion: a setting is wrong: {says}\n")


def test_a_taken_port_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for name in ("CLARION_SANDBOX_HTTP_PORT", "CLARION_SANDBOX_SMTP_PORT"):
            free = {"CLARION_SANDBOX_HTTP_PORT": "0", "CLARION_SANDBOX_SMTP_PORT": "0"}
            found = clarion("sandbox", environment={**free, name: port})
            assert found.returncode == 1
            (failed,) = [json.loads(line) for line in found.stderr.splitlines() if "failed" in line]
            assert failed["reason"] == f"can't listen on 127.0.0.1:{port}: does another program?"
            assert "exception" not in failed


def test_settings_show_what_is_set_and_what_it_means() -> None:
    found = clarion("settings", "--json", environment={"CLARION_SMTP_PORT": "2526"})
    settings = {setting["name"]: setting for setting in json.loads(found.stdout)}
    assert settings["CLARION_SMTP_PORT"] == {
        "name": "CLARION_SMTP_PORT",
        "value": "2526",
        "meaning": "Its port.",
        "given": True,
        "readers": ["sender email"],
    }
    assert settings["CLARION_KAFKA_BOOTSTRAP"]["given"] is False
    assert all(setting["meaning"] for setting in settings.values())
    table = clarion("settings").stdout
    assert all(name in table for name in settings)


def test_the_example_policy_has_no_mistakes() -> None:
    found = clarion("policy", "check", str(example_folder()), "--strict")
    files = len(list(example_folder().rglob("*.yaml")))
    assert (found.returncode, found.stdout) == (0, f"no mistakes, no warnings in {files} files\n")


def test_a_policy_with_a_mistake_ends_with_1_and_names_the_place(tmp_path: Path) -> None:
    for file in example_folder().rglob("*.yaml"):
        copy = tmp_path / file.relative_to(example_folder())
        copy.parent.mkdir(parents=True, exist_ok=True)
        text = file.read_text(encoding="utf-8")
        copy.write_text(text.replace("{channel: sms}, limit: 3", "{channel: sms}, limit: 0"), encoding="utf-8")
    found = clarion("policy", "check", str(tmp_path))
    assert found.returncode == 1
    assert "caps.yaml:5:" in found.stdout
    facts = clarion("policy", "check", str(tmp_path), "--json")
    assert facts.returncode == 1
    assert [mistake["path"] for mistake in json.loads(facts.stdout)["mistakes"]] == ["caps.yaml"]
    refused = clarion("policy", "activate", str(tmp_path))
    assert refused.returncode == 1
    assert "caps.yaml:5:" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_folder_without_a_policy_is_one_mistake(tmp_path: Path) -> None:
    found = clarion("policy", "check", str(tmp_path))
    assert (found.returncode, found.stdout.splitlines()) == (
        1,
        ["clarion.yaml:1:1: no policy here: clarion.yaml is missing", "1 mistake, no warnings in no files"],
    )


def test_a_folder_that_is_not_there_is_one_line() -> None:
    found = clarion("policy", "check", "/nowhere")
    assert (found.returncode, found.stderr) == (1, "clarion: /nowhere is not a folder\n")
