"""A partition whose log is stuck waits for an operator, and says so only for as long as this process owns it."""

import asyncio
from random import Random

from prometheus_client import REGISTRY

from services.common.processor.log import Tail
from services.common.processor.partition import Partition
from services.common.processor.ports import Write
from tests.simulation.broker import Broker
from tests.simulation.clients import SimLog
from tests.simulation.counting import Counting
from tests.simulation.faults import Faults
from tests.simulation.group import Group
from tests.simulation.loop import Loop, Process
from tests.simulation.world import METRICS, SimClock


def _failed() -> float:
    return REGISTRY.get_sample_value("clarion_simulation_partitions_failed") or 0.0


def test_a_partition_that_is_given_up_counts_as_failed_no_longer() -> None:
    loop, random = Loop(Random(1)), Random(2)  # noqa: S311  # what is drawn doesn't matter
    business = Counting(1)
    broker = Broker(loop, random, verifies=True, forgets=0.0, changelogs=frozenset())
    faults = Faults(loop, random, broker, 0.0)
    log = SimLog(loop, random, broker, Group(loop, 1), faults, "one")
    clock = SimClock(broker, 0)
    changelog = Tail(business.plan.changelog, 0)
    producer, epoch = broker.init("somebody else")
    broker.add("somebody else", epoch, [changelog])
    broker.produce("somebody else", producer, epoch, changelog, 0, [Write(changelog.topic, b"key", b"value")])
    before = _failed()
    seen: list[float] = []

    async def own_for_a_while() -> None:
        member = log.member("group", "")
        partition = Partition(0, business.plan, log, member, business.handlers(clock), clock, METRICS)
        task = asyncio.get_running_loop().create_task(partition.run())
        await asyncio.sleep(13)
        seen.append(_failed() - before)
        partition.give_up(task)
        await asyncio.wait([task])
        seen.append(_failed() - before)

    loop.start(Process("one"), own_for_a_while())
    loop.run(lambda: len(seen) > 1, 30, 100_000)
    faults.over = True
    loop.close()
    assert seen == [1, 0]
