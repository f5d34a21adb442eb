"""The decision core imports nothing but msgspec and value modules of the standard library."""

import ast
from pathlib import Path

import pytest

CORE = Path(__file__).parents[3] / "services" / "router" / "decision"
VALUES = frozenset(
    {
        *("base64", "bisect", "collections.abc", "datetime", "enum", "functools", "hashlib", "operator", "typing"),
        *("zoneinfo", "msgspec", "msgspec.structs", "services.router.decision"),
    }
)
# Ways to what an import would bring: the clock, the file system, other code.
NOT_NAMED = frozenset({"__import__", "eval", "exec", "open", "compile", "globals", "print"})


def imported(source: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    return {name for name in found if name not in VALUES and not name.startswith("services.router.decision.")}


def unwanted_names(source: str) -> set[str]:
    tree = ast.parse(source)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} & NOT_NAMED
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & {"now", "utcnow", "today"}
    calls = {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in attributes
    }
    return names | calls


@pytest.mark.parametrize("file", sorted(CORE.glob("*.py")), ids=lambda file: file.stem)
def test_the_core_imports_only_values(file: Path) -> None:
    source = file.read_text()
    assert imported(source) == set()
    assert unwanted_names(source) == set()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("import time", {"time"}),
        ("from os import environ", {"os"}),
        ("from services.common import clock", {"services.common"}),
        ("from . import caps", {"."}),
        ("import bisect", set()),
        ("from services.router.decision.model import Event", set()),
    ],
)
def test_a_bad_import_is_seen(line: str, found: set[str]) -> None:
    assert imported(line) == found
    assert unwanted_names("from datetime import datetime\ndatetime.now()") == {"now"}
