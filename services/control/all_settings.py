"""Every setting of every process: its name in the environment, what it means, what it is now, who reads it."""

from msgspec import Struct
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from services.control.broker.settings import BrokerSettings
from services.control.settings import ControlSettings
from services.ingest.settings import IngestSettings
from services.router.settings import RouterSettings
from services.sandbox.settings import SandboxSettings
from services.senders.settings import EmailSettings

HIDDEN = "(hidden)"
_SECRET_ENDINGS = ("PASSWORD", "SECRET", "TOKEN")
_READERS: dict[str, type[BaseSettings]] = {
    "ingest": IngestSettings,
    "router": RouterSettings,
    "sender email": EmailSettings,
    "sandbox": SandboxSettings,
    "kafka": BrokerSettings,
    "control": ControlSettings,
}


class Setting(Struct, frozen=True):
    """One setting; `given` says that the environment names it."""

    name: str
    value: str
    meaning: str
    given: bool
    readers: tuple[str, ...]


def all_settings() -> tuple[Setting, ...]:
    """Return all settings by name; raise pydantic.ValidationError when one is wrong."""
    found: dict[str, Setting] = {}
    for reader, kind in _READERS.items():
        for setting in _of(reader, kind()):
            before = found.get(setting.name)
            readers = (*before.readers, reader) if before is not None else setting.readers
            found[setting.name] = Setting(setting.name, setting.value, setting.meaning, setting.given, readers)
    return tuple(found[name] for name in sorted(found))


def as_table(settings: tuple[Setting, ...]) -> str:
    """Return one setting a line: name, value, meaning."""
    name_width = max(len(setting.name) for setting in settings)
    value_width = max(len(setting.value) for setting in settings if len(setting.value) < name_width)
    return "\n".join(
        f"{setting.name:<{name_width}}  {setting.value:<{value_width}}  {setting.meaning}"
        f" [{', '.join(setting.readers)}{'; set' if setting.given else ''}]"
        for setting in settings
    )


def _of(reader: str, values: BaseSettings) -> list[Setting]:
    prefix = values.model_config.get("env_prefix", "")
    settings = []
    for field, info in type(values).model_fields.items():
        name = str(info.validation_alias or f"{prefix}{field}".upper())
        value = getattr(values, field)
        secret = isinstance(value, SecretStr) or name.endswith(_SECRET_ENDINGS)
        shown = HIDDEN if secret and value else "" if value is None else str(value)
        settings.append(Setting(name, shown, info.description or "", field in values.model_fields_set, (reader,)))
    return settings
