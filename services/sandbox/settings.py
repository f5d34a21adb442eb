"""Settings of the sandbox, on top of those of every process."""

from pathlib import Path

from pydantic import Field

from services.common.settings import CommonSettings


class SandboxSettings(CommonSettings):
    """Where the pretend providers listen and what they keep."""

    sandbox_smtp_port: int = Field(
        default=2525, ge=0, le=65_535, description="SMTP port of the sandbox; 0: a free one."
    )
    sandbox_http_port: int = Field(
        default=9725, ge=0, le=65_535, description="HTTP port of the sandbox; 0: a free one."
    )
    sandbox_data: Path | None = Field(
        default=None,
        description="Folder in which the sandbox keeps its messages over a restart; none: in memory only.",
    )
    ready_file: Path | None = Field(
        default=None,
        description="File that gets the sandbox's addresses as JSON once all of them answer.",
    )
