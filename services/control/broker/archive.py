"""A class-data archive: what the first broker loaded, kept so that later ones start in half the time.

The JVM writes it when a broker stops; it counts only when the broker stopped cleanly.
An archive that does not fit (another Java) is ignored by the JVM: it is never an error, only slower.
"""

from hashlib import sha256
from pathlib import Path

_NEW = "classes.jsa"


def is_kept(java: Path, classpath: tuple[Path, ...]) -> bool:
    """Tell whether the archive is there already."""
    return _kept(java, classpath).exists()


def options(java: Path, classpath: tuple[Path, ...], folder: Path) -> tuple[str, ...]:
    """Say how a broker uses the archive, or makes it in its own folder if there is none."""
    kept = _kept(java, classpath)
    if kept.exists():
        return (f"-XX:SharedArchiveFile={kept}",)
    (folder / _NEW).unlink(missing_ok=True)
    return (f"-XX:ArchiveClassesAtExit={folder / _NEW}",)


def keep(java: Path, classpath: tuple[Path, ...], folder: Path) -> None:
    """Take over the archive that a cleanly stopped broker has made, for all that come."""
    made = folder / _NEW
    if made.exists():
        part = _kept(java, classpath).with_suffix(f".{sha256(bytes(folder)).hexdigest()[:8]}.part")
        part.write_bytes(made.read_bytes())
        part.replace(_kept(java, classpath))
        made.unlink()


def _kept(java: Path, classpath: tuple[Path, ...]) -> Path:
    program = java.resolve()
    which = f"{program} {program.stat().st_mtime_ns} {[jar.name for jar in classpath]}"
    return classpath[0].with_name(f"classes-{sha256(which.encode()).hexdigest()[:12]}.jsa")
