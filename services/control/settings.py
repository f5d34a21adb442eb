"""Settings of the command line, and the environment that the processes it starts are given."""

import os
from collections.abc import Mapping

from pydantic import Field

from services.common.settings import CommonSettings


class ControlSettings(CommonSettings):
    """What the command line needs to know."""

    tenant: str = Field(default="", description="Tenant that commands are about, where none is named.")

    @property
    def kafka_is_given(self) -> bool:
        """Whether someone named a Kafka, so that none is to be started."""
        return "kafka_bootstrap" in self.model_fields_set


def child_environment(changes: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with changes, for a process to start."""
    return {**os.environ, **changes}  # noqa: TID251  # settings are the place for the environment
