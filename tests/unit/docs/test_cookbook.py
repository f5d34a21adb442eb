"""Every example of docs/policy.md does what the page says: files are checked, rule tests run, commands tried.

A chapter's files, each named in its first line, stand on the example policy: they replace files of the same name, but
`clarion.yaml` and `categories.yaml` are added to. Each recipe is a chapter of its own. In a console example `policy` is
the folder that comes of it, `cat` shows a file that is put there, and a line `...` stands for any lines.
"""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from services.control.policies import example_folder
from services.policy.bundle import Bundle, read_folder
from services.policy.check import check
from services.policy.documents import read
from services.policy.json_schemas import json_schemas
from services.policy.testing.run import run

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/policy.md").read_text()
EXAMPLE = {path: text for path, text in read_folder(example_folder()).files.items() if not path.startswith("tests/")}
ADDED_TO = ("clarion.yaml", "categories.yaml")
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NAMED = re.compile(r"# ([\w./-]+\.yaml)\n")


def chapters() -> Iterator[tuple[str, str]]:
    for chapter in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        title, _, body = chapter.partition("\n")
        if title == "Recipes":
            for recipe in re.split(r"^### ", body, flags=re.MULTILINE)[1:]:
                name, _, rest = recipe.partition("\n")
                yield name, rest
        else:
            yield title, body


CHAPTERS = dict(chapters())


def fences(chapter: str, language: str) -> list[str]:
    return [content for name, content in FENCE.findall(CHAPTERS[chapter]) if name == language]


def plain(path: str, content: bytes) -> Any:
    document = read(path, content)
    assert document.root is not None
    assert document.mistakes == []
    return document.root.plain()


@cache
def schema_for(path: str) -> jsonschema_rs.Draft202012Validator:
    kind, _, inside = path.partition("/")
    name = f"{kind.removesuffix('s') if kind != 'rules' else kind}.json" if inside else kind.replace(".yaml", ".json")
    return jsonschema_rs.Draft202012Validator(json.loads(json_schemas()[name]))


def added(below: Any, above: Any) -> Any:
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return {**below, **{key: added(below.get(key), value) for key, value in above.items()}}


def policy(chapter: str) -> Bundle:
    files: dict[str, bytes] = dict(EXAMPLE)
    for content in fences(chapter, "yaml"):
        named = NAMED.match(content)
        assert named, f"this example does not say which file it is: {content[:60]}"
        path, text = named[1], content.encode()
        if path in ADDED_TO:
            text = json.dumps(added(plain(path, files[path]), plain(path, text))).encode()
        files[path] = text
    return Bundle(files)


def with_files(language: str) -> list[str]:
    return [chapter for chapter in CHAPTERS if fences(chapter, language)]


@pytest.mark.parametrize("chapter", with_files("yaml"))
def test_the_files_of_a_chapter_have_no_mistakes(chapter: str) -> None:
    assert [str(mistake) for mistake in check(policy(chapter)).mistakes] == []


@pytest.mark.parametrize("chapter", with_files("yaml"))
def test_editors_take_the_files_of_a_chapter(chapter: str) -> None:
    files = policy(chapter).files
    for content in fences(chapter, "yaml"):
        path = NAMED.findall(content)[0]
        assert list(schema_for(path).iter_errors(plain(path, files[path]))) == [], path


@pytest.mark.parametrize(
    "chapter", [chapter for chapter in with_files("yaml") if "# tests/" in "".join(fences(chapter, "yaml"))]
)
def test_the_rule_tests_of_a_chapter_pass(chapter: str) -> None:
    report = run(policy(chapter))
    failed = [
        (one.timeline.path, each.expectation, each.said)
        for one in report.files
        for each in one.checked
        if not each.passed
    ]
    assert failed == []
    assert report.passed
    assert report.files


def test_most_recipes_are_shown_by_a_rule_test() -> None:
    shown = [chapter for chapter in CHAPTERS if "# tests/" in "".join(fences(chapter, "yaml"))]
    assert len(shown) >= 15


@pytest.mark.parametrize("chapter", with_files("console"))
def test_a_console_prints_what_the_page_shows(chapter: str, tmp_path: Path) -> None:
    for number, content in enumerate(fences(chapter, "console")):
        folder = tmp_path / str(number)
        written(folder / "policy", policy(chapter).files)
        written(folder / "deploy/policy", read_folder(example_folder()).files)
        for command, output in commands(content):
            match shlex.split(command):
                case ["cat", name]:
                    written(folder, {name: output.encode()})
                case ["clarion", *arguments]:
                    printed = clarion(arguments, folder)
                    assert like(output, printed), f"{command}\n{printed}"
                case _:
                    pytest.fail(f"{command!r} is not tried")


def written(folder: Path, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def commands(content: str) -> Iterator[tuple[str, str]]:
    for each in re.split(r"^\$ ", content, flags=re.MULTILINE)[1:]:
        command, _, output = each.partition("\n")
        yield command, output


def clarion(arguments: list[str], folder: Path) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "services.control", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "200", "PYTHONPATH": f"{ROOT}:{ROOT}/protos/gen"},
    )
    return ran.stdout + ran.stderr


def like(shown: str, printed: str) -> bool:
    """Say whether this is what was printed; what changes with every word of the example policy does not count."""
    changing = re.compile(r"(?<=\bpolicy )[0-9a-f]{6}\b|\b\d+(?= files| test timelines)")
    shown, printed = (changing.sub("_", text) for text in (shown, printed))
    parts = [re.escape(part) for part in re.split(r"^[ ]*\.\.\.\n", shown, flags=re.MULTILINE)]
    return re.fullmatch("(?:.*\n)*?".join(parts), printed) is not None
