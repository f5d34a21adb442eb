"""Invented policies, customers and controls for histories: all choices come from the given Random.

A gentle policy has nothing that expires, and a gentle customer can be reached and wants everything.
"""

from random import Random
from typing import Any

from msgspec.structs import replace

from services.router.decision.model import (
    DAY,
    HOUR,
    MINUTE,
    Address,
    Cap,
    Control,
    ControlKind,
    DigestTimes,
    Event,
    Key,
    Lifecycle,
    Lock,
    MessageClass,
    Over,
    Per,
    Plan,
    Policy,
    Profile,
    QuietPolicy,
    QuietTimes,
    Rule,
    Severity,
    Share,
    Suppression,
    Value,
    Window,
)
from tests.builders import CHANNELS, NOON, category, condition, event_type, every, first, policy, profile, rule, wish

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Santiago")
# A plain day, and the evenings before clocks change in one of the zones.
STARTS = (
    NOON,
    NOON,
    NOON + 24 * DAY + 8 * HOUR,  # 28 March 2026: Berlin, into summer
    NOON + 234 * DAY + 8 * HOUR,  # 24 October: Berlin, out of it
    NOON + 3 * DAY + 12 * HOUR,  # 8 March: New York
    NOON + 31 * DAY,  # 4 April: Lord Howe and Santiago
    NOON + 185 * DAY + 12 * HOUR,  # 6 September: Santiago
    NOON + 213 * DAY,  # 3 October: Lord Howe
)
TYPES = ("outage", "order", "offer")
CLASSES = tuple(MessageClass)
WINDOWS = (30 * MINUTE, 2 * HOUR, DAY)
FRESH = condition(lambda s: s.previous is None or s.event.data["at"] != s.previous["at"])
HERE = condition(lambda s: s.customer is not None and s.customer.attributes.get("feeder") == "F-17")
GOLD = condition(lambda s: s.customer is not None and s.customer.attributes.get("contract") == "gold")
SMALL = condition(lambda s: s.event.data["at"] < 1)
ONCE = Key("data.key", lambda s: s.event.data.get("key"))


def a_policy(random: Random, *, gentle: bool = False) -> Policy:
    """Invent a policy: kinds of events with and without a life, some caps, perhaps quiet hours, locks and digests."""
    categories = (
        category(required=random.random() < 0.25),
        category(name="order", default=random.choice((Value.INSTANT, Value.INSTANT, Value.DIGEST))),
        category(name="offer", default=random.choice((Value.INSTANT, Value.INSTANT, Value.DIGEST, Value.OFF))),
    )
    defaults: dict[str, Any] = {
        "quiet_hours": _quiet(random) if random.random() < 0.6 else None,
        "timezone": random.choice(ZONES),
        "digest": a_digest(random),
        "dedup_window": random.choice((DAY, DAY, HOUR)),
    }
    if random.random() < 0.15:
        defaults["preferences"] = (wish(random.choice((Value.OFF, Value.DIGEST)), channel=random.choice(CHANNELS)),)
    return policy(
        *_rules(random, gentle=gentle),
        caps=tuple(a_cap(random, f"cap-{n}") for n in range(random.choice((0, 1, 1, 2, 3)))),
        types=tuple(event_type(t, lifecycle=t == "outage") for t in (*TYPES, "notice")),
        categories=categories,
        defaults=defaults,
        locks=(Lock(random.choice(("", "offer")), random.choice(CHANNELS), "by law"),) if random.random() < 0.1 else (),
    )


def _rules(random: Random, *, gentle: bool) -> list[Rule]:
    lasting = 10 * DAY if gentle else random.choice((6 * HOUR, 3 * DAY, 3 * DAY))
    plain = [
        rule(name="outage-too", on=("outage", "order"), go_on=True, plan=a_plan(random), expires_after=lasting),
        rule(name="outage", material=FRESH, plan=a_plan(random), expires_after=lasting),
        rule(name="order", on=("order",), category="order", plan=a_plan(random), expires_after=lasting),
        rule(name="offer", on=("offer",), category="offer", plan=a_plan(random), expires_after=lasting),
    ]
    rules = [_varied(random, r) for r in plain]
    rules[3] = replace(rules[3], message_class=MessageClass.MARKETING)
    return rules if random.random() < 0.4 else rules[1:]


def _varied(random: Random, plain: Rule) -> Rule:
    changes: dict[str, Any] = {"message_class": random.choice(CLASSES[:3])}
    if random.random() < 0.1:
        changes["when"] = SMALL
    if random.random() < 0.15:
        changes["who"] = HERE
    if random.random() < 0.1:
        changes["segment"] = GOLD
    if random.random() < 0.1:
        changes["rollout"] = Share(random.choice((0, 5_000, 9_000)), random.choice(("a", "b", "c", "d")))
    if random.random() < 0.1:
        changes["holdout"] = Share(random.choice((1_000, 5_000, 10_000)), random.choice(("a", "b", "c", "d")))
    if random.random() < 0.3:
        changes["once"], changes["once_window"] = ONCE, random.choice(WINDOWS)
    if random.random() < 0.15:
        changes["announce_transient"] = True
    if random.random() < 0.1:
        changes["announce_always"] = True
    if random.random() < 0.15:
        changes["respects_quiet_hours"] = False
    return replace(plain, **changes)


def a_plan(random: Random) -> Plan:
    """Invent a plan of one to three channels."""
    channels = random.sample(CHANNELS, random.randrange(1, 4))
    return every(*channels) if random.random() < 0.3 else first(*channels, fixed=random.random() < 0.2)


def a_cap(random: Random, name: str) -> Cap:
    """Invent a cap: any scope, any action that suits it."""
    per = random.choice(tuple(Per))
    channel = random.choice(("", "", "sms"))
    overs = [Over.DROP, Over.DEFER, Over.DEFER, Over.DIGEST]
    overs += [Over.REROUTE] * 2 if channel or per is Per.CHANNEL else []
    limit = random.randrange(1, 4)
    return Cap(
        name,
        per,
        limit,
        random.choice(WINDOWS),
        random.choice(overs),
        where_channel=channel,
        where_category=random.choice(("", "", "", "outage")),
        where_class=random.choice((None, None, None, None, *CLASSES)),
        where_rule=random.choice(("", "", "", "", "outage", "order")),
        exempt=frozenset({MessageClass.CRITICAL}) if random.random() < 0.4 else frozenset(),
        reserve=((MessageClass.TRANSACTIONAL, limit - 1),) if random.random() < 0.3 and limit > 1 else (),
        max_hold=random.choice((HOUR, DAY)),
    )


def _quiet(random: Random) -> QuietPolicy:
    channels = random.choice(((), (), ("sms",), ("sms", "email")))
    over = random.choice((Over.HOLD, Over.HOLD, Over.DROP, Over.REROUTE))
    return QuietPolicy(a_night(random), channels, over, random.choice((0, 10 * MINUTE)))


def a_night(random: Random) -> QuietTimes:
    """Invent quiet hours, sometimes others on some days, sometimes on these only."""
    days = tuple(_window(random) if random.random() < 0.3 else None for _ in range(7))
    kind = random.random()
    if kind < 0.7 or not any(days):
        return QuietTimes(_window(random))
    return QuietTimes(_window(random) if kind < 0.9 else None, days)


def _window(random: Random) -> Window:
    start = random.randrange(0, 1440, 30)
    return Window(start, (start + random.choice((30, 60, 90, 180, 360, 600, 870))) % 1440)


def a_digest(random: Random) -> DigestTimes:
    """Invent when digests are flushed."""
    return DigestTimes(HOUR) if random.random() < 0.4 else DigestTimes(DAY, random.choice((0, 90, 150, 480, 1080)))


def a_profile(random: Random, now: int = NOON, *, gentle: bool = False) -> Profile:
    """Invent a customer."""
    kinds = (Value.INSTANT, Value.DIGEST, Value.DIGEST) if gentle else tuple(Value)
    plain = profile(
        timezone=random.choice(("", *ZONES)),
        channels=tuple(random.sample(CHANNELS, random.randrange(4))),
        quiet_hours=a_night(random) if random.random() < 0.25 else None,
        consents=CHANNELS if gentle else tuple(c for c in CHANNELS if random.random() < 0.6),
        digest=a_digest(random) if random.random() < 0.2 else None,
        attributes={"feeder": random.choice(("F-17", "F-17", "F-18")), "contract": random.choice(("gold", "basic"))},
        preferences=tuple(
            wish(random.choice(kinds), random.choice(("", *TYPES)), random.choice(("", *CHANNELS)))
            for _ in range(random.choice((0, 0, 1, 2)))
        ),
    )
    if gentle:
        return plain
    return replace(
        plain,
        addresses=tuple(Address(c, c) for c in CHANNELS if random.random() < 0.85),
        suppressed=tuple(Suppression(c, "STOP") for c in CHANNELS if random.random() < 0.1),
        snoozed_until=random.choice((0, 0, 0, 0, now + HOUR, now + DAY)),
    )


def a_control(random: Random, name: str, now: int) -> Control:
    """Invent a stop or a pause, of everything or of something, of all channels or of one."""
    match: dict[str, Any] = random.choice(
        (
            {},
            {"rule": random.choice(("outage", "order"))},
            {"category": random.choice(TYPES)},
            {"message_class": random.choice(CLASSES)},
            {"source": "oms", "category": "outage"},
            {"event": f"e{random.randrange(8)}"},
        )
    )
    return Control(
        name,
        random.choice((ControlKind.STOP, ControlKind.PAUSE, ControlKind.PAUSE)),
        channel=random.choice(("", *CHANNELS)),
        expires=random.choice((0, 0, now + 30 * MINUTE, now + 5 * HOUR)),
        **match,
    )


def an_event(random: Random, number: int, now: int, *, gentle: bool = False) -> Event:
    """Invent an event; one that is not gentle may be late, old, known, unknown or wrong."""
    kind = random.choice(("outage", *TYPES)) if gentle else random.choice(("outage",) * 9 + TYPES * 4 + ("notice", "x"))
    lifecycle = random.choice(tuple(Lifecycle)) if kind == "outage" else Lifecycle.POINT
    name, content, sequence, expiry, time = number, b"content", None, None, now
    if not gentle:
        if random.random() < 0.02:
            lifecycle = Lifecycle.OPENED
        if random.random() < 0.12:
            name, content = number - random.randrange(1, 4), random.choice((b"content", b"content", b"other"))
        sequence = random.choice((None, None, number, number - 3))
        time -= random.choice((0, 0, 0, 0, 0, HOUR, DAY))
        expiry = random.choice((*(None,) * 12, now + HOUR, now))
    return Event(
        tenant="northwind",
        source="oms",
        id=f"e{name}",
        type=kind,
        subject=random.choice(("A", "A", "B")) if kind == "outage" else random.choice(("A", "")),
        time=time,
        lifecycle=lifecycle,
        sequence=sequence,
        severity=Severity.INFO,
        expiry=expiry,
        customers=("ana",),
        data={"at": random.randrange(2), "key": random.choice((None, "k1", "k2"))},
        content_hash=content,
        accepted=now,
    )
