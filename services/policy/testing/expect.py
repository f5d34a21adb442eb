"""What was expected against what happened.

An expectation holds if some revision has all that it names (or exactly `count` of them have). `nothing_else` holds if
every revision of the customer was matched by another expectation, wherever in the file that stands. An expectation
without customer also matches the record of an event as a whole. One that fails names the revisions that came closest.
"""

from collections.abc import Sequence

from msgspec import Struct

from services.policy.templates import RenderError
from services.policy.testing.messages import Messages
from services.policy.testing.timeline import Expectation, Timeline, means
from services.policy.testing.world import Happened, History

_SHOWN = 3


class Checked(Struct, frozen=True):
    """An expectation and whether it held; `instead` is what came closest, `said` why its text was not as expected."""

    expectation: Expectation
    passed: bool
    matched: int = 0
    instead: tuple[Happened, ...] = ()
    said: str = ""


def check(timeline: Timeline, history: History, messages: Messages) -> tuple[Checked, ...]:
    """Check all expectations of a timeline."""
    happened = history.happened
    found = {
        place: [at for at, one in enumerate(happened) if matches(expectation, one, messages)]
        for place, expectation in enumerate(timeline.expectations)
        if not expectation.nothing_else
    }
    expected = {at for places in found.values() for at in places}
    checked = []
    for place, expectation in enumerate(timeline.expectations):
        if expectation.nothing_else:
            rest = [one for at, one in enumerate(happened) if at not in expected and _about(expectation, one)]
            checked.append(Checked(expectation, not rest, len(rest), tuple(rest)))
            continue
        here = [happened[at] for at in found[place]]
        passed = bool(here) if expectation.count is None else len(here) == expectation.count
        instead = () if passed else tuple(here) or closest(expectation, happened)
        said = "" if passed or here else _text_instead(expectation, instead, messages)
        checked.append(Checked(expectation, passed, len(here), instead, said))
    return tuple(checked)


def matches(expectation: Expectation, happened: Happened, messages: Messages) -> bool:
    """Whether a revision has all that an expectation names."""
    if not _about(expectation, happened) or _differences(expectation, happened):
        return False
    return not _differs_in_text(expectation, happened, messages)


def closest(expectation: Expectation, happened: Sequence[Happened]) -> tuple[Happened, ...]:
    """Return the revisions that are most like an expectation: about its customer and event first."""
    ranked = [(_distance(expectation, one), place) for place, one in enumerate(happened)]
    nearest = min((distance[0] for distance, _ in ranked), default=0)
    near = sorted(one for one in ranked if one[0][0] == nearest and nearest < _UNRELATED)[:_SHOWN]
    return tuple(happened[place] for _, place in near)


def _about(expectation: Expectation, happened: Happened) -> bool:
    decision = happened.decision
    if expectation.customer is not None and decision.customer != expectation.customer:
        return False
    if expectation.event is not None and (decision.event is None or not means(expectation.event, decision.event)):
        return False
    return expectation.rule is None or decision.rule_name == expectation.rule


def _differences(expectation: Expectation, happened: Happened) -> int:
    """Return how many of the named fields a revision has otherwise."""
    decision = happened.decision
    verdicts = {verdict.channel: verdict.reason for verdict in decision.verdicts}
    channels = [send.channel for send in decision.sends]
    free = {finding.next_free for finding in decision.caps if finding.blocked}
    wrong = [
        expectation.at not in (None, decision.time),
        expectation.outcome not in (None, decision.outcome),
        expectation.reason not in (None, decision.reason),
        expectation.channels is not None and sorted(expectation.channels) != sorted(channels),
        any(verdicts.get(channel) is not reason for channel, reason in expectation.verdicts),
        expectation.step not in (None, decision.step),
        expectation.revision not in (None, decision.revision),
        expectation.due not in (None, decision.due),
        expectation.next_free is not None and expectation.next_free not in free,
        expectation.channel is not None and expectation.channel not in channels,
    ]
    return sum(wrong)


def _differs_in_text(expectation: Expectation, happened: Happened, messages: Messages) -> str:
    """Return what a channel shows where it is not what was expected, "" when it is."""
    if expectation.channel is None or (expectation.text is None and expectation.headline is None):
        return ""
    try:
        content = messages.message(happened, expectation.channel)
    except RenderError as error:
        return f"it can't be written: {error}"
    if content is None:
        return f"nothing was sent by {expectation.channel}"
    if expectation.text is not None and content.text.strip() != expectation.text.strip():
        return content.text.strip()
    wrong = expectation.headline is not None and content.headline != expectation.headline.strip()
    return f"headline: {content.headline}" if wrong else ""


def _text_instead(expectation: Expectation, instead: Sequence[Happened], messages: Messages) -> str:
    """Say which text came where all but the text is as expected."""
    first = next((one for one in instead if _about(expectation, one) and not _differences(expectation, one)), None)
    return "" if first is None else _differs_in_text(expectation, first, messages)


_UNRELATED = 4


def _distance(expectation: Expectation, happened: Happened) -> tuple[int, int]:
    """Return how far a revision is from an expectation: who and what it is about, then how many fields differ."""
    decision = happened.decision
    whose = expectation.customer is None or decision.customer == expectation.customer
    which = expectation.event is None or (decision.event is not None and means(expectation.event, decision.event))
    by = expectation.rule is None or decision.rule_name == expectation.rule
    # The record of an event as a whole says why no customer has one of his own.
    whole = which and not decision.customer
    ranks = (which and whose and by, which and (whose or whole), whose, which, True)
    return ranks.index(True), _differences(expectation, happened)
