"""The router's fan-outs decide what the virtual clock of rule tests decides, whatever comes in which order."""

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from services.policy import selectors
from services.policy.testing.timeline import Changes, Deed, Entry, Happens, Timeline
from services.policy.testing.world import live
from services.router import codec
from services.router.decision.model import Lifecycle, Outcome, Policy, Reason
from tests.builders import NOON, condition, first, policy, quiet, rule
from tests.support.routers import Cluster


class Put(Struct, frozen=True):
    """A customer changes."""

    customer: str
    patch: dict[str, Any]


class Say(Struct, frozen=True):
    """An event comes, perhaps one that came before."""

    audience: dict[str, Any]
    lifecycle: str
    subject: str
    again: bool


NAMES = ("ana", "ben", "eve", "kim", "nobody")
# Most stories are about customers who are reached.
REACHED = {"addresses": {"email": "a@example.org"}, "attributes": {"feeder": "F-17"}}
BEGINNING = [Put("ana", REACHED), Put("ben", REACHED), Put("eve", {**REACHED, "timezone": "Asia/Tokyo"})]
Told = tuple[str, str, str, str, str, int]

patches = st.fixed_dictionaries(
    {},
    optional={
        "addresses": st.sampled_from([{"email": "a@example.org"}, {"email": None}]),
        "attributes": st.fixed_dictionaries({"feeder": st.sampled_from(["F-17", "F-18", None])}),
        "preferences": st.sampled_from([[], [{"category": "outage", "value": "off"}]]),
        "timezone": st.sampled_from(["UTC", "Asia/Tokyo"]),
    },
)
audiences = (
    st.sets(st.sampled_from(NAMES), min_size=1).map(lambda names: {"customers": sorted(names)})
    | st.just({"everyone": True})
    | st.sampled_from(
        [
            'customer.attributes.feeder == "F-17"',
            'customer.attributes.feeder in ["F-17", "F-19"] && customer.id != "ben"',
            'customer.timezone == "UTC"',
        ]
    ).map(lambda cel: {"select": cel})
)
changes = st.builds(Put, st.sampled_from(NAMES[:4]), patches)


def events(lifecycles: list[str], subjects: list[str]) -> st.SearchStrategy[Say]:
    again = st.sampled_from([False, False, False, True])
    return st.builds(Say, audiences, st.sampled_from(lifecycles), st.sampled_from(subjects), again)


# Something begins, customers change, it ends: what chance alone would seldom bring together.
arcs = st.tuples(events(["opened"], ["INC-1"]), changes, changes, events(["resolved"], ["INC-1"])).map(list)
steps = changes | events(["point", "opened", "updated", "resolved"], ["INC-1", "INC-2", ""])
stories = st.lists(arcs | steps.map(lambda step: [step]), min_size=1, max_size=8).map(
    lambda parts: [step for part in parts for step in part]
)


def rules() -> Policy:
    """Two rules of one event, one of them for a few; quiet hours in Tokyo."""
    narrow = rule(
        name="narrow",
        plan=first("email"),
        who=condition(lambda s: s.customer is not None and s.customer.attributes.get("feeder") == "F-17"),
        go_on=True,
    )
    return policy(
        narrow,
        rule(plan=first("email"), when=condition(lambda s: s.event.lifecycle is not Lifecycle.UPDATED)),
        attributes={"feeder": "string"},
        defaults={"quiet_hours": quiet(start="20:00", end="22:00")},
    )


def told(customer: str, event: str, rule: str, outcome: Outcome, reason: Reason, revision: int) -> Told:
    return customer, event, rule, outcome.name, reason.name, revision


@given(stories)
@settings(max_examples=200, deadline=None)
def test_fan_outs_decide_as_the_virtual_clock_does(story: list[Put | Say]) -> None:
    in_force = rules()
    cluster = Cluster(in_force)
    deeds: list[Deed] = []
    for number, step in enumerate([*BEGINNING, *story]):
        match step:
            case Put(customer, patch):
                deeds.append(Changes(customer, patch))
                cluster.change(customer, patch)
            case Say(audience, lifecycle, subject, again):
                more = {"lifecycle": lifecycle, **({"subject": subject} if subject else {})}
                event_id = "again" if again else f"e{number}"
                event = codec.event(cluster.event(event_id, audience, **more), "")
                chosen = selectors.selector(in_force, event.select).condition if event.select else None
                deeds.append(Happens(event, chosen))
                cluster.publish(event_id, audience, **more)
        cluster.run()
    entries = tuple(Entry(NOON, line, deed) for line, deed in enumerate(deeds))
    history = live(Timeline("", NOON, {}, entries, ()), in_force)
    expected = Counter(
        told(d.customer, d.event.id if d.event else "", d.rule_name, d.outcome, d.reason, d.revision)
        for d in (happened.decision for happened in history.happened)
        if d.time == NOON
    )
    found = Counter(
        told(d.customer, d.event_id, d.rule, Outcome(d.outcome), Reason(d.reason), d.revision)
        for d in cluster.decisions()
    )
    assert found == expected
