"""Expressions that mean harm: code in texts and names, and expressions that are deep, long or costly."""

from typing import Any

import pytest

from services.policy.cel_python import translate
from services.policy.expressions import ExpressionError, Language, customer_type
from services.policy.schemas import Field, Kind
from services.router.decision.model import Truth
from tests.unit.policy.test_expressions import LANGUAGE, NAMES, scope

INJECTIONS = (
    "'); raise SystemExit('",
    '\\"); raise SystemExit(\\"',
    "\\n    raise SystemExit\\n",
    "{scope}{0}%s",
    "__import__('os').abort()",
    "\\u2028\\\\",
    "K0",
)


@pytest.mark.parametrize("text", INJECTIONS)
def test_a_text_of_the_policy_is_only_a_text(text: str) -> None:
    compiled = LANGUAGE.compile(f'data.area == "{text}" || data.area in ["{text}", "b"]', NAMES)
    meant = text.encode().decode("unicode_escape")
    assert compiled.translated
    assert compiled.condition.evaluate(scope()) is Truth.FALSE
    assert compiled.condition.evaluate(scope({"area": meant})) is Truth.TRUE


@pytest.mark.parametrize(
    "name", ["ERROR", "scope", "otherwise", "evaluate", "v1", "K0", "Unusual", "__class__", "raise"]
)
def test_a_field_may_have_any_name(name: str) -> None:
    language = Language(Field(Kind.OBJECT, fields={name: Field(Kind.INTEGER)}), customer_type({name: "string"}))
    condition = language.compile(f"data.{name} + 1 == 4 && customer.attributes.{name} == null", NAMES).condition
    assert condition.evaluate(scope({name: 3})) is Truth.TRUE


def test_a_name_of_a_loop_is_no_name_of_the_function() -> None:
    for name in ("ERROR", "scope", "data", "v1", "len"):
        compiled = LANGUAGE.compile(f'data.streets.exists({name}, {name}.name == "a")', NAMES)
        assert compiled.translated
        assert compiled.condition.evaluate(scope({"streets": [{"name": "a"}]})) is Truth.TRUE


def test_the_source_holds_nothing_of_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = []

    def kept(*arguments: Any, **options: Any) -> Any:
        found = translate(*arguments, **options)
        sources.append(found.source if found else "")
        return found

    monkeypatch.setattr("services.policy.expressions.translate", kept)
    LANGUAGE.compile('data.cause == "Zebra" && data.streets.exists(quagga, quagga.name == "Okapi")', NAMES)
    (source,) = sources
    assert source
    assert not [word for word in ("Zebra", "quagga", "Okapi", "cause", "streets") if word in source]


def test_the_function_reaches_no_builtins() -> None:
    evaluate: Any = LANGUAGE.compile("data.count == 1", NAMES).condition.evaluate
    assert evaluate.__globals__["__builtins__"] == {}


@pytest.mark.parametrize(
    "source",
    [
        "(" * 1_900 + "true" + ")" * 1_900,
        "data.count" + " + 1" * 900 + " > 0",
        "true ? true : " * 280 + "true",
        "[" * 1_900 + "]" * 1_900 + " == []",
        "data.extra" + ".a" * 1_900 + " == 1",
        "data.extra" + "[0]" * 1_300 + " == 1",
        "has(data.extra" + ".a" * 1_900 + ")",
        "data.extra.all(x, " * 100 + "true" + ")" * 100,
        "data.extra.all(x, data.extra.all(y, x == y))",
        "data.count == " + "9" * 3_900,
        "x + " * 900 + "x",
        "{" * 3_900,
        '"' * 3_999,
        "size(" * 700 + "data.area" + ")" * 700 + " == 1",
        'data.area == "\ud800"',
        "type(data.cause) == string",
        "\x00",
    ],
    ids=range(17),
)
def test_what_is_too_deep_or_no_expression_is_a_mistake(source: str) -> None:
    with pytest.raises(ExpressionError):
        LANGUAGE.compile(source, NAMES)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (" && ".join(['data.area == "Mitte"'] * 160), Truth.TRUE),
        (" || ".join(["data.urgent"] * 280), Truth.ABSENT),
        ("!" * 3_990 + "true", Truth.TRUE),
        ("data.count in [" + ",".join(map(str, range(900))) + "]", Truth.TRUE),
        ('data.area == "' + "a" * 3_900 + '"', Truth.FALSE),
        (" && ".join(["!has(data.extra.a.a.a.a.a.a.a)"] * 100), Truth.TRUE),
        ('data.area.matches("(a{1000}){1000}")', Truth.ABSENT),
    ],
    ids=range(7),
)
def test_a_long_expression_is_evaluated(source: str, expected: Truth) -> None:
    compiled = LANGUAGE.compile(source, NAMES)
    assert (compiled.condition.evaluate(scope()), compiled.by_library(scope())) == (expected, expected)


def test_a_key_that_is_no_text_is_a_mistake() -> None:
    with pytest.raises(ExpressionError, match="gives int, not text"):
        LANGUAGE.compile_key("data.count", NAMES)
    with pytest.raises(ExpressionError, match="gives bool, not text"):
        LANGUAGE.compile_key("data.urgent", NAMES)
