"""What the environment tells the tests."""

from pydantic import Field
from pydantic_settings import BaseSettings


class SuiteSettings(BaseSettings):
    """Settings of a run of the tests."""

    kafka_bootstrap: str = Field(
        default="", validation_alias="CLARION_KAFKA_BOOTSTRAP", description="A running Kafka to use."
    )
    ci: bool = Field(default=False, validation_alias="CI", description="Whether absent services fail instead of skip.")
