"""Settings that every process shares; each service adds its own in its `settings.py`.

All settings are environment variables `CLARION_*` with defaults for one machine.
"""

from pathlib import Path
from typing import Literal

from platformdirs import user_state_path
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class CommonSettings(BaseSettings):
    """What every process needs to know."""

    model_config = SettingsConfigDict(env_prefix="CLARION_", extra="ignore")

    kafka_bootstrap: str = Field(default="127.0.0.1:19092", description="Kafka brokers, host:port, comma between them.")
    topic_prefix: str = Field(default="", description="Stands before each topic and group name, for tests and staging.")
    partitions: int = Field(default=8, ge=1, description="Partitions of the co-partitioned topics; fixed for life.")
    bind: str = Field(default="127.0.0.1", description="Address that servers listen on.")
    log_level: str = Field(default="info", description="debug, info, warning or error.")
    log_format: str = Field(default="json", description="json for machines, plain for people.")
    instance: str = Field(default="", description="Name of this replica: static membership of its consumer group.")


class StateSettings(CommonSettings):
    """What a process that keeps state needs to know besides."""

    state_store: Literal["disk", "memory"] = Field(
        default="disk", description="Where state is kept: on disk, or in memory (read anew at each start)."
    )
    state_dir: Path = Field(
        default_factory=lambda: user_state_path("clarion"),
        description="Folder of state on disk; on a disk of the machine, not on a network.",
    )
    state_cache_mb: int = Field(default=64, ge=1, description="Memory for what was read of state on disk, MiB.")
