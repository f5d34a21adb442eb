"""A process that `clarion up` keeps running: started, listened to, started again, stopped.

What it writes goes out line by line under its name. If it ends and nobody asked for it, that is said with its last
lines, and it is started again after a pause that doubles each time. It has a session of its own, so that Ctrl-C reaches
it through us alone, in our order; if we are killed, it ends too.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Mapping
from signal import SIGKILL, SIGTERM

from services.common.clock import Clock
from services.control.bound import bound
from services.control.errors import ClarionError
from services.router.decision.model import SECOND

LAST_LINES = 8
STOP_GRACE_S = 20.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0
_STEADY_US = 60 * SECOND
_LINE_BYTES = 1_048_576

Say = Callable[[str, str], None]


class Child:
    """One process of ours, from start to stop."""

    def __init__(
        self,
        name: str,
        module: tuple[str, ...],
        environment: Mapping[str, str],
        say: Say,
        clock: Clock,
    ) -> None:
        self.name = name
        self._command = [sys.executable, "-m", *module]
        self._environment = dict(environment)
        self._say = say
        self._clock = clock
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self.starts = 0

    @property
    def pid(self) -> int:
        """Its process now; 0 while there is none."""
        return self._process.pid if self._process is not None and self._process.returncode is None else 0

    async def keep_running(self, on_start: Callable[[], None]) -> None:
        """Run it, again whenever it ends, until `stop`; `on_start` is called after each start."""
        pause = FIRST_PAUSE_S
        while not self._stopping.is_set():
            born = self._clock.now()
            code = await self._run_once(on_start)
            if self._stopping.is_set():
                break
            if self._clock.now() - born > _STEADY_US:
                pause = FIRST_PAUSE_S
            self._say(self.name, f"{self.obituary(code)}; started again in {pause:g} s")
            try:
                await asyncio.wait_for(self._stopping.wait(), pause)
            except TimeoutError:
                pause = min(2 * pause, LONGEST_PAUSE_S)

    def obituary(self, code: int | None = None) -> str:
        """Say that it ended, how, and what it said last."""
        how = "" if code is None else f" by signal {-code}" if code < 0 else f" with {code}"
        last = "".join(f"\n    {line}" for line in self._last)
        return f"{self.name} ended{how}" + (f"; its last lines:{last}" if last else " without a word")

    async def stop(self) -> None:
        """End it and do not start it again; it is killed when it takes too long."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), STOP_GRACE_S)
        except TimeoutError:
            self._say(self.name, f"did not stop within {STOP_GRACE_S:g} s and is killed")
            process.send_signal(SIGKILL)
            await process.wait()

    async def _run_once(self, on_start: Callable[[], None]) -> int:
        self._last.clear()
        process = await asyncio.create_subprocess_exec(
            *bound(self._command),
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            limit=_LINE_BYTES,
        )
        self._process = process
        self.starts += 1
        on_start()
        if process.stdout is None:
            raise ClarionError(f"{self.name} was started without a pipe")
        await self._listen(process.stdout)
        return await process.wait()

    async def _listen(self, output: asyncio.StreamReader) -> None:
        while line := await output.readline():
            text = line.decode(errors="replace").rstrip()
            if text:
                self._last.append(text)
                self._say(self.name, text)
