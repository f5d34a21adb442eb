"""What libraries say in the log of a service: faults, but not what passes by itself at every start."""

import logging
from collections.abc import Iterator

import pytest
import structlog
from aiokafka.errors import GroupAuthorizationFailedError, GroupCoordinatorNotAvailableError

from services.common import logs

COORDINATORS = "aiokafka.consumer.group_coordinator"
FAILED = "Group Coordinator Request failed: %s"


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root, before = logging.getLogger(), logging.getLogger().handlers[:]
    level, of_library = root.level, logging.getLogger("aiokafka").level
    logging.getLogger("aiokafka").setLevel(logging.NOTSET)
    yield
    logging.getLogger("aiokafka").setLevel(of_library)
    root.handlers[:] = before
    root.setLevel(level)
    logging.getLogger(COORDINATORS).filters.clear()
    structlog.reset_defaults()


def test_a_coordinator_that_is_not_there_yet_is_no_error(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("router", "info", "json")
    logging.getLogger(COORDINATORS).error(FAILED, GroupCoordinatorNotAvailableError())
    logging.getLogger(COORDINATORS).warning("Marking the coordinator dead (node %s)for group %s.", 1, "router")
    assert capfd.readouterr().err == ""


def test_who_debugs_sees_it(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("router", "debug", "json")
    logging.getLogger(COORDINATORS).error(FAILED, GroupCoordinatorNotAvailableError())
    assert '"level": "debug"' in capfd.readouterr().err


def test_what_the_library_gives_up_on_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("router", "info", "json")
    logging.getLogger(COORDINATORS).error(FAILED, GroupAuthorizationFailedError("router"))
    logging.getLogger(COORDINATORS).error("Heartbeat failed")
    told = capfd.readouterr().err
    assert FAILED.partition(":")[0] in told
    assert "Heartbeat failed" in told
