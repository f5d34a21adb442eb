"""The promise of the transactional processor, on a real Kafka with real processes: each input counts exactly once."""

import asyncio
from functools import partial

import pytest

from services.common.settings import StateSettings
from services.common.topics import Topics
from tests.support.copier import processor
from tests.support.copying import Copies, assert_counted_once, copier, produce
from tests.support.waiting import wait_until_async

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


async def test_each_input_counts_once_though_processes_are_killed(kafka: str, topics: Topics) -> None:
    texts = [str(number) for number in range(2_000)]
    async with Copies(kafka, topics) as copies, asyncio.TaskGroup() as tasks:
        tasks.create_task(produce(kafka, topics, texts))
        for limit in (300, 700, 1_100):
            with copier(kafka, topics, "a") as first:
                await wait_until_async(partial(_at_least, copies, limit), 40)
                first.kill()
        with copier(kafka, topics, "a"):
            await wait_until_async(lambda: _at_least(copies, 1_500), 40)
            with copier(kafka, topics, "b"):  # the partitions are shared out anew while records arrive
                await wait_until_async(lambda: _at_least(copies, len(texts)), 60)
    assert_counted_once(copies, texts)


async def _at_least(copies: Copies, count: int) -> bool:
    return await copies.count() >= count


async def test_a_process_ends_when_partitions_do_not_belong_together(kafka: str, topics: Topics) -> None:
    settings = StateSettings(
        kafka_bootstrap=kafka, topic_prefix=topics.prefix, partitions=topics.partitions, state_store="memory"
    )
    uneven = processor(settings, extra_input=topics.policies)
    with pytest.RaisesGroup(pytest.RaisesExc(Exception, match="must be co-partitioned")):
        await uneven.run(asyncio.Event())
