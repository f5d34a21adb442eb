"""How templates sound: for every check a text that is warned of, and one near it that is not."""

# ruff: noqa: E501 - the tables hold whole sentences

import pytest

from services.policy.bundle import Bundle
from services.policy.check import check
from services.policy.passages import readings
from services.policy.wording_length import too_long
from tests.support import policies

JARGON = """\
jargon:
  en: [feeder, "force majeure", utility]
  de: [Abgang]
"""
CLEAN = {"headline": "'Order {{ data.order }}'", "what": "'{{ data.count | number }} parts.'"}
BY = "{% if data.due_at %}By {{ data.due_at | time }}.{% endif %}"


def warned(locale: str, /, **parts: str) -> list[str]:
    """Return the warnings of a template in a language, without the path of its file."""
    wording = {**CLEAN, "next": f'"{BY}"', **parts}
    text = "".join(f"{part}: {value}\n" for part, value in wording.items() if value)
    files = {**policies.FILES, "clarion.yaml": policies.FILES["clarion.yaml"] + JARGON}
    files[f"templates/order/{locale}.yaml"] = text
    report = check(Bundle({path: body.encode() for path, body in files.items()}))
    assert report.mistakes == ()
    return [str(warning).removeprefix(f"templates/order/{locale}.yaml:") for warning in report.warnings]


def test_a_value_in_single_braces_is_warned_of() -> None:
    says = "customers will read this as it stands: a value needs two braces, {{ ... }}"
    assert warned("en", headline="'Order { data.order }'") == [f"1:18: headline: {says}"]
    action = "{label: 'See it', url: 'https://acme.example/{data.order}'}"
    assert warned("en", action=action) == [f"4:54: action.url: {says}"]
    assert warned("en", what="'A set {1, 2} of {{ data.order }} {% raw %}{x}{% endraw %}.'") == []


LONG_EN = "We write to you " + "and to him " * 7 + "now"  # 4 + 21 + 1 words
LONG_DE = "Wir schreiben Ihnen " + "und auch ihm " * 6 + "noch heute"  # 3 + 18 + 2 words
SENTENCE = "a sentence of {} words: at most {} are read with ease"
VAGUE = "{!r} promises nothing: say by when, such as "
NEGATIVE = "{!r} comes before the solution: say first what can be done, such as "
BLAME = "{!r} blames the customer: say what happened and what helps"
CONDITIONAL = "{!r} makes the apology conditional: say what went wrong"
PASSIVE = "{!r} hides who did it: say 'we', and what went wrong, such as "
JARGON_SAYS = "{!r} is on your list of jargon: use the customers' own word"
SHOUTS = "{!r} shouts: write it in small letters"
QUESTION = "a second question in one part: ask one at a time"
THANKS = "thanks for patience a second time: once is enough"
TIMELESS = "a message about a problem says by when: no time or duration here"

# language, part, text, line and column in the file and how the warning begins
WARNED = [
    ("en", "what", LONG_EN + ".", "2:8: what: " + SENTENCE.format(26, 25)),
    ("de", "what", LONG_DE + ".", "2:8: what: " + SENTENCE.format(23, 22)),
    ("fr", "what", "un " * 31 + ".", "2:8: what: " + SENTENCE.format(31, 30)),
    (
        "en",
        "what",
        "Well. " + LONG_EN + "{% if data.note %}, {{ data.note }}{% endif %}.",
        "2:14: what: " + SENTENCE.format(27, 25),
    ),
    ("en", "why", "Is it on? Is it off?", "4:26: why: " + QUESTION),
    ("de", "why", "Ist es an? Ist es aus?", "4:28: why: " + QUESTION),
    ("en", "why", "Two FEEDERS broke.", "4:11: why: " + JARGON_SAYS.format("FEEDERS")),
    ("en", "why", "It was force majeure.", "4:14: why: " + JARGON_SAYS.format("force majeure")),
    ("en", "why", "The utilities know.", "4:11: why: " + JARGON_SAYS.format("utilities")),
    ("de", "why", "Zwei Abgänge und des Abganges Ende.", "4:28: why: " + JARGON_SAYS.format("Abganges")),
    ("en", "why", "{{ data.count | plural('feeder', 'lines') }}", "4:31: why: " + JARGON_SAYS.format("feeder")),
    ("en", "why", "This is VERY BAD news.", "4:15: why: " + SHOUTS.format("VERY BAD")),
    ("en", "why", "An IMPORTANT word.", "4:10: why: " + SHOUTS.format("IMPORTANT")),
    ("de", "why", "Bitte JETZT lesen.", "4:13: why: " + SHOUTS.format("JETZT")),
    ("en", "why", "It is back!", "4:17: why: an exclamation mark shouts: a full stop is calm"),
    ("de", "why", "Danke!!", "4:12: why: an exclamation mark shouts: a full stop is calm"),
    ("fr", "why", "Merci !", "4:13: why: an exclamation mark shouts: a full stop is calm"),
    ("en", "why", "We fix it soon.", "4:17: why: " + VAGUE.format("soon")),
    ("en", "why", "We call as soon as possible.", "4:15: why: " + VAGUE.format("as soon as possible")),
    ("en", "why", "It ends Shortly.", "4:15: why: " + VAGUE.format("Shortly")),
    ("de", "why", "Bald ist es gut.", "4:7: why: " + VAGUE.format("Bald")),
    ("de", "why", "In Kürze mehr.", "4:7: why: " + VAGUE.format("In Kürze")),
    ("en", "why", "We cannot come.", "4:7: why: " + NEGATIVE.format("We cannot")),
    ("en", "why", "You must pay.", "4:7: why: " + NEGATIVE.format("You must") + "'please'"),
    ("en", "why", "You have to pay.", "4:7: why: " + NEGATIVE.format("You have to") + "'please'"),
    (
        "de",
        "why",
        "Wir können heute leider nicht kommen.",
        "4:7: why: " + NEGATIVE.format("Wir können heute leider nicht"),
    ),
    ("de", "why", "Das können wir nicht.", "4:11: why: " + NEGATIVE.format("können wir nicht")),
    ("de", "why", "Sie müssen zahlen.", "4:7: why: " + NEGATIVE.format("Sie müssen") + "'bitte'"),
    ("en", "why", "You failed to pay.", "4:7: why: " + BLAME.format("You failed to")),
    ("en", "why", "It was your fault.", "4:14: why: " + BLAME.format("your fault")),
    ("de", "why", "Sie haben die Zahlung vergessen.", "4:7: why: " + BLAME.format("Sie haben die Zahlung vergessen")),
    ("de", "why", "Das war Ihr Fehler.", "4:15: why: " + BLAME.format("Ihr Fehler")),
    (
        "en",
        "apology",
        "We are sorry. Mistakes were made.",
        "4:25: apology: " + PASSIVE.format("Mistakes were made") + "'we made a mistake'",
    ),
    (
        "en",
        "apology",
        "Sorry for the inconvenience caused.",
        "4:21: apology: " + PASSIVE.format("the inconvenience caused"),
    ),
    (
        "de",
        "apology",
        "Es wurden leider Fehler gemacht.",
        "4:14: apology: " + PASSIVE.format("wurden leider Fehler gemacht"),
    ),
    (
        "de",
        "apology",
        "Wir bedauern die Unannehmlichkeiten.",
        "4:24: apology: " + PASSIVE.format("die Unannehmlichkeiten"),
    ),
    (
        "en",
        "apology",
        "Sorry for the dark, if you were affected.",
        "4:31: apology: " + CONDITIONAL.format("if you were"),
    ),
    (
        "en",
        "closing",
        "We are sorry for any inconvenience.",
        "4:28: closing: " + CONDITIONAL.format("any inconvenience"),
    ),
    (
        "de",
        "apology",
        "Es tut uns leid, falls Sie betroffen waren.",
        "4:28: apology: " + CONDITIONAL.format("falls Sie betroffen"),
    ),
    (
        "de",
        "closing",
        "Entschuldigen Sie etwaige Störungen.",
        "4:29: closing: " + CONDITIONAL.format("etwaige Störungen"),
    ),
    ("en", "next", "We look into it.", "3:8: next: " + TIMELESS),
    ("de", "next", "Wir kümmern uns darum.", "3:8: next: " + TIMELESS),
    ("en", "next", BY.replace("{% endif", "{% else %}We look into it.{% endif"), "3:66: next: " + TIMELESS),
    ("en", "sms", "{{ headline }} {{ data.order }}", ""),
    (
        "en",
        "sms",
        "{{ headline }} {{ event.subject }}",
        "4:22: sms: no other part says 'event.subject': only this channel would",
    ),
    ("en", "sms", "{{ headline }} Call 0800 555.", "4:27: sms: no other part says '0800': only this channel would"),
    ("de", "push", "{{ data.count }} von 12 Teilen", "4:29: push: no other part says '12': only this channel would"),
]


@pytest.mark.parametrize(("locale", "part", "text", "expected"), WARNED)
def test_a_wording_is_warned_of_at_its_word(locale: str, part: str, text: str, expected: str) -> None:
    found = warned(locale, **{part: f'"{text}"'})
    first = found[0] if found else ""
    assert first.startswith(expected)
    assert bool(first) == bool(expected)


FINE = [
    ("en", "what", LONG_EN.removesuffix(" now") + "."),
    ("en", "what", LONG_EN.replace("and to him and", "and to him. And") + "."),
    ("en", "what", "{% if data.note %}" + LONG_EN[:60] + "{% else %}" + LONG_EN[:60] + "{% endif %}."),
    ("de", "what", LONG_DE.removesuffix(" heute") + "."),
    ("de", "what", LONG_DE.replace("ihm und", "ihm z. B. am 3. Mai. Und", 1) + "."),
    ("fr", "what", "un " * 30 + "."),
    ("en", "why", "{% if data.note %}Is it on?{% else %}Is it off?{% endif %}"),
    ("en", "why", "Is it on? See https://acme.example/?a=1"),
    ("de", "why", "{% if data.note %}Ist es an?{% else %}Ist es aus?{% endif %}"),
    ("en", "why", "We feed the feedersmith, and Abgang."),
    ("en", "why", "{% if data.order == 'feeder' %}It broke.{% endif %}"),
    ("de", "why", "Der Abgangsverkehr und ein feeder."),
    ("en", "why", "Your IBAN and the SEPA form, at IKEA."),
    ("en", "why", "{% if data.order == 'VERY BAD' %}{{ data.order }}{% endif %}"),
    ("de", "why", "Ihre IBAN, per SEPA. Die DB kommt."),
    ("en", "why", "{% if data.order != '!' %}It is back.{% endif %}"),
    ("en", "why", "We write as soon as we know. How soon may we call."),
    ("de", "why", "Sobald wir es wissen, schreiben wir. Der Bald-Wald."[:37]),
    ("en", "why", "You don't have to do anything. We can come. He cannot."),
    ("en", "why", "You have to do nothing."),
    ("de", "why", "Wir können kommen. Sie müssen nichts tun. Sie können nicht irren."),
    ("en", "why", "It was a mistake of ours. You did not do anything. Your order failed to arrive."),
    ("de", "why", "Der Fehler lag bei uns. Sie haben uns geholfen. Ihre Sicherungen, bitte."),
    ("en", "why", "We have not received your payment yet. If that does not suit you, choose another day."),
    ("de", "why", "Haben Sie die Nummer vergessen? Sie steht auf der Rechnung. Es ist kein Fehler von Ihnen."),
    ("de", "why", "Dafür müssen Sie nichts tun. Sie können nicht nur zahlen, sondern auch tauschen."),
    ("en", "apology", "We are sorry. We made mistakes. If you need help, call us."),
    ("en", "why", "Look whether you were affected, if you were at home."),
    ("de", "apology", "Uns ist ein Fehler unterlaufen. Es tut uns leid. Falls Sie Fragen haben, rufen Sie an."),
    ("de", "why", "Falls Sie betroffen sind, sehen Sie es hier."),
    ("en", "closing", "Thank you for your patience."),
    ("de", "closing", "Danke für Ihre Geduld."),
    ("en", "next", "We write within the hour."),
    ("en", "next", "{{ data.count }} of us come in {{ data.count }} minutes."),
    ("en", "next", "We come tomorrow."),
    ("en", "next", BY.replace("{% endif", "{% else %}We write by 18:30.{% endif")),
    ("en", "next", "{% if event.lifecycle == 'resolved' %}Look at your fuses.{% else %}We write today.{% endif %}"),
    ("de", "next", "Wir schreiben innerhalb der nächsten Stunde."),
    ("de", "next", "In {{ data.count }} Minuten sind wir da."),
    ("de", "next", "Bis Montag ist alles gut."),
    ("fr", "next", "Nous vous écrirons dans une heure."),
    ("en", "sms", "{{ headline }} {{ data.count }}"),
    ("de", "sms", "{{ what }} {{ data.order }}"),
]


@pytest.mark.parametrize(("locale", "part", "text"), FINE)
def test_a_wording_near_it_is_fine(locale: str, part: str, text: str) -> None:
    assert warned(locale, **{part: f'"{text}"'}) == []


HARD_EN = "Notwithstanding aforementioned considerations, infrastructural rehabilitation necessitates discontinuation."
PLAIN_EN = "The power is out in your street. Our crew is on its way to you. We write to you when it is back."
HARD_DE = "Infrastrukturelle Instandsetzungsmaßnahmen erfordern vorübergehende Versorgungsunterbrechungen, insbesondere nachmittags."
PLAIN_DE = "In Ihrer Straße ist der Strom weg. Unser Team ist auf dem Weg. Wir schreiben Ihnen, wenn er da ist."


@pytest.mark.parametrize(
    ("locale", "hard", "plain", "formula"), [("en", HARD_EN, PLAIN_EN, "Flesch"), ("de", HARD_DE, PLAIN_DE, "Amstad")]
)
def test_a_message_that_is_hard_to_read_is_warned_of(locale: str, hard: str, plain: str, formula: str) -> None:
    (found,) = warned(locale, what=f'"{(hard + " ") * 6}"')
    assert found.startswith("2:7: what: the message is hard to read (")
    assert f"of 100 by the formula of {formula}, less than" in found
    assert warned(locale, what=f'"{(plain + " ") * 6}"') == []
    assert warned(locale, what=f'"{hard}"') == []  # too little text to judge
    assert warned("fr", what=f'"{(hard + " ") * 6}"') == []


@pytest.mark.parametrize(
    ("locale", "thanks"), [("en", "Thank you for your patience."), ("de", "Vielen Dank für Ihre große Geduld.")]
)
def test_thanks_for_patience_are_said_once(locale: str, thanks: str) -> None:
    assert warned(locale, why=f'"{thanks} {thanks}"')[0].endswith(f"why: {THANKS}")
    assert [found.partition(": ")[2] for found in warned(locale, why=f'"{thanks}"', closing=f'"{thanks}"')] == [
        f"closing: {THANKS}"
    ]
    either = f'"{{% if data.note %}}{thanks}{{% else %}}{thanks}{{% endif %}}"'
    assert warned(locale, why=either) == []
    assert warned(locale, why=f'"{thanks}"', email=f'"{thanks}"') == []


@pytest.mark.parametrize("locale", ["en", "de", "fr"])
def test_a_message_about_a_problem_has_a_next(locale: str) -> None:
    assert warned(locale, next="") == [
        "1:1: a message about a problem says what happens next and by when: 'next' is missing"
    ]


def problem(old: str, new: str, *, lifecycle: bool) -> list[str]:
    """Return the warnings of a template without `next` whose first rule is changed; the second takes points only."""
    files = dict(policies.FILES)
    files["rules/10.yaml"] = (
        files["rules/10.yaml"]
        .replace(old, new, 1)
        .replace(
            "acme.order\n    category: news", 'acme.order\n    when: event.lifecycle == "point"\n    category: news'
        )
    )
    files["templates/order/en.yaml"] = "headline: 'x'\nwhat: '{{ data.order }} {{ data.count }}'\n"
    if not lifecycle:
        files["events/order.yaml"] = files["events/order.yaml"].replace("lifecycle: true\n", "")
    report = check(Bundle({path: body.encode() for path, body in files.items()}))
    return [str(warning) for warning in report.warnings if "'next'" in warning.message]


@pytest.mark.parametrize(
    ("condition", "is_one"),
    [('== "opened"', True), ('in ["updated", "resolved"]', True), ('== "resolved"', False), ('== "point"', False)],
)
def test_what_opens_or_goes_on_is_a_problem(condition: str, is_one: bool) -> None:
    assert bool(problem('!= "point"', condition, lifecycle=True)) == is_one


@pytest.mark.parametrize(("message_class", "is_one"), [("critical", True), ("transactional", False)])
def test_without_a_lifecycle_what_is_critical_is_a_problem(message_class: str, is_one: bool) -> None:
    assert bool(problem("class: informational", f"class: {message_class}", lifecycle=False)) == is_one


LONG = "A quite long text. " * 24  # 456 characters


def test_a_text_that_is_longer_than_its_channel_takes_is_warned_of() -> None:
    assert warned("en", headline=f'"{"x" * 80} {{{{ data.order }}}} {{{{ data.order }}}}"') == [
        "1:11: headline: about 112 characters with values of usual length; a headline has room for 100"
    ]
    assert warned("en", headline=f'"{"x" * 70} {{{{ data.order }}}}"') == []
    assert warned("en", push=f'"{LONG[:171]}. {{{{ headline }}}}"') == [
        "4:7: push: about 194 characters with values of usual length; a push message has room for 180"
    ]
    assert warned("en", push=f'"{LONG[:152]}. {{{{ headline }}}}"') == []
    (found,) = warned("de", sms=f'"{LONG} {{{{ what }}}}"')
    assert found == (
        "4:6: sms: about 468 characters with values of usual length; that is a text message of 4 segments, more than 3"
    )
    assert warned("de", sms=f'"{LONG}"') == []
    assert warned("de", sms=f'"{LONG[:209]}–"')[0].endswith("a text message of 4 segments, more than 3")
    assert warned("de", sms=f'"{LONG[:198]}–"') == []


@pytest.mark.parametrize("channel", ["sms", "push"])
def test_the_text_of_a_planned_channel_is_measured(channel: str) -> None:
    texts = {"headline": readings("Order {{ data.order }}"), "what": readings(LONG)}
    assert [keys for keys, _ in too_long(texts, {channel})] == [["what"]]
    assert list(too_long({**texts, "what": readings(LONG[:100])}, {channel})) == []
    assert list(too_long(texts, {"email"})) == []


def test_warnings_point_into_folded_texts() -> None:
    assert warned("en", why="|\n  It is back.\n  We come soon.") == [
        "6:11: why: " + VAGUE.format("soon") + "'within the hour'"
    ]


def test_a_template_with_a_mistake_is_not_judged() -> None:
    bundle = policies.changed("templates/order/en.yaml", "parts.", "parts! {{ data.nope }}")
    assert [len(check(bundle).mistakes), check(bundle).warnings] == [1, ()]
    assert len(check(policies.changed("templates/order/en.yaml", "parts.", "parts!")).warnings) == 1
