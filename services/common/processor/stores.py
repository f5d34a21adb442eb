"""Where the state of a process is kept, by its settings."""

from services.common.processor.ports import Stores
from services.common.processor.rocks import RocksStores
from services.common.processor.store import MemoryStores
from services.common.settings import StateSettings


def configured_stores(settings: StateSettings) -> Stores:
    """Return the stores that the settings ask for."""
    if settings.state_store == "memory":
        return MemoryStores()
    return RocksStores(settings.state_dir, settings.state_cache_mb)
