"""Many rules of one type: few are tried, the same ones hold, and the trace tells of the others."""

from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from services.policy.bundle import Bundle
from services.policy.compile import compile_policy
from services.policy.compiling.walks import FEW
from services.router.decision.model import Event, Lifecycle, Policy, Scope, Severity, Truth, Walk
from services.router.decision.rules import matching

CLARION = "tenant: acme\n"
CATEGORIES = "categories:\n  news: {title: News, default: instant}\n"
EVENT = """\
type: acme.thing
owner: things
description: A thing.
lifecycle: true
data:
  type: object
  required: [kind, count]
  properties:
    kind: {type: string}
    count: {type: integer}
    size: {type: number}
    note: {type: string}
"""
TEMPLATE = "headline: News\nwhat: News.\n"
RULE = (
    "  - {{name: r{n}, on: acme.thing, when: '{when}', category: news, class: informational,"
    " channels: {{first: email}}, template: news{more}}}\n"
)
LAST = '  - {name: rest, on: "*", ignore: true}\n'


def policy(conditions: list[str], more: dict[int, str] | None = None) -> Policy:
    rules = "".join(RULE.format(n=n, when=when, more=(more or {}).get(n, "")) for n, when in enumerate(conditions))
    files = {
        "clarion.yaml": CLARION,
        "categories.yaml": CATEGORIES,
        "events/thing.yaml": EVENT,
        "rules/all.yaml": f"rules:\n{rules}{LAST}",
        "templates/news/en.yaml": TEMPLATE,
    }
    return compile_policy(Bundle({name: text.encode() for name, text in files.items()}))


def scope(lifecycle: Lifecycle = Lifecycle.OPENED, **data: Any) -> Scope:
    event = Event(
        tenant="acme",
        source="s",
        id="e",
        type="acme.thing",
        subject="S",
        time=0,
        lifecycle=lifecycle,
        sequence=None,
        severity=Severity.MAJOR,
        expiry=None,
        customers=("ana",),
        data={"kind": "k0", "count": 0, **data},
        content_hash=b"",
        accepted=0,
    )
    return Scope(event, None, None, 0)


def matched(seen: Scope, given: Policy) -> list[str]:
    return [rule.name for rule, _ in matching(seen, given)[0]]


def test_few_rules_are_all_tried_and_told() -> None:
    given = policy([f'data.kind == "k{n}"' for n in range(FEW - 1)])
    assert given.walks["acme.thing"].candidates is None
    (rule, tried), *_ = matching(scope(kind="k9"), given)[0]
    assert (rule.name, len(tried)) == ("r9", 10)
    assert all(line.why for line in tried[:-1])


@pytest.mark.parametrize(
    ("conditions", "data", "expected", "field", "passed_over"),
    [
        ([f'data.kind == "k{n}"' for n in range(40)], {"kind": "k30"}, ["r30"], "data.kind", 30),
        ([f'"k{n}" == data.kind && data.count >= 0' for n in range(40)], {"kind": "k30"}, ["r30"], "data.kind", 30),
        ([f'data.kind in ["k{n}", "all"]' for n in range(40)], {"kind": "all"}, ["r0"], "data.kind", 0),
        ([f"data.count == {n}" for n in range(40)], {"count": 30}, ["r30"], "data.count", 30),
        ([f"data.count >= {n} && {n + 1} > data.count" for n in range(40)], {"count": 30}, ["r30"], "data.count", 29),
        ([f"data.size > {n}.5 && data.size < {n}.75" for n in range(40)], {"size": 30.6}, ["r30"], "data.size", 30),
        ([f'data.kind == "k{n}"' for n in range(40)], {"kind": "other"}, [], "data.kind", 40),
    ],
)
def test_of_many_rules_only_those_are_tried_that_can_hold(
    conditions: list[str], data: dict[str, Any], expected: list[str], field: str, passed_over: int
) -> None:
    given, seen = policy(conditions), scope(**data)
    assert given.walks["acme.thing"].field == field
    assert matched(seen, given) == expected
    tried = matching(seen, given)[1]
    others = [(line.others, line.why) for line in tried if line.others]
    assert others == ([(passed_over, f"they ask for another {field}")] if passed_over else [])


def test_of_rules_that_have_nothing_in_common_the_last_failures_are_told() -> None:
    given = policy([*[f"size(data.kind) == {n + 100}" for n in range(40)], "data.count == 0"])
    (rule, tried), *_ = matching(scope(), given)[0]
    assert rule.name == "r40"
    assert (tried[0].others, tried[0].why) == (24, "they did not hold either")
    assert [line.rule for line in tried[1:]] == [f"r{n}" for n in range(24, 41)]
    assert all("size(data.kind)" in line.why for line in tried[1:-1])


def test_rules_that_go_on_are_told_where_they_held() -> None:
    given = policy([f'data.kind == "k{n // 2}"' for n in range(40)], {20: ", continue: true"})
    found, tried = matching(scope(kind="k10"), given)
    assert [rule.name for rule, _ in found] == ["r20", "r21"]
    assert [(line.rule, line.truth, line.others) for line in tried] == [
        ("", Truth.FALSE, 20),
        ("r20", Truth.TRUE, 0),
        ("r21", Truth.TRUE, 0),
    ]


PARTS = (
    *(f'data.kind == "k{n}"' for n in range(6)),
    *(f'data.kind in ["k{n}", "k{n + 1}"]' for n in range(4)),
    *(f"data.count {sign} {n}" for sign in ("<", "<=", "==", ">=", ">", "!=") for n in (-1, 0, 2)),
    *(f"data.size {sign} {n}" for sign in ("<", "<=", "==", ">=", ">") for n in ("0.5", "2.0", "9007199254740993.0")),
    *('event.lifecycle == "opened"', 'event.severity == "minor"', 'data.note == "x"', 'data.kind != "k1"'),
    *('!(data.kind == "k2")', 'data.kind == "k1" || data.count == 1', "has(data.note)", "data.note == null"),
)


def a_condition(random: Random) -> str:
    return " && ".join(random.sample(PARTS, random.choice((1, 1, 2, 3))))


@pytest.mark.parametrize("seed", range(40))
def test_the_short_walk_finds_the_same_rules_as_the_long_one(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - a seed is what is wanted
    more = {n: ", continue: true" for n in range(60) if random.random() < 0.5}
    given = policy([a_condition(random) for _ in range(60)], more)
    (walk,) = given.walks.values()
    long = {"acme.thing": Walk(walk.rules)}
    for _ in range(60):
        data: dict[str, Any] = {"kind": f"k{random.randrange(8)}", "count": random.choice((-2, -1, 0, 1, 2, 3))}
        data |= (
            {"size": random.choice((0.5, 0.25, 2, 9007199254740992, 9007199254740994))} if random.random() < 0.7 else {}
        )
        data |= {"note": random.choice(("x", "y"))} if random.random() < 0.5 else {}
        seen = scope(random.choice((Lifecycle.OPENED, Lifecycle.RESOLVED)), **data)
        found, tried = matching(seen, given)
        assert [rule.name for rule, _ in found] == matched(seen, _with(given, long))
        assert sum(line.others or 1 for line in tried) == sum(
            line.others or 1 for line in matching(seen, _with(given, long))[1]
        )


def _with(given: Policy, walks: dict[str, Walk]) -> Policy:
    return replace(given, walks=walks)
