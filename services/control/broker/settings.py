"""Where the local Kafka keeps its packages and data, and what it runs on."""

from pathlib import Path
from typing import Literal

from platformdirs import user_cache_path, user_data_path
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Jvm = Literal["quick", "steady"]


class BrokerSettings(BaseSettings):
    """Settings of `clarion kafka`."""

    model_config = SettingsConfigDict(env_prefix="CLARION_", extra="ignore", populate_by_name=True)

    cache_dir: Path = Field(
        default_factory=lambda: user_cache_path("clarion"), description="Where downloaded packages are kept."
    )
    data_dir: Path = Field(
        default_factory=lambda: user_data_path("clarion"), description="Where what Clarion writes is kept."
    )
    kafka_port: int = Field(default=19092, ge=1, le=65535, description="Port of the first local broker.")
    java: str = Field(
        default="auto", description="auto (the machine's if 17 or newer), wheel (from a package), or a path to java."
    )
    java_home: Path | None = Field(
        default=None, validation_alias="JAVA_HOME", description="Where the machine's Java is, if not on the PATH."
    )
    jar_mirror: str | None = Field(
        default=None, description="Address of a Maven repository to download Kafka from, if not the public one."
    )
