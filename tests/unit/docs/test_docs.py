"""The pages say what is: links, commands, settings, files, tests and examples that they name are there and right."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.common.topics import LANES, Topics
from services.control.__main__ import COMMANDS, _load
from services.control.all_settings import all_settings
from services.control.event_lines import _KEYS, read_customers, read_events
from services.control.policies import example_folder
from services.ingest import check
from services.ingest.check import Taken, check_event
from services.ingest.check_customer import check_customer
from services.policy.bundle import read_folder
from services.policy.compile import compile_policy
from services.router.decision.model import REASONS_OF, Outcome
from services.sandbox.faults import FaultList

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
ADRS = sorted(ROOT.glob("docs/adr/0*.md"))
POLICY = compile_policy(read_folder(example_folder()))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# Machine paths, addresses elsewhere, and the words that say that something is not done.
FORBIDDEN = re.compile(
    r"/root|/home/|/tmp/"
    r"|https?://(?!`|127\.0\.0\.1|[\w.-]*\.example\b|keepachangelog\.com|cel\.dev|cloudevents\.io|www\.rfc-editor)"
    r"|\bissues? #?\d|\bTODO\b|\bFIXME\b|\bTBD\b",
    re.IGNORECASE,
)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def text(name: str) -> str:
    return (ROOT / name).read_text()


def fences(page: Path, language: str) -> list[str]:
    return [content for name, content in FENCE.findall(page.read_text()) if name == language]


def code(page: Path) -> str:
    """Everything that a page shows as code, one piece a line."""
    found = FENCE.findall(page.read_text())
    inline = re.findall(r"`([^`\n]+)`", FENCE.sub("", page.read_text()))
    return "\n".join([*(content for _, content in found), *inline])


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def json_lines() -> Iterator[tuple[str, dict[str, Any]]]:
    for page in PAGES:
        for _, content in FENCE.findall(page.read_text()):
            for line in content.splitlines():
                if line.startswith('{"'):
                    yield line, json.loads(line)


@each_page
def test_links_point_at_something(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@each_page
def test_files_that_are_named_exist(page: Path) -> None:
    for name in re.findall(r"\b(?:services|tests|protos|deploy|docs|bench)/[\w./-]+", code(page)):
        if "NAME" not in name and not re.fullmatch(r"tests/\w+\.yaml", name):  # rule tests of examples
            assert (ROOT / name.rstrip(".")).exists(), name


@each_page
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", text("Makefile"), re.MULTILINE))
    assert set(re.findall(r"^(?:\$ )?make ([a-z-]+)", code(page), re.MULTILINE)) <= targets


@each_page
def test_commands_exist(page: Path) -> None:
    for name, rest in re.findall(r"^(?:\$ )?(?:\.venv/bin/)?clarion ([a-z]+)(?: ([a-z|]+))?", code(page), re.MULTILINE):
        assert name in COMMANDS, name
        below = getattr(_load(name), "commands", None)
        if below is not None and rest:
            assert set(rest.split("|")) <= set(below), f"{name} {rest}"


@each_page
def test_settings_exist(page: Path) -> None:
    known = {setting.name for setting in all_settings()}
    assert {
        name for name in re.findall(r"\bCLARION_[A-Z_]*[A-Z]\b", page.read_text()) if name != "CLARION_SMTP"
    } <= known


@each_page
def test_nothing_is_said_that_belongs_elsewhere(page: Path) -> None:
    assert FORBIDDEN.findall(page.read_text()) == []


@each_page
def test_python_examples_are_python(page: Path) -> None:
    for example in fences(page, "python"):
        ast.parse(example)


def test_every_setting_is_in_the_table_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(CLARION_\w+|JAVA_HOME)` \| (.*?) ?\|", text("docs/operations.md"), re.MULTILINE))
    found = all_settings()
    assert {setting.name for setting in found} == set(rows)
    for setting in found:
        stated = rows[setting.name]
        if not setting.given and not stated.startswith("the user's"):
            assert setting.value.removesuffix(".0") == stated.removesuffix(".0"), setting.name


def test_events_in_examples_are_taken_by_the_door() -> None:
    lines = [line for line, value in json_lines() if "source" in value]
    assert lines
    for _, event in read_events(lines):
        assert not isinstance(event, tuple), event
        verdict = check_event(event, {"northwind": POLICY}.get, "northwind")
        assert isinstance(verdict, Taken), verdict


def test_customers_in_examples_are_taken_by_the_door() -> None:
    lines = [line for line, value in json_lines() if "customer" in value]
    assert lines
    for _, request in read_customers(lines, "northwind"):
        assert not isinstance(request, tuple), request
        assert check_customer("northwind", request.customer, request.merge_patch) is None


def test_faults_in_examples_are_faults() -> None:
    (example,) = [block for block in fences(ROOT / "docs/operations.md", "json") if "kind" in block]
    msgspec.json.decode(example.strip(), type=FaultList)


def test_the_table_of_outcomes_has_the_reasons_of_each() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| [^|]+ \| (`.+) \|$", text("docs/policy.md"), re.MULTILINE)
    shown = {outcome: re.findall(r"`([A-Z_]+)`", reasons) for outcome, reasons in rows}
    assert shown == {outcome.name: [reason.name for reason in reasons] for outcome, reasons in REASONS_OF.items()}


def test_every_attribute_and_every_reason_is_explained() -> None:
    page = text("docs/events.md")
    reasons = [*check.Reason, *(reason.name for reason in REASONS_OF[Outcome.ERROR])]
    assert [word for word in [*_KEYS, *reasons] if f"| `{word}` |" not in page] == []


def test_every_topic_is_in_the_table() -> None:
    names = {topic.name for topic in Topics().all()}
    lanes = {f"clarion.sends.email.{lane}.v1" for lane in LANES}
    rows = set(re.findall(r"^\| `(clarion\.[^`]+)`(?:, `(clarion\.[^`]+)`)?", text("ARCHITECTURE.md"), re.MULTILINE))
    assert {name for row in rows for name in row if name} == (names - lanes) | {"clarion.sends.email.<lane>.v1"}


def test_tests_that_show_promises_exist() -> None:
    bullets = re.findall(r"^- `(tests/[^`]+)`: (.*?)(?=^\S|\n\n)", text("docs/guarantees.md"), re.DOTALL | re.MULTILINE)
    assert bullets
    for path, names in bullets:
        for name in re.findall(r"`(test_\w+)`", names):
            assert f"def {name}(" in text(path), f"{path} {name}"


def test_every_decision_record_is_listed_and_whole() -> None:
    listed = re.findall(r"\((0\d+-[\w-]+\.md)\)", text("docs/adr/README.md"))
    assert listed == [page.name for page in ADRS]
    for number, page in enumerate(ADRS, 1):
        content = page.read_text()
        assert content.startswith(f"# {number}. ")
        assert re.findall(r"^## (.+)$", content, re.MULTILINE) == ["Context", "Decision", "Consequences"]


def test_the_page_of_metrics_is_up_to_date() -> None:
    command = [sys.executable, "-m", "services.control.metrics_catalogue"]
    made = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, cwd=ROOT).stdout
    assert text("docs/metrics.md") == made
