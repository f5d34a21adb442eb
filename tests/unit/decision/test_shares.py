from hashlib import blake2b
from typing import Any

import pytest

from services.router.decision import shares
from services.router.decision.model import HOUR, Lifecycle, MessageClass, Share
from tests.builders import NOON, World, category, ended, one, pause, policy, quiet, rule

SENT = ("SEND", "ALLOWED")
ROLLOUT, HOLDOUT = ("SUPPRESSED", "ROLLOUT"), ("SUPPRESSED", "HOLDOUT")
ANA = shares.bucket("salt", "ana")
NONE, ALL = Share(0, "salt"), Share(shares.BUCKETS, "salt")


def decide(**changes: Any) -> tuple[str, str]:
    return ended(one(World(policy(rule(**changes))).event()))


def test_a_bucket_is_a_hash_of_salt_and_customer() -> None:
    assert int.from_bytes(blake2b(b"salt|ana", digest_size=8).digest(), "big") % 10_000 == ANA
    assert 0 < ANA < 9_999
    assert shares.bucket("other", "ana") != ANA
    assert shares.bucket("salt", "ben") != ANA


def test_buckets_are_even() -> None:
    places = [shares.bucket("salt", f"c{n}") for n in range(10_000)]
    assert (min(places) >= 0, max(places) < shares.BUCKETS) == (True, True)
    for tenth in range(10):
        assert abs(sum(p // 1_000 == tenth for p in places) - 1_000) < 150


def test_a_rollout_lets_its_first_buckets_through() -> None:
    assert decide(rollout=Share(ANA + 1, "salt")) == SENT
    assert decide(rollout=Share(ANA, "salt")) == ROLLOUT
    assert decide(rollout=NONE) == ROLLOUT
    assert decide(rollout=ALL) == SENT


def test_a_holdout_keeps_its_first_buckets_out() -> None:
    assert decide(holdout=Share(ANA + 1, "salt")) == HOLDOUT
    assert decide(holdout=Share(ANA, "salt")) == SENT
    assert decide(holdout=ALL) == HOLDOUT
    assert decide(holdout=NONE) == SENT


def test_who_the_rollout_has_not_reached_is_in_no_holdout() -> None:
    assert decide(rollout=NONE, holdout=ALL) == ROLLOUT
    assert decide(rollout=ALL, holdout=ALL) == HOLDOUT


def test_each_share_has_its_own_salt() -> None:
    other = shares.bucket("other", "ana")
    size = max(ANA, other)
    wanted = SENT if other < ANA else HOLDOUT
    assert decide(holdout=Share(size, "salt")) == wanted
    assert decide(holdout=Share(size, "other")) == (HOLDOUT if wanted == SENT else SENT)


@pytest.mark.parametrize("kind", ["rollout", "holdout"])
def test_the_trace_names_the_bucket_and_the_size(kind: str) -> None:
    size = {"rollout": ANA, "holdout": ANA + 1}[kind]
    decision = one(World(policy(rule(**{kind: Share(size, "salt")}))).event())
    assert decision.detail == f"bucket {ANA} of 10000, the {kind} has the first {size}"
    assert decision.verdicts == ()


@pytest.mark.parametrize("shares_of", [{"rollout": NONE}, {"holdout": ALL}])
def test_what_a_customer_must_know_knows_no_shares(shares_of: dict[str, Any]) -> None:
    assert decide(message_class=MessageClass.CRITICAL, **shares_of) == SENT
    assert decide(message_class=MessageClass.TRANSACTIONAL, **shares_of) != SENT
    required = policy(rule(**shares_of), categories=(category(required=True),))
    assert ended(one(World(required).event())) == SENT
    world = World(policy())
    world.event(lifecycle=Lifecycle.OPENED)
    world.policy = policy(rule(**shares_of))
    assert ended(one(world.event(lifecycle=Lifecycle.UPDATED))) != SENT
    assert ended(one(world.event(lifecycle=Lifecycle.RESOLVED))) == ("SEND", "CLOSURE")


def test_a_closing_event_for_who_was_not_told_knows_shares() -> None:
    assert ended(one(World(policy(rule(rollout=NONE))).event(lifecycle=Lifecycle.RESOLVED))) == ROLLOUT


def test_what_is_decided_again_asks_for_the_share_of_then() -> None:
    world = World(policy(defaults={"quiet_hours": quiet()}), now=NOON + 11 * HOUR)
    world.event()
    world.policy = policy(rule(rollout=NONE))
    world.run()
    assert ended(world.decisions[-1]) == ROLLOUT


def test_a_pause_comes_before_a_share() -> None:
    world = World(policy(rule(rollout=NONE))).steer(pause())
    assert ended(one(world.event())) == ("HOLD", "PAUSED")
    assert ended(one(world.lift("wait"))) == ROLLOUT
