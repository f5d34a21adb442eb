"""Stops and pauses from the command line on real Kafka: in force at once, lifted, and kept through a kill -9."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from services.common.topics import Topics
from tests.support.daytime import daytime_zone
from tests.support.following import Following, following
from tests.support.settings import child_environment
from tests.support.stack import Stack, event, running_stack

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

LATE = {"order": "O-1", "problem": "delayed", "fixed_by": "2027-01-01T00:00:00Z"}


def clarion(kafka: str, topics: Topics, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "services.control", "control", *arguments],
        env=child_environment(
            CLARION_KAFKA_BOOTSTRAP=kafka,
            CLARION_TOPIC_PREFIX=topics.prefix,
            CLARION_PARTITIONS=str(topics.partitions),
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


async def reasons(stack: Stack, found: Following, event_id: str, count: int = 1) -> list[str]:
    """Publish an event, wait for so many revisions about it, return their reasons."""
    await stack.write(stack.topics.events, [event("ana", event_id, LATE)])
    return await revisions(found, event_id, count)


async def revisions(found: Following, event_id: str, count: int) -> list[str]:
    def of_event(found: Following) -> list[str]:
        return [each.reason.name for each in found.decisions if each.event_id == event_id]

    await found.until(lambda found: len(of_event(found)) >= count)
    return of_event(found)


async def test_controls_are_obeyed_and_lifted(kafka: str, topics: Topics, tmp_path: Path) -> None:
    async with running_stack(kafka, topics, tmp_path) as stack, following(kafka, topics) as found:
        await stack.activate()
        await stack.put({"ana": {"addresses": {"email": "ana@example.org"}, "timezone": daytime_zone()}})
        await stack.start("router", "sender")

        code, said = clarion(kafka, topics, "stop", "--rule", "order-problm")
        assert (code, said) == (1, "clarion: the policy has no rule 'order-problm' (did you mean 'order-problem'?)\n")
        assert clarion(kafka, topics, "stop")[0] == 2
        assert clarion(kafka, topics, "list") == (0, "no control is in force\n")

        stop = ("stop", "--rule", "order-problem", "--reason", "wrong dates", "--author", "ben")
        assert clarion(kafka, topics, *stop) == (
            0,
            "in force: stop-rule-order-problem  stop rule order-problem, by ben: wrong dates\n",
        )
        numbers = iter(range(1_000))

        async def until(reason: str) -> None:
            """Publish until a decision has this reason: a control is obeyed within moments, not within the same one."""
            while (await reasons(stack, found, f"e{next(numbers)}"))[-1] != reason:
                pass

        await until("STOPPED")
        assert clarion(kafka, topics, "lift", "stop-rule-order-problem")[0] == 0
        await until("ALLOWED")

        assert clarion(kafka, topics, "pause", "--category", "order", "--name", "busy")[0] == 0
        await until("PAUSED")
        assert await reasons(stack, found, "waits") == ["PAUSED"]
        stack.kill("router")
        await stack.start("router")
        listed = msgspec.json.decode(clarion(kafka, topics, "list", "--json")[1])
        assert [(each["name"], each["kind"], each["category"]) for each in listed] == [("busy", "pause", "order")]
        assert clarion(kafka, topics, "lift", "bussy") == (
            1,
            "clarion: there is no control 'bussy' (did you mean 'busy'?)\n",
        )
        assert clarion(kafka, topics, "lift", "busy")[0] == 0
        assert (await revisions(found, "waits", 2))[0] == "PAUSED"
        assert (await revisions(found, "waits", 2))[1] in ("ALLOWED", "CAP_REACHED")
