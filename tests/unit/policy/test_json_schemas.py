"""The schemas for editors: made of the shapes, committed, and right about the example policy."""

import json
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from services.control.policies import example_folder
from services.policy.bundle import read_folder
from services.policy.documents import read
from services.policy.json_schemas import json_schemas, sentences
from services.policy.profiles import PROFILE_KEYS

ROOT = Path(__file__).parents[3]
FILES = read_folder(example_folder()).files
PLACES = {
    "clarion.yaml": "clarion.json",
    "categories.yaml": "categories.json",
    "caps.yaml": "caps.json",
    "events/*.yaml": "event.json",
    "rules/*.yaml": "rules.json",
    "templates/*/*.yaml": "template.json",
    "tests/*.yaml": "test.json",
}
RULE = {"name": "a", "on": "b", "category": "c", "class": "critical", "channels": {"first": "sms"}, "template": "d"}
REST = {"name": "rest", "on": "*", "ignore": True}
CAP = {"name": "a-day", "per": "channel", "limit": 3, "window": "24h", "over": "drop"}
EXPECT = [{"customer": "ana", "outcome": "SEND"}]
BROKEN = {
    "an unknown key": ("caps.json", {"caps": [{**CAP, "widow": "24h"}]}),
    "a missing key": ("caps.json", {"caps": [{"name": "a-day"}]}),
    "a word that is no duration": ("caps.json", {"caps": [{**CAP, "window": "1 day"}]}),
    "a number for a duration": ("caps.json", {"caps": [{**CAP, "window": 24}]}),
    "a choice that is none": ("caps.json", {"caps": [{**CAP, "over": "rerout"}]}),
    "a class that is none": ("caps.json", {"caps": [{**CAP, "reserve": {"urgent": 1}}]}),
    "a limit of nothing": ("caps.json", {"caps": [{**CAP, "limit": 0}]}),
    "a rule that neither sends nor ignores": ("rules.json", {"rules": [{"name": "a", "on": "b"}]}),
    "a channel that is none": ("rules.json", {"rules": [{**RULE, "channels": {"first": ["sms", "fax"]}}]}),
    "more than all customers": ("rules.json", {"rules": [{**RULE, "rollout": {"percent": 120}}]}),
    "a time that is none": (
        "clarion.json",
        {"tenant": "a", "defaults": {"quiet_hours": {"start": "22:00", "end": "24:00"}}},
    ),
    "a weekday that is none": ("clarion.json", {"tenant": "a", "defaults": {"quiet_hours": {"days": {"today": {}}}}}),
    "a type of attribute that is none": ("clarion.json", {"tenant": "a", "attributes": {"since": "day"}}),
    "a name that is none": ("categories.json", {"categories": {"a b": {"title": "A", "default": "off"}, "c": 1}}),
    "data that is no object": (
        "event.json",
        {"type": "a", "owner": "b", "description": "c", "data": {"type": "string"}},
    ),
    "a template without its fact": ("template.json", {"what": "It is so."}),
    "a reason that is none": ("test.json", {"start": "2026-03-28T22:30:00Z", "expect": [{"reason": "BECAUSE"}]}),
    "a customer with an unknown key": (
        "test.json",
        {"start": "2026-03-28T22:30:00Z", "customers": {"ana": {"adresses": {}}}, "expect": EXPECT},
    ),
    "a change of nobody": (
        "test.json",
        {"start": "2026-03-28T22:30:00Z", "timeline": [{"at": "1m", "profile": {"locale": "de"}}], "expect": EXPECT},
    ),
    "a test that expects nothing": ("test.json", {"start": "2026-03-28T22:30:00Z"}),
    "nothing where something stands": ("template.json", {"headline": "A", "what": "B", "why": None}),
}


def schema_of(path: str) -> str:
    return next(name for pattern, name in PLACES.items() if fnmatch(path, pattern))


def validator(name: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(json.loads(json_schemas()[name]))


def test_what_is_committed_is_what_the_shapes_say() -> None:
    """`make schemas` mends it."""
    committed = {path.name: path.read_text() for path in (ROOT / "deploy/schemas").iterdir()}
    assert committed == json_schemas()


def test_every_key_is_explained_and_nothing_else() -> None:
    keys, said = sentences()
    assert keys == said


def test_a_customer_has_the_keys_of_a_profile() -> None:
    kinds = json.loads(json_schemas()["test.json"])["$defs"]
    assert set(kinds["Profile"]["properties"]) == set(PROFILE_KEYS)
    assert set(kinds["Change"]["properties"]) == {"customer", *PROFILE_KEYS}


@pytest.mark.parametrize("path", FILES)
def test_the_example_policy_fits_its_schemas(path: str) -> None:
    document = read(path, FILES[path])
    assert document.root is not None
    assert [error.message for error in validator(schema_of(path)).iter_errors(document.root.plain())] == []


@pytest.mark.parametrize("path", FILES)
def test_every_file_tells_editors_its_schema(path: str) -> None:
    first = FILES[path].decode().split("\n", 1)[0]
    up = "../" * (path.count("/") + 1)
    assert first == f"# yaml-language-server: $schema={up}schemas/{schema_of(path)}"
    assert (example_folder() / path).parent.joinpath(first.partition("=")[2]).is_file()


@pytest.mark.parametrize(("name", "broken"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_refused(name: str, broken: dict[str, Any]) -> None:
    assert not validator(name).is_valid(broken)


def test_what_is_broken_is_sound_without_it() -> None:
    assert validator("caps.json").is_valid({"caps": [CAP]})
    assert validator("rules.json").is_valid({"rules": [RULE, REST]})
    assert validator("test.json").is_valid({"start": "2026-03-28T22:30:00Z", "expect": EXPECT})
