"""What the environment tells the tests."""

import os

from pydantic import Field
from pydantic_settings import BaseSettings


class SuiteSettings(BaseSettings):
    """Settings of a run of the tests."""

    kafka_bootstrap: str = Field(
        default="", validation_alias="CLARION_KAFKA_BOOTSTRAP", description="A running Kafka to use."
    )
    ci: bool = Field(default=False, validation_alias="CI", description="Whether absent services fail instead of skip.")


def child_environment(**changes: str) -> dict[str, str]:
    """Return this process's environment with some of it changed, for a child process."""
    return {**os.environ, **changes}  # noqa: TID251  # settings.py is where the environment is read
