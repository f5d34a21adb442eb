from datetime import datetime
from hashlib import blake2b
from typing import Any

import pytest
from msgspec import msgpack
from msgspec.structs import replace

from services.router.decision import quiet_hours
from services.router.decision.model import (
    HOUR,
    MINUTE,
    Decision,
    Lifecycle,
    MessageClass,
    Over,
    QuietTimes,
    Value,
)
from tests.builders import (
    NOON,
    World,
    cap,
    channels,
    condition,
    customer,
    ended,
    every,
    first,
    night,
    one,
    policy,
    profile,
    quiet,
    rule,
    verdicts,
    window,
    wish,
)

SENT, HELD = ("SEND", "ALLOWED"), ("HOLD", "QUIET_HOURS")
POINT: dict[str, Any] = {"lifecycle": Lifecycle.POINT}


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


def decide(now: str, *, given: Any = None, policy_quiet: Any = None, **changes: Any) -> Decision:
    plain = policy(given or rule(plan=first("sms")), defaults={"quiet_hours": policy_quiet or quiet()})
    return one(World(plain, customer(profile=profile(**changes)), at(now)).event(**POINT))


@pytest.mark.parametrize(
    ("now", "wanted"),
    [
        ("2026-03-04T21:59:59+00:00", SENT),
        ("2026-03-04T22:00:00+00:00", HELD),
        ("2026-03-05T03:00:00+00:00", HELD),
        ("2026-03-05T06:59:59+00:00", HELD),
        ("2026-03-05T07:00:00+00:00", SENT),
    ],
)
def test_a_window_over_midnight_is_closed_at_its_start_and_open_at_its_end(now: str, wanted: tuple[str, str]) -> None:
    assert ended(decide(now)) == wanted


def test_a_window_within_a_day() -> None:
    siesta = quiet(start="13:00", end="15:00")
    assert decide("2026-03-04T14:00:00+00:00", policy_quiet=siesta).due == at("2026-03-04T15:00:00+00:00")
    assert ended(decide("2026-03-04T12:59:59+00:00", policy_quiet=siesta)) == SENT
    assert ended(decide("2026-03-04T15:00:00+00:00", policy_quiet=siesta)) == SENT


def test_a_held_message_goes_at_the_end_and_not_before() -> None:
    world = World(policy(defaults={"quiet_hours": quiet()}), now=at("2026-03-04T23:00:00+00:00"))
    held = one(world.event())
    assert held.due == at("2026-03-05T07:00:00+00:00")
    assert held.verdicts[0].until == held.due
    world.now = held.due
    assert ended(one(world.due())) == SENT


def test_the_zone_is_the_customers_else_the_tenants_and_is_recorded() -> None:
    tokyo = decide("2026-03-04T14:00:00+00:00", timezone="Asia/Tokyo")
    assert (ended(tokyo), tokyo.timezone, tokyo.local_time) == (HELD, "Asia/Tokyo", "2026-03-04T23:00:00+09:00")
    assert tokyo.due == at("2026-03-05T07:00:00+09:00")
    defaults = {"quiet_hours": quiet(), "timezone": "America/New_York"}
    for zone in ("", "No/Where", "../etc"):
        world = World(policy(defaults=defaults), customer(profile=profile(timezone=zone)), at("2026-03-05T04:00:00Z"))
        decision = one(world.event())
        assert (ended(decision), decision.timezone) == (HELD, "America/New_York")


def test_the_customers_times_replace_the_policys() -> None:
    mine = night("12:00", "13:00")
    assert ended(decide("2026-03-04T23:00:00+00:00", quiet_hours=mine)) == SENT
    assert ended(decide("2026-03-04T12:00:00+00:00", quiet_hours=mine)) == HELD
    assert ended(decide("2026-03-04T12:00:00+00:00", quiet_hours=mine, policy_quiet=quiet(channels=("email",)))) == SENT
    alone = World(policy(), customer(profile=profile(quiet_hours=mine)))
    assert ended(one(alone.event())) == HELD


def test_critical_messages_and_rules_that_ignore_quiet_hours_pass() -> None:
    now = "2026-03-04T23:00:00+00:00"
    assert ended(decide(now, given=rule(message_class=MessageClass.CRITICAL))) == SENT
    assert ended(decide(now, given=rule(respects_quiet_hours=False))) == SENT


def test_a_day_of_the_week_has_its_own_window_on_the_day_it_starts() -> None:
    days = (None, None, None, None, window("23:30", "10:00"), None, None)
    times = QuietTimes(window("22:00", "07:00"), days)
    assert quiet_hours.end(times, "UTC", at("2026-03-06T23:00:00+00:00")) == 0
    assert quiet_hours.end(times, "UTC", at("2026-03-06T23:30:00+00:00")) == at("2026-03-07T10:00:00+00:00")
    assert quiet_hours.end(times, "UTC", at("2026-03-06T06:00:00+00:00")) == at("2026-03-06T07:00:00+00:00")
    assert quiet_hours.end(times, "UTC", at("2026-03-07T23:00:00+00:00")) == at("2026-03-08T07:00:00+00:00")


def test_only_some_days_may_be_quiet() -> None:
    times = QuietTimes(None, (None, None, None, None, None, None, window("00:00", "12:00")))
    assert quiet_hours.end(times, "UTC", at("2026-03-08T05:00:00+00:00")) == at("2026-03-08T12:00:00+00:00")
    assert quiet_hours.end(times, "UTC", at("2026-03-07T05:00:00+00:00")) == 0


def test_windows_that_touch_are_one() -> None:
    times = QuietTimes(window("22:00", "07:00"), (None, None, None, None, None, window("07:00", "12:00"), None))
    assert quiet_hours.end(times, "UTC", at("2026-03-06T23:00:00+00:00")) == at("2026-03-07T12:00:00+00:00")


@pytest.mark.parametrize(
    ("times", "now", "end"),
    [
        # Spring in Berlin: 02:00 becomes 03:00 on 29 March.
        (night("22:00", "02:30"), "2026-03-29T00:30:00+01:00", "2026-03-29T03:00:00+02:00"),
        (night("02:30", "06:00"), "2026-03-29T03:00:00+02:00", "2026-03-29T06:00:00+02:00"),
        (night("22:00", "07:00"), "2026-03-28T23:00:00+01:00", "2026-03-29T07:00:00+02:00"),
        # Autumn: 03:00 becomes 02:00 on 25 October.
        (night("22:00", "02:30"), "2026-10-25T01:00:00+02:00", "2026-10-25T02:30:00+02:00"),
        (night("22:00", "02:30"), "2026-10-25T02:10:00+01:00", ""),
        (night("02:30", "06:00"), "2026-10-25T02:30:00+02:00", "2026-10-25T06:00:00+01:00"),
        (night("02:30", "06:00"), "2026-10-25T02:10:00+01:00", "2026-10-25T06:00:00+01:00"),
        (night("22:00", "07:00"), "2026-10-24T23:00:00+02:00", "2026-10-25T07:00:00+01:00"),
    ],
)
def test_a_skipped_time_is_the_first_after_the_gap_and_a_double_one_the_first(
    times: QuietTimes, now: str, end: str
) -> None:
    assert quiet_hours.end(times, "Europe/Berlin", at(now)) == (at(end) if end else 0)


def test_a_window_inside_the_gap_does_not_exist_that_day() -> None:
    times = night("02:10", "02:50")
    for now in ("2026-03-29T01:59:59+01:00", "2026-03-29T03:00:00+02:00"):
        assert quiet_hours.end(times, "Europe/Berlin", at(now)) == 0


def test_zones_with_odd_changes_have_their_first_instant_after_the_gap_too() -> None:
    # Lord Howe moves by half an hour; Samoa skipped a whole day, 30 December 2011.
    assert quiet_hours.end(night("22:00", "02:10"), "Australia/Lord_Howe", at("2026-10-04T00:00:00+10:30")) == at(
        "2026-10-04T02:30:00+11:00"
    )
    thursday = QuietTimes(None, (None, None, None, window("22:00", "07:00"), None, None, None))
    assert quiet_hours.end(thursday, "Pacific/Apia", at("2011-12-29T23:00:00-10:00")) == at("2011-12-31T00:00:00+14:00")
    assert quiet_hours.end(night(), "Pacific/Apia", at("2011-12-29T23:00:00-10:00")) == at("2011-12-31T07:00:00+14:00")


def test_releases_are_spread_by_customer_and_always_the_same() -> None:
    spread = quiet(spread=10 * MINUTE)
    held = decide("2026-03-04T23:00:00+00:00", policy_quiet=spread)
    end = at("2026-03-05T07:00:00+00:00")
    assert end <= held.due < end + 10 * MINUTE
    assert held.due == decide("2026-03-05T01:00:00+00:00", policy_quiet=spread).due
    all_spreads = {quiet_hours.spread(f"c{n}", end, 10 * MINUTE) for n in range(100)}
    assert len(all_spreads) == 100
    assert min(all_spreads) < MINUTE
    assert max(all_spreads) > 9 * MINUTE


def test_dropping_ends_the_walk() -> None:
    decision = decide(
        "2026-03-04T23:00:00+00:00",
        given=rule(plan=first("sms", "email")),
        policy_quiet=quiet(Over.DROP, channels=("sms",)),
    )
    assert ended(decision) == ("SUPPRESSED", "QUIET_HOURS")
    assert verdicts(decision) == {"sms": "QUIET_HOURS"}


def test_rerouting_takes_the_next_channel_that_is_not_quiet() -> None:
    decision = decide(
        "2026-03-04T23:00:00+00:00",
        given=rule(plan=first("sms", "email")),
        policy_quiet=quiet(Over.REROUTE, channels=("sms",)),
    )
    assert channels(decision) == ("email",)
    assert verdicts(decision) == {"sms": "QUIET_HOURS", "email": "ALLOWED"}


def test_rerouting_holds_when_every_channel_is_quiet() -> None:
    decision = decide(
        "2026-03-04T23:00:00+00:00", given=rule(plan=first("sms", "email")), policy_quiet=quiet(Over.REROUTE)
    )
    assert ended(decision) == HELD
    assert decision.due == at("2026-03-05T07:00:00+00:00")


def test_rerouting_holds_when_the_channels_that_are_not_quiet_are_full() -> None:
    full = cap(per=cap().per, where_channel="email", over=Over.REROUTE)
    given = policy(caps=(full,), defaults={"quiet_hours": quiet(Over.REROUTE, channels=("sms",))})
    world = World(given, now=at("2026-03-04T23:00:00+00:00"))
    assert channels(one(world.event(**POINT))) == ("email",)
    assert ended(one(world.event(**POINT))) == HELD


def test_a_held_channel_ends_the_walk_of_a_first_plan() -> None:
    decision = decide(
        "2026-03-04T23:00:00+00:00", given=rule(plan=first("sms", "email")), policy_quiet=quiet(channels=("sms",))
    )
    assert ended(decision) == HELD


def test_all_leaves_out_a_held_channel_beside_one_that_sends() -> None:
    given = rule(plan=every("sms", "email"))
    now = "2026-03-04T23:00:00+00:00"
    decision = decide(now, given=given, policy_quiet=quiet(channels=("sms",)))
    assert channels(decision) == ("email",)
    assert verdicts(decision) == {"sms": "QUIET_HOURS", "email": "ALLOWED"}
    assert ended(decide(now, given=given)) == HELD


def test_a_hold_that_would_end_too_late_is_expired_at_once() -> None:
    now = "2026-03-05T00:00:00+00:00"
    assert ended(decide(now, given=rule(expires_after=7 * HOUR))) == ("EXPIRED", "EXPIRED")
    assert ended(decide(now, given=rule(expires_after=7 * HOUR + 1))) == HELD
    late = quiet(spread=10 * MINUTE)
    assert ended(decide(now, given=rule(expires_after=7 * HOUR + 1), policy_quiet=late)) == ("EXPIRED", "EXPIRED")


def test_a_closure_is_held_where_others_are_dropped() -> None:
    world = World(policy(defaults={"quiet_hours": quiet(Over.DROP)}), now=at("2026-03-04T21:00:00+00:00"))
    world.event()
    world.later(2 * HOUR)
    held = one(world.event(lifecycle=Lifecycle.RESOLVED))
    assert ended(held) == HELD
    world.run()
    assert ended(world.decisions[-1]) == ("SEND", "CLOSURE")


def test_a_hold_is_decided_again_by_the_profile_and_policy_of_then() -> None:
    def hold() -> World:
        world = World(policy(defaults={"quiet_hours": quiet()}), now=at("2026-03-04T23:00:00+00:00"))
        world.event()
        return world.later(8 * HOUR)

    world = hold()
    world.customer = replace(world.customer, profile=profile(snoozed_until=world.now + 1))
    assert ended(one(world.due())) == ("SUPPRESSED", "SNOOZED")
    world = hold()
    world.customer = replace(world.customer, profile=profile(timezone="America/New_York"))
    again = one(world.due())
    assert (ended(again), again.revision, again.due) == (HELD, 1, at("2026-03-05T07:00:00-05:00"))
    world = hold()
    world.policy = policy(rule(name="renamed"))
    assert ended(one(world.due())) == ("NO_RULE", "NO_RULE")
    world = hold()
    world.policy = policy(rule(who=condition(lambda _: False)))
    assert ended(one(world.due())) == ("SUPPRESSED", "NOT_IN_AUDIENCE")
    world = hold()
    world.policy = policy(rule(when=condition(lambda _: False)))
    assert ended(one(world.due())) == SENT
    world = hold()
    world.policy = policy(rule(expires_after=HOUR))
    assert ended(one(world.due())) == ("EXPIRED", "EXPIRED")


def test_holds_due_together_go_by_class_then_time_then_id() -> None:
    classes = {"a": MessageClass.MARKETING, "b": MessageClass.TRANSACTIONAL, "c": MessageClass.INFORMATIONAL}
    start = at("2026-03-04T23:00:00+00:00")
    orders = []
    for names in ("abc", "cba"):
        rules = tuple(rule(name=n, message_class=classes[n], go_on=True) for n in names)
        world = World(
            policy(*rules, defaults={"quiet_hours": quiet()}), customer(profile=profile(consents=("sms",))), start
        )
        world.event(**POINT)
        world.event(time=start - 1, **POINT)
        world.later(8 * HOUR)
        released = world.due().decisions
        assert all(ended(d) == SENT for d in released)
        orders.append([(d.rule_name, d.event.time if d.event else 0) for d in released])
    assert orders[0] == [(n, t) for n in "bca" for t in (start - 1, start)]
    assert orders[1] == orders[0]


def test_a_timer_for_what_is_not_held_or_not_yet_due_does_nothing() -> None:
    world = World(policy(defaults={"quiet_hours": quiet()}), now=at("2026-03-04T23:00:00+00:00"))
    before = world.event().customer
    assert [t.due for t in world.event(subject="other").timers] == [at("2026-03-05T07:00:00+00:00")]
    world = World(world.policy, before, NOON)
    assert world.due().customer is before
    assert world.due().decisions == ()


def test_what_was_found_before_midnight_does_not_hide_what_begins_after_it() -> None:
    times = night("00:30", "06:00")
    assert quiet_hours.end(times, "UTC", at("2026-03-04T23:00:00+00:00")) == 0
    assert quiet_hours.end(times, "UTC", at("2026-03-05T01:00:00+00:00")) == at("2026-03-05T06:00:00+00:00")


def test_the_spread_is_a_hash_of_customer_and_end() -> None:
    end = at("2026-03-05T07:00:00+00:00")
    hashed = blake2b(msgpack.encode(("ana", end)), digest_size=8).digest()
    assert quiet_hours.spread("ana", end, 10 * MINUTE) == int.from_bytes(hashed, "big") % (10 * MINUTE)
    assert quiet_hours.spread("ana", end + 24 * HOUR, 10 * MINUTE) != quiet_hours.spread("ana", end, 10 * MINUTE)
    assert quiet_hours.spread("ana", end, 0) == 0


def test_one_value_of_times_is_another_night_in_each_zone() -> None:
    times, now = night(), at("2026-03-04T23:00:00+00:00")
    assert quiet_hours.end(times, "UTC", now) == at("2026-03-05T07:00:00+00:00")
    assert quiet_hours.end(times, "America/New_York", now) == 0


def test_a_quiet_channel_that_gave_way_is_waited_for_if_it_is_free_before_the_one_that_holds() -> None:
    night = quiet(Over.REROUTE, channels=("sms",), start="11:00", end="14:00")
    world = World(
        policy(rule(plan=first("sms", "email", fixed=True), expires_after=4 * HOUR), defaults={"quiet_hours": night}),
        customer(profile=profile(preferences=(wish(Value.DIGEST, channel="email"),))),
    )
    held = one(world.event())
    assert (ended(held), held.due) == (("HOLD", "QUIET_HOURS"), NOON + 2 * HOUR)
    assert channels(one(world.later(2 * HOUR).due())) == ("sms",)
