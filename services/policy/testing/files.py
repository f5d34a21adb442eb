"""From a file of tests/ to a timeline, with every mistake in it.

What is written is compared with the file itself (customers, events) and with the policy (types, rules, categories,
attributes), so that a typo is a mistake with its place and not a test that says nothing. A name that a policy with
mistakes could not tell is not compared. What can't be read is left out, so that the rest is checked too.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec

from services.policy import words
from services.policy.compile import Examined
from services.policy.documents import Document
from services.policy.mistakes import Mistake, nearest
from services.policy.shapes import fit
from services.policy.testing import people, shapes
from services.policy.testing.names import Names, documents_of, names_of
from services.policy.testing.timeline import (
    Changes,
    Deed,
    Entry,
    Erases,
    Expectation,
    Finds,
    Happens,
    Lifts,
    Steers,
    Timeline,
    means,
)
from services.router.decision.model import (
    MINUTE,
    REASONS_OF,
    Condition,
    Control,
    ControlKind,
    Event,
    Feedback,
    Lifecycle,
    Outcome,
    Reason,
    Severity,
)

_FUTURE: Final = 5 * MINUTE
_encode = msgspec.json.Encoder(order="deterministic").encode

Keys = Sequence[str | int]


def mistakes_of(examined: Examined) -> list[Mistake]:
    """Return what is wrong with the tests of a policy, beyond not being YAML."""
    names = names_of(examined)
    return [mistake for document in documents_of(examined) for mistake in read(document, names)[1]]


def read(document: Document, names: Names) -> tuple[Timeline | None, list[Mistake]]:
    """Read one test file; there is no timeline when not even its outline could be read."""
    reader = Reader(document, names)
    return reader.timeline(), sorted(set(reader.mistakes))


class Reader:
    """Reads one file, entry by entry."""

    def __init__(self, document: Document, names: Names, start: int = 0) -> None:
        self.mistakes: list[Mistake] = []
        self._document = document
        self._names = names
        self._start = start
        self._events: list[Event] = []
        self._placed: list[tuple[Keys, Event]] = []
        self._people: set[str] = set()
        # An entry that could not be read may be the one that others speak of.
        self._whole = True

    def timeline(self) -> Timeline | None:
        """Read the whole file."""
        file, mistakes = fit(shapes.TimelineFile, self._document)
        self.mistakes += mistakes
        if file is None:
            return None
        self._start = file.start
        self._people.update(file.customers)
        for name, profile in file.customers.items():
            self._profile(["customers", name], profile)
        written = [
            entry for index in range(len(file.timeline)) if (entry := self._fit(shapes.Entry, "timeline", index))
        ]
        self._whole = len(written) == len(file.timeline)
        entries = self._entries(written)
        expected = [self._expectation(*found) for index in range(len(file.expect)) if (found := self._expected(index))]
        self._check_data(expected)
        return Timeline(self._document.path, file.start, file.customers, tuple(entries), tuple(expected))

    def _entries(self, written: Sequence[tuple[Keys, shapes.Entry]]) -> list[Entry]:
        """Read the entries: events first, since what is said of them may stand anywhere."""
        deeds: dict[int, Deed] = {}
        for passing in (self._event, self._other):
            for place, (keys, entry) in enumerate(written):
                deed = passing(keys, entry)
                if deed is not None:
                    deeds[place] = deed
        entries: list[tuple[Entry, Keys]] = []
        for place, deed in sorted(deeds.items()):
            keys, entry = written[place]
            entries.append((Entry(self._moment([*keys, "at"], entry.at), self._line(keys), deed), keys))
        entries.sort(key=lambda placed: placed[0].at)
        self._lifted_after(entries)
        return [entry for entry, _ in entries]

    # --- places ---

    def _fit(self, shape: type[Any], list_name: str, index: int) -> tuple[Keys, Any] | None:
        keys: Keys = [list_name, index]
        found, mistakes = fit(shape, self._document, keys)
        self.mistakes += mistakes
        return None if found is None else (keys, found)

    def _at(self, keys: Keys, message: str, hint: str = "", *, at_key: bool = False) -> None:
        self.mistakes.append(self._document.mistake(keys, message, hint, at_key=at_key))

    def _line(self, keys: Keys) -> int:
        node = self._document.find(keys)[0]
        return node.line if node is not None else 1

    def _moment(self, keys: Keys, moment: Any, *, past: bool = False) -> int:
        time: int = moment.after(self._start)
        if time < self._start and not past:
            self._at(keys, "lies before the start")
            return self._start
        return time

    def _known(self, keys: Keys, what: str, name: str, known: Iterable[str] | None) -> None:
        if known is not None and name not in (names := list(known)):
            self._at(keys, f"unknown {what} {name[:60]!r}", nearest(name, names))

    def _profile(self, keys: Keys, patch: Mapping[str, Any]) -> bool:
        """Check what is said of a customer; False if it can't be taken."""
        found, fits = people.check(self._document, keys, patch, self._names)
        self.mistakes += found
        return fits

    def _about_customer(self, keys: Keys, name: str) -> None:
        self._known(keys, "customer", name, sorted(self._people) if self._whole else None)

    def _about_event(self, keys: Keys, reference: str) -> None:
        if self._whole and not any(means(reference, event) for event in self._events):
            known = [name for event in self._events for name in (event.id, f"{event.source}/{event.id}")]
            self._at(keys, f"no event {reference[:60]!r} is in the timeline", nearest(reference, known))

    # --- entries ---

    def _event(self, keys: Keys, entry: shapes.Entry) -> Deed | None:
        given = [name for name in shapes.ENTRIES if getattr(entry, name) is not None]
        if len(given) != 1:
            said = f"not {' and '.join(given)} at once" if given else "and has none"
            self._at(keys, f"an entry has one of {', '.join(shapes.ENTRIES)}, {said}")
        if entry.event is None:
            return None
        return self.happens([*keys, "event"], entry.event, self._moment([*keys, "at"], entry.at))

    def happens(self, keys: Keys, written: shapes.Event, at: int) -> Happens:
        """Read an event that comes at an instant."""
        self._known([*keys, "type"], "event type", written.type, self._names.types)
        if written.tenant and self._names.tenant:
            self._known([*keys, "tenant"], "tenant", written.tenant, [self._names.tenant])
        selector = self._audience([*keys, "audience"], written.audience)
        event = self._made(keys, written, at)
        self._events.append(event)
        self._placed.append((keys, event))
        self._people.update(event.customers)
        return Happens(event, selector)

    def _check_data(self, expected: Sequence[Expectation]) -> None:
        """Find events whose data breaks their schema, where no expectation says that it shall."""
        for keys, event in self._placed:
            known = self._names.events.get(event.type)
            wrong = known.check(event.data) if known is not None else ()
            if wrong and not any(_expects_bad_data(each, event) for each in expected):
                for path, why in wrong:
                    message = f"{why}: this event is refused (INVALID_DATA), and no expectation says so"
                    self._at([*keys, *_inside(path)], message)

    def _audience(self, keys: Keys, audience: shapes.Audience) -> Condition | None:
        given = [name for name in ("customers", "select", "everyone") if getattr(audience, name)]
        if len(given) != 1:
            self._at(keys, "an audience is one of {customers: [...]}, {select: CEL} and {everyone: true}")
        for index, name in enumerate(audience.customers or ()):
            if name in (audience.customers or ())[:index]:
                self._at([*keys, "customers", index], f"the customer {name[:60]!r} is named twice")
        if audience.select is None:
            return None
        compiled = self._names.selector(audience.select)
        if isinstance(compiled, Condition):
            return compiled
        for fault in compiled.faults:
            where = [*keys, "select"]
            self.mistakes.append(
                self._document.mistake_inside(where, fault.offset, fault.length, fault.message, fault.suggestion)
            )
        return None

    def _made(self, keys: Keys, written: shapes.Event, at: int) -> Event:
        time = at
        if (
            written.time is not None
            and (given := self._moment([*keys, "time"], written.time, past=True)) <= at + _FUTURE
        ):
            time = given
        expiry = written.expirytime
        audience = written.audience
        customers = tuple(audience.customers or ())
        lifecycle, severity = Lifecycle[written.lifecycle.upper()], Severity[written.severity.upper()]
        whom = [sorted(customers), audience.select, audience.everyone]
        content = [written.type, written.subject, lifecycle, written.sequence, severity, whom, written.data]
        return Event(
            tenant=self._names.tenant,
            source=written.source,
            id=written.id,
            type=written.type,
            subject=written.subject,
            time=time,
            lifecycle=lifecycle,
            sequence=written.sequence,
            severity=severity,
            expiry=None if expiry is None else self._moment([*keys, "expirytime"], expiry, past=True),
            customers=customers,
            data=written.data,
            content_hash=blake2b(_encode(content), digest_size=20).digest(),
            accepted=at,
            traceparent=written.traceparent,
            door="test",
            select=audience.select or "",
            everyone=audience.everyone,
        )

    def _other(self, keys: Keys, entry: shapes.Entry) -> Deed | None:
        for name, reader in self._READERS.items():
            if getattr(entry, name) is not None:
                return reader(self, [*keys, name], getattr(entry, name))
        return None

    def _patch(self, keys: Keys, written: dict[str, Any]) -> Deed | None:
        patch = dict(written)
        customer = patch.pop("customer", None)
        if not isinstance(customer, str) or not customer:
            self._at(keys, "'customer' is missing" if customer is None else "'customer' must be text", at_key=True)
            return None
        self._about_customer([*keys, "customer"], customer)
        return Changes(customer, patch) if self._profile(keys, patch) else None

    def _finding(self, keys: Keys, written: shapes.Finding) -> Deed:
        self._about_customer([*keys, "customer"], written.customer)
        self._about_event([*keys, "of"], written.of)
        if written.rule is not None:
            self._known([*keys, "rule"], "rule", written.rule, self._names.rules)
        outcome = Feedback[written.outcome]
        return Finds(written.customer, written.channel, outcome, written.of, written.rule or "", written.hard)

    def _control(self, keys: Keys, written: shapes.Control) -> Deed | None:
        given = [name for name in ("stop", "pause", "lift") if getattr(written, name) is not None]
        if len(given) != 1:
            self._at(keys, "a control is one of {stop: {...}}, {pause: {...}} and {lift: NAME}")
            return None
        if written.lift is not None:
            return Lifts(written.lift)
        match, kind = written.stop or written.pause or shapes.Match.model_validate({}), given[0]
        if match.rule:
            self._known([*keys, kind, "rule"], "rule", match.rule, self._names.rules)
        if match.category:
            self._known([*keys, kind, "category"], "category", match.category, self._names.categories)
        expires = written.expires_at
        control = Control(
            name=written.name or control_name(kind, match),
            kind=ControlKind[kind.upper()],
            rule=match.rule,
            category=match.category,
            channel=match.channel,
            message_class=words.CLASSES[match.class_] if match.class_ else None,
            source=match.source,
            event=match.event,
            author=written.author,
            reason=written.reason,
            expires=0 if expires is None else self._moment([*keys, "expires_at"], expires),
        )
        return Steers(control)

    def _erasure(self, keys: Keys, written: shapes.Erase) -> Deed:
        self._about_customer([*keys, "customer"], written.customer)
        return Erases(written.customer)

    def _lifted_after(self, entries: Sequence[tuple[Entry, Keys]]) -> None:
        """A control must be there before it can be lifted."""
        names: set[str] = set()
        for entry, keys in entries:
            match entry.deed:
                case Steers(control=control):
                    names.add(control.name)
                case Lifts(name=name) if name not in names:
                    message = f"no control {name[:60]!r} is in force then"
                    self._at([*keys, "control", "lift"], message, nearest(name, names))
                case _:
                    pass

    _READERS: Final[Mapping[str, Callable[..., Deed | None]]] = {
        "profile": _patch,
        "feedback": _finding,
        "control": _control,
        "erase": _erasure,
    }

    # --- expectations ---

    def _expected(self, index: int) -> tuple[Keys, shapes.Expectation] | None:
        return self._fit(shapes.Expectation, "expect", index)

    def _expectation(self, keys: Keys, written: shapes.Expectation) -> Expectation:
        if written.customer is not None:
            self._about_customer([*keys, "customer"], written.customer)
        if written.event is not None:
            self._about_event([*keys, "event"], written.event)
        if written.rule is not None:
            self._known([*keys, "rule"], "rule", written.rule, self._names.rules)
        if written.channel is None and (written.text is not None or written.headline is not None):
            self._at(keys, "'channel' is missing: a text is the one that a channel shows")
        if written.nothing_else:
            self._alone(keys)
        outcome = Outcome[written.outcome] if written.outcome else None
        reason = Reason[written.reason] if written.reason else None
        if outcome is not None and reason is not None and reason not in REASONS_OF[outcome]:
            known = ", ".join(each.name for each in REASONS_OF[outcome])
            self._at([*keys, "reason"], f"{outcome.name} never has the reason {reason.name}, only {known}")
        moments = {
            name: None if value is None else self._moment([*keys, name], value)
            for name, value in (("at", written.at), ("due", written.due), ("next_free", written.next_free))
        }
        return Expectation(
            line=self._line(keys),
            customer=written.customer,
            event=written.event,
            rule=written.rule,
            at=moments["at"],
            outcome=outcome,
            reason=reason,
            channels=None if written.channels is None else tuple(written.channels),
            verdicts=tuple((name, Reason[word]) for name, word in sorted((written.verdicts or {}).items())),
            step=written.step,
            revision=written.revision,
            due=moments["due"],
            next_free=moments["next_free"],
            channel=written.channel,
            text=written.text,
            headline=written.headline,
            count=written.count,
            nothing_else=written.nothing_else,
        )

    def _alone(self, keys: Keys) -> None:
        """Say that `nothing_else` narrows by customer, event and rule only."""
        node = self._document.find(keys)[0]
        for name in node.value if node is not None else ():
            if name not in ("customer", "event", "rule", "nothing_else"):
                message = f"{name!r} does not go with 'nothing_else', which is about all that nothing else expects"
                self._at([*keys, name], message, at_key=True)


def _expects_bad_data(expectation: Expectation, event: Event) -> bool:
    """Whether an expectation allows for an event that is refused for its data, or for its identity before that."""
    if expectation.count == 0 or (expectation.event is not None and not means(expectation.event, event)):
        return False
    refused = expectation.outcome is Outcome.ERROR and expectation.reason is None
    return refused or expectation.reason in {Reason.INVALID_DATA, Reason.ID_REUSED}


def _inside(path: str) -> list[str | int]:
    """Return the keys of `data.items[2].name`; what has no name in the schema is `*`, and the place is above it."""
    keys: list[str | int] = []
    for name, index in re.findall(r"([^.\[\]]+)|\[([0-9]+)\]", path.partition(".*")[0]):
        keys.append(name or int(index))
    return keys


def control_name(kind: str, match: shapes.Match) -> str:
    """Return the name of a control that has none: its kind and what it matches, `stop-rule-offer`, else `stop-all`."""
    given = [(key, getattr(match, field)) for key, field in _MATCHED if getattr(match, field)]
    return "-".join([kind, *(part for pair in given for part in pair)] if given else [kind, "all"])


_MATCHED: Final = (
    ("rule", "rule"),
    ("category", "category"),
    ("channel", "channel"),
    ("class", "class_"),
    ("source", "source"),
    ("event", "event"),
)
