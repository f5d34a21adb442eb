"""What the environment tells the tests."""

import atexit
import os
import shutil
import tempfile
from functools import cache

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
    return {
        "CLARION_STATE_DIR": state_folder(),
        **os.environ,  # noqa: TID251  # settings.py is where the environment is read
        **changes,
    }


@cache
def state_folder() -> str:
    """Return where the stores of this run are; it goes with the run."""
    folder = tempfile.mkdtemp(prefix="clarion-state-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
