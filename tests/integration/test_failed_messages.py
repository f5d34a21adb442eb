"""A message that the provider refused was not heard: what follows about its subject is decided accordingly."""

from collections.abc import Sequence
from pathlib import Path

import httpx2
import pytest

from services.common.topics import Topics
from tests.support.daytime import daytime_zone
from tests.support.following import following
from tests.support.stack import Stack, event, running_stack

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

CUT = {"area": "Mitte", "feeder": "F-17", "customers_affected": 12}
NEWS = {**CUT, "cause": "a cable was cut"}


async def refuse(stack: Stack, *kinds: str) -> None:
    faults: Sequence[object] = [{"kind": kind, "channel": "email"} for kind in kinds]
    async with httpx2.AsyncClient() as client:
        (await client.put(f"{stack.sandbox.http}/v1/faults", json=faults)).raise_for_status()


async def test_what_was_refused_was_not_told(kafka: str, topics: Topics, tmp_path: Path) -> None:
    async with running_stack(kafka, topics, tmp_path) as stack, following(kafka, topics) as found:

        async def publish(event_id: str, lifecycle: str, data: object, subject: str) -> list[str]:
            """Publish an event about a subject; return how its decisions ended, once they and their sends have."""
            attributes = {"type": "com.northwind.outage", "lifecycle": lifecycle, "subject": subject}
            await stack.write(topics.events, [event("ana", event_id, data, **attributes)])

            def of_event() -> list[str]:
                return [each.reason.name for each in found.decisions if each.event_id == event_id]

            await found.until(lambda found: of_event() and found.sends() <= found.settled())
            return of_event()

        await stack.activate()
        profile = {
            "addresses": {"email": "ana@example.org"},
            "timezone": daytime_zone(),
            "attributes": {"feeder": "F-17"},
        }
        await stack.put({"ana": profile})
        await stack.start("router", "sender")
        await refuse(stack, "refuse")
        await publish("a1", "opened", CUT, "INC-1")
        await found.until(lambda found: any(each.reason.name == "CHANNEL_FAILED" for each in found.decisions))
        await refuse(stack)
        assert await publish("a2", "resolved", CUT, "INC-1") == ["NEVER_INFORMED"]

        assert await publish("b1", "opened", CUT, "INC-2") == ["ALLOWED"]
        await refuse(stack, "refuse")
        await publish("b2", "updated", NEWS, "INC-2")
        await found.until(lambda found: sum(each.reason.name == "CHANNEL_FAILED" for each in found.decisions) == 2)
        await refuse(stack)
        assert await publish("b3", "updated", NEWS, "INC-2") == ["ALLOWED"]
        assert await publish("b4", "resolved", NEWS, "INC-2") == ["CLOSURE"]
