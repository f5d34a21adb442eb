"""Where a command works: which Kafka and topics, for which tenant, by whom and when."""

import getpass

from msgspec import Struct

from services.common.clock import WallClock
from services.common.topics import Topics
from services.control.settings import ControlSettings


class Place(Struct, frozen=True):
    """What a command that steers needs; an empty tenant means the only one that has a policy."""

    bootstrap: str
    topics: Topics
    tenant: str
    author: str
    now: int


def place(bootstrap: str = "", tenant: str = "", author: str = "") -> Place:
    """Fill what was not given from the settings, the user's name and the clock."""
    settings = ControlSettings()
    topics = Topics(settings.topic_prefix, settings.partitions)
    return Place(
        bootstrap or settings.kafka_bootstrap,
        topics,
        tenant or settings.tenant,
        author or getpass.getuser(),
        WallClock().now(),
    )
