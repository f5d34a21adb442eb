"""The baseline: a loop on the same Kafka that only copies. Consume, produce, await delivery, commit the offsets.

Arguments: bootstrap, topic to read, topic to write, group. Ends on SIGTERM; says `ready` when it owns its partitions.
"""

import asyncio
import signal
import sys

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from services.common import kafka


async def copy(bootstrap: str, source: str, target: str, group: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = kafka.member_settings(bootstrap, group, group, None)
    settings["auto_offset_reset"] = "earliest"
    consumer = AIOKafkaConsumer(source, **settings)
    producer = AIOKafkaProducer(**kafka.producer_settings(bootstrap, group))
    await consumer.start()
    await producer.start()
    print("ready", flush=True)
    while not stop.is_set():
        batches = await consumer.getmany(timeout_ms=200, max_records=500)
        if not batches:
            continue
        deliveries = [
            await producer.send(target, record.value, key=record.key, partition=record.partition)
            for records in batches.values()
            for record in records
        ]
        await asyncio.gather(*deliveries)
        await consumer.commit()
    await producer.stop()
    await consumer.stop()


if __name__ == "__main__":
    uvloop.run(copy(*sys.argv[1:5]))
