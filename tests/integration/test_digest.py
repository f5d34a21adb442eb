"""A digest all the way: messages wait, the router dies by kill -9, at the customer's time one mail holds them all."""

from pathlib import Path

import httpx2
import pytest

from services.common.clock import WallClock
from services.common.topics import Topics
from services.control.audit.promises import audit
from services.router.decision import local_time
from services.router.decision.model import MINUTE, Outcome
from tests.support.daytime import daytime_zone
from tests.support.following import Following, following
from tests.support.stack import event, running_stack

# The customer's time is the next full minute but one.
pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(240)]

ORDERS = ("O-1", "O-2", "O-3")


def late(order: str) -> dict[str, str]:
    return {"order": order, "problem": "delayed", "fixed_by": "2027-01-01T00:00:00Z"}


def waiting(found: Following) -> bool:
    return sum(each.outcome is Outcome.HOLD for each in found.decisions) >= len(ORDERS)


def sent(found: Following) -> bool:
    return sum(each.outcome is Outcome.SEND for each in found.decisions) >= len(ORDERS) and bool(found.settled())


async def test_what_waits_for_a_digest_survives_and_goes_as_one_mail(
    kafka: str, topics: Topics, tmp_path: Path
) -> None:
    zone = daytime_zone()
    async with running_stack(kafka, topics, tmp_path) as stack, following(kafka, topics) as found:
        await stack.activate()
        await stack.start("router", "sender")
        flush = local_time.written(WallClock().now() + 2 * MINUTE, zone)[11:16]
        profile = {
            "addresses": {"email": "ana@example.org"},
            "timezone": zone,
            "preferences": [{"category": "order", "value": "digest"}],
            "digest": {"at": flush},
        }
        await stack.put({"ana": profile})
        await stack.write(topics.events, [event("ana", f"e-{order}", late(order)) for order in ORDERS])
        await found.until(waiting)
        stack.kill("router")
        await stack.start("router")
        await found.until(sent, 180)
        async with httpx2.AsyncClient() as client:
            (listed,) = (await client.get(f"{stack.sandbox.http}/v1/messages")).json()["messages"]
            mail = (await client.get(f"{stack.sandbox.http}/v1/messages/{listed['number']}")).json()
        assert all(order in mail["text"] for order in ORDERS)
        digests = {each.digest for each in found.decisions if each.outcome is Outcome.SEND}
        assert len(digests) == 1
        assert b"" not in digests
        async with stack.reading() as log:
            assert audit(await stack.evidence(log), WallClock().now()).broken() == ()
