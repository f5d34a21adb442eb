"""How a template reads: every branch once, values as one character, each character with its place."""

import pytest

from services.policy.passages import VALUE, readings, sentences, words
from services.policy.readability import ease, syllables

V = VALUE


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Plain.", ["Plain."]),
        ("At {{ data.at | time }}.", [f"At {V}."]),
        ("{% if data.a %}A{% elif data.b %}B{% else %}C{% endif %}!", ["A!", "B!", "C!"]),
        ("x{% if data.a %}A{% endif %}", ["xA", "x"]),
        ("{% if a %}A{% else %}B{% endif %}{% if a %}1{% else %}2{% endif %}", ["A1", "B2"]),
        ("{% if a %}A{% if b %}B{% endif %}{% else %}C{% endif %}", ["AB", "A", "C"]),
        ("{% for x in data.list %}{{ x.name }}, {% endfor %}end", [f"{V}, end"]),
        ("{{ data.n | plural('part', 'parts') }}", ["part", "parts"]),
        ("{{ 'yes' if data.a == 'no' else \"it's\" }}", [V, "yes", "it's"]),
        ("{{ data.a | default('none') }}", [V, "none"]),
        ("{{ data.a | money('EUR') }} {{ data.l | join(' and ') }}", [f"{V} {V}"]),
        ("{% raw %}{{ x }}{% endraw %}{# no #}.", ["{{ x }}."]),
        ("{{ '}}' }}", [V, "}}"]),
        ("https://x.example/{{ data.a }}?b=1 now", [V * 23 + " now"]),
    ],
)
def test_a_template_reads_in_each_way_that_its_conditions_choose(source: str, expected: list[str]) -> None:
    assert [reading.text for reading in readings(source)] == expected


def test_each_character_knows_its_place_value_and_condition() -> None:
    source = "A {% if data.a %}b {{ data.c | date }}{% endif %}{% for x in data.l %}{{ x.y }}{% endfor %}"
    first, second = readings(source)
    assert first.places == (0, 1, 17, 18, 19, 70)
    assert [source[place] for place in first.places] == ["A", " ", "b", " ", "{", "{"]
    assert first.values == ((4, "data.c | date"), (5, "data.l.y"))
    assert (first.asked, second.asked) == (("data.a",), ())


def test_readings_are_as_many_as_branches_not_as_their_combinations() -> None:
    assert len(readings("{% if a %}1{% else %}2{% endif %}" * 500)) == 2
    assert len(readings("{% if a %}1{% elif b %}2{% endif %}" * 500)) == 3


@pytest.mark.parametrize(
    ("text", "ordinals", "expected"),
    [
        ("One. Two! Three? Four", False, ["One.", "Two!", "Three?", "Four"]),
        ("It costs 1.50 now.", False, ["It costs 1.50 now."]),
        ("See e.g. this. And that.", False, ["See e.g. this.", "And that."]),
        ("Am 3. Mai. Dann.", True, ["Am 3. Mai.", "Dann."]),
        ("Read 3. Then go.", False, ["Read 3.", "Then go."]),
        (f"By {V}. If not, call.", False, [f"By {V}.", "If not, call."]),
        ("- one\n- two\n\nthree\nfour", False, ["- one", "- two", "three\nfour"]),
        ("He said „Ja.“ Then left.", False, ["He said „Ja.", "“ Then left."]),
        ("...", False, []),
    ],
)
def test_sentences_end_where_a_reader_stops(text: str, ordinals: bool, expected: list[str]) -> None:
    assert [text[begin:end] for begin, end in sentences(text, ("e.g",), ordinals=ordinals)] == expected


def test_a_value_is_a_word() -> None:
    assert words(f"It's {V} o'clock, well-known {V}{V}") == ["It's", V, "o'clock", "well-known", V + V]


@pytest.mark.parametrize(
    ("word", "language", "count"),
    [
        ("the", "en", 1),
        ("made", "en", 1),
        ("table", "en", 2),
        ("planned", "en", 1),
        ("wanted", "en", 2),
        ("inconvenience", "en", 4),
        ("Strom", "de", 1),
        ("Häuser", "de", 2),
        ("Sicherungen", "de", 4),
        ("xyz", "de", 1),
    ],
)
def test_syllables_are_counted(word: str, language: str, count: int) -> None:
    assert syllables(word, language) == count


def test_the_formulas_are_those_of_flesch_and_amstad() -> None:
    assert ease([["the", "cat", "sat"]], "en") == pytest.approx(206.835 - 1.015 * 3 - 84.6)
    assert ease([["der", "Kater", "saß"], ["er"]], "de") == pytest.approx(180 - 2 - 58.5 * 5 / 4)
    assert ease([[V, "cat"]], "en") == pytest.approx(206.835 - 1.015 * 2 - 84.6)
    assert ease([], "en") == 100
