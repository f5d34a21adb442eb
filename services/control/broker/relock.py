"""Makes `jars.lock` from `pom.xml`: run it after changing a version (`python -m services.control.broker.relock`).

It needs Maven, which nothing else does.
"""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from services.control.broker.jars import LOCK_FILE, Jar

_POM = Path(__file__).with_name("pom.xml")
_HEADER = (
    "# What pom.xml resolves to: coordinates, bytes, sha256. Made by `python -m services.control.broker.relock`.\n"
)


def resolve(folder: Path) -> tuple[Jar, ...]:
    """Let Maven fetch what the pom needs into a folder of its repository layout, and list it."""
    goal = "org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies"
    subprocess.run(  # noqa: S603  # our own arguments
        ["mvn", "-q", "-B", "-f", str(_POM), goal, "-DincludeScope=runtime",  # noqa: S607  # wherever Maven is
         "-Dmdep.useRepositoryLayout=true", f"-DoutputDirectory={folder}"],
        check=True,
    )  # fmt: skip
    return tuple(_jar(path, folder) for path in sorted(folder.rglob("*.jar")))


def _jar(path: Path, folder: Path) -> Jar:
    *group, artifact, version, _ = path.relative_to(folder).parts
    content = path.read_bytes()
    return Jar(f"{'.'.join(group)}:{artifact}:{version}", len(content), sha256(content).hexdigest())


def main() -> None:
    """Write the list."""
    with TemporaryDirectory() as folder:
        jars = resolve(Path(folder))
    LOCK_FILE.write_text(_HEADER + "".join(f"{jar.coordinates} {jar.size} {jar.sha256}\n" for jar in jars))
    sys.stdout.write(f"{len(jars)} jars, {sum(jar.size for jar in jars) / 1e6:.0f} MB\n")


if __name__ == "__main__":
    main()
