"""The words that the check of wordings looks for, by language: data only, for people who know the language.

A phrase is a regular expression, matched without regard to case between the ends of words, and an example of what to
write instead ("" where that depends on the message). `{value}` stands for something that the template prints.
"""

# ruff: noqa: E501 - a phrase stays on its line

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

Phrase = tuple[str, str]


class Language(Struct, frozen=True):
    """What one language knows of good and bad wording."""

    longest_sentence: int
    least_ease: int
    formula: str
    vague: tuple[Phrase, ...]
    negative: tuple[Phrase, ...]
    blame: tuple[Phrase, ...]
    passive_excuse: tuple[Phrase, ...]
    conditional_apology: tuple[Phrase, ...]
    sorry: tuple[str, ...]
    patience: tuple[str, ...]
    times: tuple[str, ...]
    shouted: tuple[str, ...]
    abbreviations: tuple[str, ...]
    inflections: tuple[str, ...]
    ordinals: bool = False


_SOME_EN: Final = r"(?:an?|one|two|three|the next|the|a few|\d+|{value}|next)"
_UNIT_EN: Final = r"(?:minutes?|hours?|(?:working |business )?days?|weeks?|months?)"
_DAY_EN: Final = r"(?:mon|tues|wednes|thurs|fri|satur|sun)days?"

ENGLISH: Final = Language(
    longest_sentence=25,
    least_ease=40,
    formula="Flesch",
    vague=(
        (r"as soon as possible", "within the hour"),
        (r"(?<!as )(?<!how )soon(?:er or later)?", "within the hour"),
        (r"shortly", "within the hour"),
        (r"asap", "within the hour"),
        (r"in due course", "within the hour"),
        (r"in the near future", "by 1 May"),
        (r"momentarily", "within the hour"),
    ),
    negative=(
        (r"we (?:can ?not|can['’]t)", "we can from Monday on"),
        (r"we(?: are|['’]re) (?:un|not )able to", "we can from Monday on"),
        (r"it is not possible", "you can do it online"),
        (r"you must(?: not)?", "please"),
        (r"you(?: are|['’]re) required to", "please"),
        (r"(?<!that )you have to(?! do (?:nothing|anything))", "please"),
    ),
    blame=(
        (r"you (?:failed|neglected|forgot|omitted) to", ""),
        (
            r"you (?:did not|didn['’]t|have not|haven['’]t) (?:pay|paid|provide[d]?|enter(?:ed)?|give[n]?|read|follow(?:ed)?)",
            "",
        ),
        (r"you should have", ""),
        (r"you (?:have )?entered (?:a |an |the )?(?:wrong|incorrect|invalid)", ""),
        (r"your (?:own )?(?:fault|mistake|error|failure|negligence|oversight)", ""),
        (r"as you (?:should |must )?know", ""),
        (r"you (?:caused|are to blame|are responsible for this)", ""),
    ),
    passive_excuse=(
        (r"(?:mistakes?|errors?) (?:was|were|has been|have been) made", "we made a mistake"),
        (r"(?:an? )?(?:error|mistake|problem|issue)s? (?:has |have )?occurred", "we made a mistake"),
        (
            r"(?:any |the |for )?inconveniences?(?: (?:this|it) (?:may|might) have)?(?: caused)?",
            "for the evening without power",
        ),
        (r"due to (?:circumstances|reasons) (?:beyond|outside) our control", "we planned too few crews"),
        (r"it is regretted", "we are sorry"),
        (r"apologies (?:are|were) (?:offered|made)", "we are sorry"),
    ),
    conditional_apology=(
        (r"(?:sorry|apologi[sz]e|apologies) if", ""),
        (r"if (?:you|your [\w{value}]+)(?: may| might)? (?:were|was|have been|had been|felt|experienced)", ""),
        (
            r"if (?:this|it|that|we|any\w*|there)(?: has| have| may have| might have)? (?:\w+ )?(?:caused|inconvenienced|upset|affected|offended|troubled)",
            "",
        ),
        (r"should (?:you|this|it|we) have (?:been|caused|upset|felt|experienced)", ""),
        (r"any (?:inconvenience|trouble|upset|harm|distress)(?: caused)?", ""),
    ),
    sorry=(r"sorry", r"apologi[sz]e", r"apolog(?:y|ies)", r"regret"),
    patience=(
        r"(?:thanks?|thank you|thanking you|appreciate|grateful)(?: you)?(?: \w+)? ?(?:for )?(?:your |being )(?:\w+ )?(?:patience|patient|understanding)",
    ),
    times=(
        rf"(?:within|in|for|after|every) (?:less than |about |at most |up to )?{_SOME_EN} (?:\d+ |{{value}} )?{_UNIT_EN}",
        rf"(?:within|in) {_UNIT_EN}",
        rf"(?:by|on|until|before|from|next|this|every) (?:the )?(?:{_DAY_EN}|noon|midnight|morning|afternoon|evening|weekend|end of the day)",
        r"today|tonight|tomorrow|hourly|daily|right now|at once|immediately|(?:on )?the same day|the next day",
        r"\d{1,2}[:.]\d{2}|\d{1,2} ?(?:am|pm|a\.m|p\.m|o['’]clock)",
        r"\d{4}-\d{2}-\d{2}|\d{1,2}(?:st|nd|rd|th)? (?:january|february|march|april|may|june|july|august|september|october|november|december)",
        r"(?:january|february|march|april|may|june|july|august|september|october|november|december) \d{1,2}",
    ),
    shouted=(
        "important",
        "urgent",
        "attention",
        "warning",
        "note",
        "now",
        "free",
        "notice",
        "please",
        "not",
        "stop",
        "must",
        "new",
    ),
    abbreviations=("e.g", "i.e", "mr", "mrs", "ms", "dr", "no", "st", "etc", "a.m", "p.m", "approx", "inc", "ltd"),
    inflections=("s", "es", "'s", "’s", "ed", "ing"),
)

_SOME_DE: Final = (
    r"(?:einer|einem|eines|der nächsten|den nächsten|des|der|von|zwei|drei|vier|fünf|wenigen|weniger|\d+|{value})"
)
_UNIT_DE: Final = r"(?:Minuten?|Stunden?|(?:Arbeits|Werk)?tage?s?n?|Wochen?|Monate?s?n?)"
_DAY_DE: Final = r"(?:montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonnabend|sonntag)s?"

GERMAN: Final = Language(
    longest_sentence=22,
    least_ease=30,
    formula="Amstad",
    vague=(
        (r"so (?:bald|schnell|rasch) (?:wie|als) möglich", "innerhalb einer Stunde"),
        (r"bald(?:igst|möglichst)?", "innerhalb einer Stunde"),
        (r"in (?:Kürze|Bälde)", "innerhalb einer Stunde"),
        (r"demnächst", "bis zum 1. Mai"),
        (r"zeitnah", "innerhalb einer Stunde"),
        (r"(?:schnellst|raschest)möglich", "innerhalb einer Stunde"),
    ),
    negative=(
        (r"wir können(?: [\w{value}-]+){0,4} (?:nicht|keine?n?)", "ab Montag können wir"),
        (r"können wir(?: [\w{value}-]+){0,4} (?:nicht|keine?n?)", "ab Montag können wir"),
        (r"wir sind (?:leider )?(?:nicht in der Lage|außerstande)", "ab Montag können wir"),
        (r"es ist (?:uns )?(?:leider )?nicht möglich", "Sie können es online"),
        (r"Sie müssen(?! (?:nichts|nicht|dafür nichts|sich um nichts|dazu nichts))", "bitte"),
        (r"müssen Sie(?! (?:nichts|nicht|dafür nichts|sich um nichts|dazu nichts))", "bitte"),
        (r"Sie sind verpflichtet", "bitte"),
    ),
    blame=(
        (
            r"(?:haben Sie|Sie haben)(?: es)?(?: [\w{value}-]+){0,6} (?:versäumt|vergessen|unterlassen|verschuldet|verursacht)(?! ?\?)",
            "",
        ),
        (
            r"(?:haben Sie|Sie haben)(?: [\w{value}-]+){0,6} falsch(?:e[nrs]?)? (?:[\w-]+ )?(?:eingegeben|angegeben|ausgefüllt)",
            "",
        ),
        (r"(?:haben Sie|Sie haben)(?: [\w{value}-]+){0,4} nicht (?:bezahlt|gezahlt|angegeben|gelesen|beachtet)", ""),
        (r"Sie hätten(?: [\w{value}-]+){0,6} (?:müssen|sollen)", ""),
        (
            r"(?:Ihr(?:en?|em)? (?:eigene[rn]? )?(?:Fehler|Verschulden|Versäumnis|Versehen)|Ihre (?:eigene )?(?:Schuld|Nachlässigkeit))",
            "",
        ),
        (r"wie Sie (?:ja )?wissen(?: sollten| müssten)?", ""),
    ),
    passive_excuse=(
        (
            r"(?<!uns )(?:wurden?|sind|ist)(?: (?!uns )[\w{value}-]+){0,3} Fehler (?:gemacht|passiert|aufgetreten|unterlaufen|geschehen)",
            "wir haben einen Fehler gemacht",
        ),
        (
            r"es (?:kam|ist)(?: [\w{value}-]+){0,4} zu(?: [\w-]+)? (?:Fehlern?|Problemen?|Unregelmäßigkeiten|Verzögerungen)",
            "wir haben",
        ),
        (
            r"(?:ist|sind)(?: [\w-]+)? Probleme? aufgetreten|(?:Fehler|Probleme?) (?:aufgetreten|traten? auf)",
            "wir haben einen Fehler gemacht",
        ),
        (
            r"(?:etwaigen? |eventuellen? |die )?(?:Unannehmlichkeit(?:en)?|Umstände bitten)",
            "für den Abend ohne Strom",
        ),
        (r"es wird um (?:Entschuldigung|Nachsicht|Verständnis) gebeten", "wir bitten Sie um Entschuldigung"),
        (r"wird bedauert", "es tut uns leid"),
    ),
    conditional_apology=(
        (
            r"(?:falls|sofern|wenn|sollten?) (?:Sie|Ihnen|wir|es|dies|dadurch|das|hierdurch)(?: [\w{value}-]+){0,6} (?:betroffen|entstanden|gestört|verärgert|verursacht|gehabt|erlitten|gekommen|Ärger|Unannehmlichkeiten)",
            "",
        ),
        (r"(?:etwaige|eventuelle|mögliche)[nrs]? (?:Unannehmlichkeit|Störung|Umstände|Schäden|Nachteil)\w*", ""),
    ),
    sorry=(r"entschuldig\w*", r"tut (?:es )?(?:uns|mir)(?: [\w-]+)? leid", r"bedauern", r"Verzeihung"),
    patience=(r"(?:danke|dank|danken|bedanken)(?: [\w-]+){0,3} (?:Geduld|Verständnis)",),
    times=(
        rf"(?:innerhalb|binnen|in|nach|alle)(?: von| spätestens| höchstens| etwa)? {_SOME_DE} (?:\d+ |{{value}} )?{_UNIT_DE}",
        rf"(?:binnen|alle) (?:{_UNIT_DE}|\d+ {_UNIT_DE})|jede (?:halbe )?Stunde|(?:halb)?stündlich|täglich",
        rf"(?:bis(?: zum| spätestens)?|am|ab|vor|seit|nächsten|jeden|diesen) {_DAY_DE}",
        r"heute|morgen|mittags?|mitternacht|am (?:selben|nächsten|gleichen) Tag|sofort|jetzt gleich|im Laufe des (?:Vor|Nach)?(?:mit)?tage?s",
        r"\d{1,2}[:.]\d{2}|\d{1,2} Uhr",
        r"\d{4}-\d{2}-\d{2}|\d{1,2}\. ?(?:\d{1,2}\.|januar|februar|märz|april|mai|juni|juli|august|september|oktober|november|dezember)",
    ),
    shouted=(
        "wichtig",
        "achtung",
        "dringend",
        "jetzt",
        "sofort",
        "gratis",
        "warnung",
        "hinweis",
        "bitte",
        "nicht",
        "nie",
        "neu",
        "heute",
    ),
    abbreviations=(
        "z.b",
        "d.h",
        "u.a",
        "bzw",
        "ca",
        "nr",
        "str",
        "usw",
        "inkl",
        "ggf",
        "evtl",
        "dr",
        "hr",
        "fr",
        "tel",
    ),
    inflections=("n", "en", "e", "er", "ern", "es", "s"),
    ordinals=True,
)

LANGUAGES: Final[Mapping[str, Language]] = {"en": ENGLISH, "de": GERMAN}
