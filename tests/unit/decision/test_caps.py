from typing import Any

import pytest
from msgspec.structs import replace

from services.router.decision.lifecycle import prune
from services.router.decision.model import (
    DAY,
    HOUR,
    MINUTE,
    Admission,
    Decision,
    Feedback,
    Lifecycle,
    MessageClass,
    Over,
    Part,
    Per,
    Rule,
)
from tests.builders import (
    NOON,
    World,
    cap,
    category,
    channels,
    customer,
    ended,
    event_type,
    every,
    first,
    one,
    policy,
    quiet,
    rule,
    verdicts,
)

SENT, REACHED = ("SEND", "ALLOWED"), ("SUPPRESSED", "CAP_REACHED")
POINT: dict[str, Any] = {"lifecycle": Lifecycle.POINT}


def point(world: World, **changes: Any) -> Decision:
    return one(world.event(**{**POINT, **changes}))


def test_a_cap_admits_its_limit_and_no_more() -> None:
    world = World(policy(caps=(cap(limit=2),)))
    assert [ended(point(world)) for _ in range(3)] == [SENT, SENT, REACHED]


def test_the_window_slides_and_its_old_end_is_open() -> None:
    world = World(policy(caps=(cap(limit=2, window=HOUR),)))
    point(world)
    point(world.later(10 * MINUTE))
    assert ended(point(world.later(50 * MINUTE - 1))) == REACHED
    assert ended(point(world.later(1))) == SENT
    assert ended(point(world.later(10 * MINUTE - 1))) == REACHED
    assert ended(point(world.later(1))) == SENT


def test_what_was_not_sent_does_not_count() -> None:
    world = World(policy(caps=(cap(limit=1, window=HOUR),)))
    point(world)
    for _ in range(5):
        point(world.later(10 * MINUTE))
    assert ended(point(world.later(10 * MINUTE))) == SENT


def other(**changes: Any) -> Rule:
    return replace(rule(name="other", on=("other",), category="order"), **changes)


@pytest.mark.parametrize(
    ("scope", "counted"),
    [
        ({"per": Per.CUSTOMER}, True),
        ({"per": Per.CATEGORY}, False),
        ({"per": Per.CLASS}, False),
        ({"per": Per.RULE}, False),
        ({"per": Per.SUBJECT}, False),
        ({"per": Per.CHANNEL}, True),
        ({"per": Per.CUSTOMER, "where_category": "outage"}, False),
        ({"per": Per.CUSTOMER, "where_category": "order"}, False),
        ({"per": Per.CUSTOMER, "where_class": MessageClass.MARKETING}, False),
        ({"per": Per.CUSTOMER, "where_rule": "outage"}, False),
        ({"per": Per.CUSTOMER, "where_channel": "sms"}, True),
        ({"per": Per.CUSTOMER, "where_channel": "email"}, False),
    ],
)
def test_a_cap_counts_only_what_is_in_its_scope_and_filter(scope: dict[str, Any], *, counted: bool) -> None:
    world = World(
        policy(
            rule(message_class=MessageClass.TRANSACTIONAL),
            other(),
            caps=(cap(**scope),),
            types=(event_type(), event_type("other")),
            categories=(category(), category(name="order")),
        )
    )
    assert ended(point(world, subject="A")) == SENT
    assert ended(point(world, type="other", subject="B")) == (REACHED if counted else SENT)


@pytest.mark.parametrize("per", [Per.CATEGORY, Per.CLASS, Per.RULE, Per.SUBJECT, Per.CHANNEL])
def test_a_cap_counts_what_is_in_its_scope(per: Per) -> None:
    world = World(policy(rule(plan=first("sms")), caps=(cap(per=per),)))
    assert [ended(point(world)) for _ in range(2)] == [SENT, REACHED]


def test_a_cap_per_subject_is_no_concern_of_messages_without_one() -> None:
    world = World(policy(caps=(cap(per=Per.SUBJECT),)))
    assert [ended(point(world, subject="")) for _ in range(2)] == [SENT, SENT]


def test_every_cap_must_admit() -> None:
    world = World(policy(caps=(cap(name="a", limit=5), cap(name="b", limit=2), cap(name="c", limit=3))))
    assert [ended(point(world)) for _ in range(3)] == [SENT, SENT, REACHED]
    assert [(c.cap, c.used, c.blocked) for c in world.decisions[-1].caps] == [
        ("a", 2, False),
        ("b", 2, True),
        ("c", 2, False),
    ]


def test_reserved_room_is_for_more_urgent_classes() -> None:
    reserving = cap(limit=3, reserve=((MessageClass.TRANSACTIONAL, 1), (MessageClass.CRITICAL, 1)))
    kinds = {"offer": "MARKETING", "order": "TRANSACTIONAL", "alarm": "CRITICAL"}
    world = World(
        policy(
            *(rule(name=k, on=(k,), message_class=MessageClass[c]) for k, c in kinds.items() if k != "offer"),
            rule(name="offer", on=("offer",)),
            caps=(reserving,),
            types=tuple(event_type(k) for k in kinds),
        )
    )
    order = ["offer", "offer", "order", "order", "alarm", "alarm"]
    wanted = [SENT, REACHED, SENT, REACHED, SENT, REACHED]
    assert [ended(point(world, type=kind)) for kind in order] == wanted
    assert [d.caps[0].limit for d in world.decisions] == [1, 1, 2, 2, 3, 3]


def test_exempt_classes_pass_and_still_count() -> None:
    world = World(
        policy(
            rule(message_class=MessageClass.CRITICAL),
            rule(name="other", on=("other",)),
            caps=(cap(exempt=frozenset({MessageClass.CRITICAL})),),
            types=(event_type(), event_type("other")),
        )
    )
    assert [ended(point(world)) for _ in range(3)] == [SENT] * 3
    assert world.decisions[-1].caps[0].exempt
    assert world.decisions[-1].caps[0].used == 2
    assert ended(point(world, type="other")) == REACHED


def test_a_closure_passes_caps_and_counts() -> None:
    world = World(policy(caps=(cap(limit=1),)))
    assert ended(one(world.event())) == SENT
    assert ended(one(world.event(lifecycle=Lifecycle.RESOLVED))) == ("SEND", "CLOSURE")
    assert [a.closure for a in world.customer.admissions] == [False, True]
    assert point(world).caps[0].used == 2


def test_a_deferred_message_waits_until_there_is_room() -> None:
    world = World(policy(caps=(cap(limit=2, window=HOUR, over=Over.DEFER, max_hold=HOUR),)))
    start = world.now
    point(world)
    point(world.later(10 * MINUTE))
    held = point(world.later(10 * MINUTE))
    assert ended(held) == ("HOLD", "CAP")
    assert held.due == start + HOUR
    assert held.caps[0].next_free == held.due
    assert held.caps[0].used_times == (start, start + 10 * MINUTE)
    world.now = held.due - 1
    assert world.due().decisions == ()
    world.now = held.due
    released = one(world.due())
    assert ended(released) == SENT
    assert (released.decision_id, released.revision, released.terminal) == (held.decision_id, 1, True)


def test_a_deferred_message_waits_for_every_blocking_cap() -> None:
    caps = (cap(name="a", window=HOUR, over=Over.DEFER, max_hold=DAY), cap(name="b", window=2 * HOUR, over=Over.DROP))
    world = World(policy(caps=caps))
    point(world)
    assert point(world).due == world.now + 2 * HOUR


def test_the_first_blocking_cap_names_the_action() -> None:
    caps = (cap(name="a", over=Over.DROP), cap(name="b", over=Over.DEFER))
    world = World(policy(caps=caps))
    point(world)
    assert ended(point(world)) == REACHED
    world = World(policy(caps=caps[::-1]))
    point(world)
    assert ended(point(world)) == ("HOLD", "CAP")


def test_a_message_is_not_deferred_beyond_max_hold_counted_from_its_first_hold() -> None:
    world = World(policy(caps=(cap(window=HOUR, over=Over.DEFER, max_hold=HOUR),)))
    point(world)
    world.later(MINUTE)
    first_hold, second_hold = point(world), point(world)
    world.now = first_hold.due
    released = world.due().decisions
    assert sorted(ended(d) for d in released) == sorted([SENT, REACHED])
    assert first_hold.due == second_hold.due


def test_waiting_does_not_help_where_all_room_is_reserved() -> None:
    reserved = cap(limit=1, reserve=((MessageClass.CRITICAL, 1),), over=Over.DEFER)
    assert ended(point(World(policy(caps=(reserved,))))) == REACHED


def test_a_full_channel_gives_way_to_the_next() -> None:
    full = cap(per=Per.CHANNEL, where_channel="sms", over=Over.REROUTE)
    world = World(policy(caps=(full,)))
    assert channels(point(world)) == ("sms",)
    rerouted = point(world)
    assert channels(rerouted) == ("email",)
    assert verdicts(rerouted) == {"sms": "CAP_REACHED", "email": "ALLOWED"}


def test_when_every_channel_is_full_the_cap_is_reached() -> None:
    world = World(policy(caps=(cap(per=Per.CHANNEL, over=Over.REROUTE),)))
    assert [channels(point(world)) for _ in range(3)] == [("sms",), ("email",), ()]
    assert ended(world.decisions[-1]) == REACHED


def test_a_message_on_two_channels_counts_once_for_the_customer_and_once_for_each_channel() -> None:
    world = World(
        policy(rule(plan=every("sms", "email")), caps=(cap(limit=9), cap(name="c", per=Per.CHANNEL, limit=9)))
    )
    point(world)
    found = point(world).caps
    assert [(c.cap, c.channel, c.used) for c in found] == [("cap", "", 1), ("c", "sms", 1), ("c", "email", 1)]


def test_a_message_that_was_not_sent_gives_its_place_back() -> None:
    world = World(policy(rule(plan=first("sms")), caps=(cap(),)))
    for outcome in (Feedback.EXPIRED, Feedback.SUPPRESSED, Feedback.REJECTED):
        sent = point(world)
        assert ended(sent) == SENT
        world.feedback(sent, outcome)
    assert world.customer.admissions == ()


@pytest.mark.parametrize(
    "outcome", [Feedback.UNKNOWN, Feedback.ACCEPTED, Feedback.RETRY, Feedback.DELIVERED, Feedback.COMPLAINED]
)
def test_a_message_that_may_have_been_sent_keeps_its_place(outcome: Feedback) -> None:
    world = World(policy(caps=(cap(),)))
    world.feedback(point(world), outcome)
    assert ended(point(world)) == REACHED


def test_of_a_message_on_two_channels_only_the_one_that_was_not_sent_is_given_back() -> None:
    world = World(policy(rule(plan=every("sms", "email")), caps=(cap(), cap(name="c", per=Per.CHANNEL))))
    world.feedback(point(world), Feedback.REJECTED, channel="sms")
    found = {(c.cap, c.channel): c.used for c in point(world).caps}
    assert found == {("cap", ""): 1, ("c", "sms"): 0, ("c", "email"): 1}


def test_admissions_are_appended_and_old_ones_stay_the_same_objects() -> None:
    world = World(policy())
    point(world)
    before = world.customer.admissions
    point(world)
    assert world.customer.admissions[0] is before[0]
    assert len(world.customer.admissions) == 2


def test_pruning_forgets_only_what_no_cap_can_count() -> None:
    given = policy(caps=(cap(limit=9, window=HOUR), cap(name="b", limit=9, window=2 * HOUR)))
    world = World(given)
    point(world)
    point(world.later(1))
    now = world.now + 2 * HOUR - 1
    assert [a.time for a in prune(world.customer, given, now).admissions] == [world.now]
    assert prune(world.customer, given, now - 1) is world.customer


def test_a_fuller_window_than_the_limit_must_empty_to_below_it() -> None:
    exempt = cap(limit=1, window=HOUR, over=Over.DEFER, max_hold=DAY, exempt=frozenset({MessageClass.CRITICAL}))
    rules = (rule(message_class=MessageClass.CRITICAL), rule(name="other", on=("other",)))
    world = World(policy(*rules, caps=(exempt,), types=(event_type(), event_type("other"))))
    for _ in range(3):
        point(world.later(MINUTE))
    assert point(world, type="other").due == world.now + HOUR


def test_all_waits_for_the_channel_that_is_free_first() -> None:
    caps = (
        cap(name="a", per=Per.CHANNEL, where_channel="sms", window=2 * HOUR, over=Over.DEFER),
        cap(name="b", per=Per.CHANNEL, where_channel="email", window=HOUR, over=Over.DEFER),
    )
    world = World(policy(rule(plan=every("sms", "email")), caps=caps))
    assert channels(point(world)) == ("sms", "email")
    assert point(world).due == world.now + HOUR
    world.run()
    assert channels(world.decisions[-1]) == ("email",)


def test_max_hold_counts_from_the_first_hold_however_often_it_is_held_again() -> None:
    world = World(policy(caps=(cap(window=HOUR, over=Over.DEFER, max_hold=2 * HOUR + 30 * MINUTE),)))
    point(world)
    for _ in range(4):
        point(world.later(MINUTE))
    world.run()
    terminal = [d for d in world.decisions if d.terminal]
    assert [ended(d) for d in terminal] == [SENT, SENT, SENT, REACHED, REACHED]
    assert terminal[-1].time == terminal[2].time


def test_where_one_cap_will_never_admit_nothing_is_deferred() -> None:
    never = cap(name="never", limit=1, reserve=((MessageClass.CRITICAL, 1),), over=Over.DEFER)
    full = cap(name="full", limit=1, window=HOUR, over=Over.DEFER)
    for caps in ((never, full), (full, never)):
        world = World(policy(caps=(full,)))
        point(world)
        world.policy = policy(caps=caps)
        assert ended(point(world)) == REACHED


@pytest.mark.parametrize(
    "filtered",
    [{"where_rule": "outage"}, {"where_category": "outage"}, {"where_class": MessageClass.INFORMATIONAL}],
)
def test_a_cap_with_a_filter_limits_what_is_in_it(filtered: dict[str, Any]) -> None:
    world = World(policy(caps=(cap(**filtered),)))
    assert [ended(point(world)) for _ in range(2)] == [SENT, REACHED]


def test_a_cap_that_names_a_channel_counts_that_channel_only_whatever_its_scope() -> None:
    world = World(policy(rule(plan=first("email")), caps=(cap(where_channel="sms", limit=9),)))
    point(world)
    world.policy = policy(rule(plan=first("sms")), caps=(cap(where_channel="sms", limit=9),))
    assert [(f.channel, f.used) for f in point(world).caps] == [("sms", 0)]


def test_the_trace_shows_the_newest_of_many_counted_messages() -> None:
    world = World(policy(caps=(cap(limit=99),)))
    for _ in range(30):
        point(world.later(MINUTE))
    world.policy = policy(caps=(cap(limit=5),))
    (finding,) = point(world).caps
    assert (finding.used, len(finding.used_times), finding.used_times[-1]) == (30, 20, world.now)


@pytest.mark.parametrize(
    "filtered", [{"where_rule": "other"}, {"where_category": "other"}, {"where_class": MessageClass.MARKETING}]
)
def test_a_cap_with_a_filter_is_no_concern_of_others(filtered: dict[str, Any]) -> None:
    world = World(policy(caps=(cap(**filtered),)))
    assert [ended(point(world)) for _ in range(2)] == [SENT, SENT]
    assert world.decisions[-1].caps == ()


def test_the_longest_hold_of_a_cap_begins_when_the_cap_holds() -> None:
    given = cap(limit=1, window=HOUR, over=Over.DEFER, max_hold=HOUR)
    night = quiet(start="11:00", end="14:00")
    world = World(policy(rule(plan=first("sms")), caps=(given,), defaults={"quiet_hours": night}))
    for _ in range(2):
        assert ended(point(world)) == ("HOLD", "QUIET_HOURS")
    sent, waits = world.later(2 * HOUR).due().decisions
    assert (ended(sent), ended(waits), waits.due) == (SENT, ("HOLD", "CAP"), NOON + 3 * HOUR)
    assert ended(one(world.later(HOUR).due())) == SENT


def test_a_cap_of_a_channel_counts_the_parts_of_digests_on_it() -> None:
    part = Part(("push",), "outage", MessageClass.INFORMATIONAL, "outage", "INC-1")
    digest = Admission(NOON, b"d", ("email",), "outage", MessageClass.INFORMATIONAL, "outage", "INC-7", parts=(part,))
    given = policy(rule(plan=first("push")), caps=(cap(per=Per.CHANNEL),))
    assert ended(one(World(given, customer(admissions=(digest,))).event())) == ("SUPPRESSED", "CAP_REACHED")
    other = replace(digest, parts=(replace(part, channels=("sms",)),))
    assert ended(one(World(given, customer(admissions=(other,))).event())) == ("SEND", "ALLOWED")


def test_a_verdict_that_lets_pass_names_no_instant() -> None:
    assert [v.until for v in one(World(policy()).event()).verdicts] == [0]
