"""Whether the tests of the decision core notice mistakes in it.

Seeded mutants of the core's modules (see `mutate`) are each imported in place of the real module in a forked child,
where the module's own tests run first, then all tests of the core, up to the first failure. Nothing is written to the
tree. A mutant that fails a test, or makes the tests endless, is killed; the survivors are printed with their place.
Run: `make mutants`, or `python -m bench.mutants.run [--count N] [--seed N] [--module NAME] [--workers N]`.
"""

import argparse
import ast
import contextlib
import gc
import importlib.abc
import importlib.machinery
import os
import random
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import msgspec.structs  # noqa: F401 - imported once, before the children fork
import pytest

from bench.mutants.mutate import Enums, Mutant, Spot, mutant, shape, spots

PACKAGE = "services.router.decision"
FOLDER = Path(*PACKAGE.split("."))
TESTS = Path("tests/unit/decision")
# The values themselves are plain; what is wrong with them the type checker says.
LEFT_OUT = ("__init__", "model")
ENUMS_IN = ("model", "case")
# Whose tests run first; a module that is not here has tests of its own name.
TESTS_OF = {
    "case": ("lifecycle", "caps"),
    "decide": ("identity", "quiet_hours", "digest", "lifecycle"),
    "lifecycle": ("lifecycle", "once", "announcements"),
    "plan": ("quiet_hours", "caps", "digest", "controls"),
    "settle": ("digest", "fallback", "lifecycle"),
}
# Without plugins and settings, which cost more time than the tests.
LEAN: tuple[str, ...] = ("-x", "-q", "-c", os.devnull, "--rootdir", ".", "--noconftest", "--disable-plugin-autoload")
LEAN += ("--import-mode", "importlib", "-p", "no:cacheprovider", "-W", "error")
WANTED = 0.9
SECONDS = 20  # of processor time
KILLED, SURVIVED, TIMED_OUT = "killed", "survived", "timed out"


class Planted(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives a mutant to whoever imports its module."""

    def __init__(self, mutant: Mutant) -> None:
        self._name = f"{PACKAGE}.{mutant.module}"
        self._code = mutant.code

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        return importlib.machinery.ModuleSpec(fullname, self) if fullname == self._name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)  # noqa: S102 - a mutant is code


def enums() -> Enums:
    """Return the core's enums and their members."""
    found: dict[str, list[str]] = {}
    for module in ENUMS_IN:
        for node in ast.parse((FOLDER / f"{module}.py").read_text()).body:
            if isinstance(node, ast.ClassDef) and any(ast.unparse(b) == "IntEnum" for b in node.bases):
                found[node.name] = [ast.unparse(s.targets[0]) for s in node.body if isinstance(s, ast.Assign)]
    return found


def chosen(count: int, seed: int, module: str) -> list[Mutant]:
    """Return seeded mutants of all modules, or of one, in the order of their places.

    Mutants that come out alike, or like the module itself, are one and the same.
    """
    known = enums()
    sources = {p.stem: p.read_text() for p in sorted(FOLDER.glob("*.py")) if p.stem not in LEFT_OUT}
    places = [s for name in sources if module in ("", name) for s in spots(name, sources[name], known)]
    print(f"{len(places)} places for mistakes in {len(sources)} modules, seed {seed}", flush=True)
    random.Random(seed).shuffle(places)  # noqa: S311 - no secret
    seen = {shape(ast.parse(source)) for source in sources.values()}
    found: list[tuple[Spot, Mutant]] = []
    for spot in places:
        if len(found) == count:
            break
        made = mutant(spot, sources[spot.module], known)
        if made.shape not in seen:
            seen.add(made.shape)
            found.append((spot, made))
    return [made for spot, made in sorted(found, key=lambda f: (f[0].module, f[1].line, f[0].place, f[0].number))]


def own_tests(module: str) -> list[str]:
    """Return the tests of a module."""
    return [str(TESTS / f"test_{name}.py") for name in TESTS_OF.get(module, (module,))]


def child(mutant: Mutant | None) -> int:
    """Run the tests against a mutant, in a child; return pytest's exit code."""
    if mutant is None:
        return int(pytest.main([str(TESTS), *LEAN]))
    sys.meta_path.insert(0, Planted(mutant))
    own = own_tests(mutant.module)
    return int(pytest.main([*own, *LEAN])) or int(pytest.main([str(TESTS), *(f"--ignore={p}" for p in own), *LEAN]))


def fork(mutant: Mutant | None) -> int:
    """Start a child; return its process id."""
    pid = os.fork()
    if pid:
        return pid
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    code = 1
    with contextlib.suppress(BaseException):
        code = child(mutant)
    os._exit(code)


def run(given: list[Mutant], workers: int) -> list[tuple[Mutant, str]]:
    """Run the tests against each mutant, some at a time; return what became of each, in the order of places."""
    waiting, running, ended = list(reversed(given)), dict[int, Mutant](), dict[int, str]()
    while waiting or running:
        while waiting and len(running) < workers:
            planted = waiting.pop()
            running[fork(planted)] = planted
        pid, status = os.wait()
        how = _how(os.waitstatus_to_exitcode(status))
        ended[id(running.pop(pid))] = how
        print("S" if how == SURVIVED else ".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return [(m, ended[id(m)]) for m in given]


def _how(code: int) -> str:
    return SURVIVED if code == 0 else TIMED_OUT if code == -signal.SIGXCPU else KILLED


def report(results: list[tuple[Mutant, str]]) -> bool:
    """Print what became of the mutants; return whether enough of them were noticed."""
    by_module = Counter((m.module, how) for m, how in results)
    print(f"{'module':14}{KILLED:>10}{TIMED_OUT:>12}{SURVIVED:>10}")
    for module in sorted({m.module for m, _ in results}):
        row = [by_module[module, how] for how in (KILLED, TIMED_OUT, SURVIVED)]
        print(f"{module:14}{row[0]:>10}{row[1]:>12}{row[2]:>10}")
    survivors = [m for m, how in results if how == SURVIVED]
    for m in survivors:
        print(f"\n{FOLDER}/{m.module}.py:{m.line}: {m.kind}\n  - {m.before}\n  + {m.after}")
    share = 1 - len(survivors) / len(results)
    print(f"\n{len(results) - len(survivors)} of {len(results)} noticed: {share:.1%}, wanted {WANTED:.0%}")
    return share >= WANTED


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--module", default="")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    _, status = os.waitpid(fork(None), 0)
    if os.waitstatus_to_exitcode(status) != 0:
        print("the tests fail without any mutant", file=sys.stderr)
        return 2
    begin = time.monotonic()
    given = chosen(options.count, options.seed, options.module)
    gc.freeze()
    results = run(given, options.workers)
    enough = report(results)
    print(f"{time.monotonic() - begin:.0f} s, {options.workers} at a time")
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main())
