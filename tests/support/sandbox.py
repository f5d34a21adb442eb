"""A real sandbox process for tests, on free ports."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import wait_until

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox: its process, its addresses and its log."""

    process: subprocess.Popen[bytes]
    smtp_host: str
    smtp_port: int
    http: str
    log: Path

    def kill(self) -> None:
        """End it as kill -9 does."""
        self.process.kill()
        self.process.wait(10)

    def terminate(self) -> int:
        """Ask it to end; return its exit code."""
        self.process.terminate()
        return self.process.wait(10)


@contextmanager
def running_sandbox(folder: Path, **settings: str) -> Iterator[Sandbox]:
    """Run a sandbox; `folder` gets its log, `settings` are more CLARION_* variables (in lower case, without prefix)."""
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    asked = {"sandbox_smtp_port": "0", "sandbox_http_port": "0", "ready_file": str(ready), **settings}
    environment = {f"CLARION_{name.upper()}": value for name, value in asked.items()}
    log = folder / "sandbox.log"
    with log.open("ab") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.sandbox"], env=environment, cwd=_ROOT, stderr=stderr
        )
    try:
        wait_until(lambda: ready.exists() or process.poll() is not None, 20)
        assert process.poll() is None, log.read_text()
        addresses = json.loads(ready.read_text())
        host, port = addresses["smtp"].rsplit(":", 1)
        yield Sandbox(process, host, int(port), addresses["http"], log)
    finally:
        process.kill()
        process.wait(10)
