"""What all tests share: a real Kafka, and topics of their own on it."""

import os
from collections.abc import AsyncIterator

import hypothesis
import pytest

from services.common.topics import Topics
from tests.support import kafka as support

# The same examples in every run: what a test says must not depend on the day.
# `--hypothesis-profile=explore` looks further.
hypothesis.settings.register_profile("explore", derandomize=False)
hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.load_profile("same")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="properties look at many times more histories")


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> str:
    """The bootstrap address of a real Kafka that the whole run shares."""
    return support.shared_bootstrap(_main_pid(request.config))


@pytest.fixture(scope="session")
def kafka_packages() -> None:
    """What a Kafka of the test's own needs is in the cache."""
    support.need_packages()


@pytest.fixture
async def topics(kafka: str) -> AsyncIterator[Topics]:
    """All topics, four partitions each, under a prefix of this test's own."""
    async with support.created_topics(kafka) as topics:
        yield topics


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if {"kafka", "kafka_packages"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.kafka)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not _is_worker(config):
        support.stop_shared(_main_pid(config))


def _main_pid(config: pytest.Config) -> int:
    return os.getppid() if _is_worker(config) else os.getpid()


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")
