"""An event loop of virtual time in which a seed decides what happens next, and processes can die or freeze.

Callbacks of one process run in the order in which they became ready, as asyncio promises; which process goes next is
drawn. Every callback takes a little virtual time; where nothing is ready, time jumps to the next timer. A process is
all that runs in a context of its own: killed, none of it runs ever again, not even a `finally`; frozen, nothing of it
runs until it thaws, and then it goes on as if no time had passed.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from random import Random
from typing import Any

STEP_SECONDS = 20e-6


class Process:
    """What runs together and dies together."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.frozen = False
        self.ready: deque[Handle] = deque()
        self.context = copy_context()
        self.context.run(PROCESS.set, self)


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


class Handle:
    """A callback that will run, unless it is cancelled or its process dies."""

    __slots__ = ("args", "at", "callback", "context", "off", "process")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context, at: float) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.process = context.get(PROCESS)
        self.at = at
        self.off = False

    def cancel(self) -> None:
        self.off = True

    def cancelled(self) -> bool:
        return self.off

    def when(self) -> float:
        return self.at


class Loop:
    """The part of an event loop that needs no operating system."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._itself: Any = self  # asyncio asks for no more of a loop than this one has
        self._now = 0.0
        self._timers: list[tuple[float, int, Handle]] = []
        self._order = 0
        self._tasks: list[asyncio.Task[Any]] = []
        self._closed = False
        self._processes: list[Process] = []
        self.world = Process("world")
        self._runnable: list[Process] = []
        self.steps = 0
        self.alarm_at = -1
        self.on_alarm: Callable[[], None] = lambda: None

    # --- what asyncio asks of a loop ---

    def time(self) -> float:
        return self._now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return self._closed

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self._itself)

    def create_task(self, coro: Coroutine[Any, Any, Any], *, name: object = None, context: Any = None) -> Any:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self._itself, name=str(name or "task"), context=context)
        self._tasks.append(task)
        return task

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:
        handle = Handle(callback, args, context or copy_context(), self._now)
        self._enqueue(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Any:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:
        handle = Handle(callback, args, context or copy_context(), when)
        self._order += 1
        heapq.heappush(self._timers, (when, self._order, handle))
        return handle

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Say nothing: futures of dead processes are never looked at."""

    # --- processes ---

    def start(self, process: Process, coro: Coroutine[Any, Any, Any]) -> None:
        """Run something as a process."""
        self._processes.append(process)
        self.create_task(coro, context=process.context)

    def kill(self, process: Process) -> None:
        """Let nothing of a process run again before the loop is closed."""
        process.dead = True
        self._unready(process)

    def freeze(self, process: Process) -> None:
        process.frozen = True
        self._unready(process)

    def thaw(self, process: Process) -> None:
        if process.frozen and not process.dead:
            process.frozen = False
            if process.ready:
                self._runnable.append(process)

    def later(self, delay: float, callback: Callable[..., object], *args: Any) -> None:
        """Let the world do something later, whatever becomes of the process that asks for it."""
        self.call_at(self._now + delay, callback, *args, context=self.world.context)

    # --- running ---

    def run(self, done: Callable[[], bool], until: float, steps: int) -> bool:
        """Run until `done`, and tell whether it was; give up after so much virtual time or so many callbacks."""
        asyncio._set_running_loop(self._itself)
        try:
            last = self.steps + steps
            while not done() and self.steps < last and self._now <= until:
                if not self._runnable and (not self._timers or self._timers[0][0] > until):
                    self._now = max(self._now, until)
                    break
                self._step()
            return done()
        finally:
            asyncio._set_running_loop(None)

    def close(self) -> None:
        """Let all that is left end by cancellation, dead processes too: Python would complain of what just vanishes.

        Whoever still asks for anything must be refused by then.
        """
        self.alarm_at = -1
        for process in self._processes:
            if process.dead or process.frozen:
                process.dead = process.frozen = False
                if process.ready:
                    self._runnable.append(process)
        for _ in range(10):
            left = [task for task in self._tasks if not task.done()]
            if not left:
                break
            for task in left:
                task.cancel()
            self.run(lambda: False, self._now + 60, 10_000)
        self._closed = True
        self._timers.clear()
        self._tasks.clear()
        self._runnable.clear()

    def _step(self) -> None:
        timers, runnable = self._timers, self._runnable
        if not runnable:
            self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            handle = heapq.heappop(timers)[2]
            if not handle.off:
                self._enqueue(handle)
        if not runnable:
            return
        place = int(self._random.random() * len(runnable)) if len(runnable) > 1 else 0
        process = runnable[place]
        handle = process.ready.popleft()
        if not process.ready:
            runnable[place] = runnable[-1]
            runnable.pop()
        if not handle.off:
            self.steps += 1
            self._now += STEP_SECONDS
            handle.context.run(handle.callback, *handle.args)
            if self.steps == self.alarm_at:
                self.world.context.run(self.on_alarm)

    def _enqueue(self, handle: Handle) -> None:
        process = handle.process or self.world
        process.ready.append(handle)
        if len(process.ready) == 1 and not process.frozen and not process.dead:
            self._runnable.append(process)

    def _unready(self, process: Process) -> None:
        if process in self._runnable:
            self._runnable.remove(process)
