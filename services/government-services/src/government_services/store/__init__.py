"""Tables of the read model and their queries."""

from government_services.store.chains import (
    chain_row,
    clear_dirty,
    definitions,
    delete_chain,
    dirty_parts,
    list_chains,
    load_panorama,
    mark_dirty,
    save_definition,
    save_panorama,
)
from government_services.store.facts import load_facts, save_part
from government_services.store.tables import metadata

__all__ = [
    "chain_row",
    "clear_dirty",
    "definitions",
    "delete_chain",
    "dirty_parts",
    "list_chains",
    "load_facts",
    "load_panorama",
    "mark_dirty",
    "metadata",
    "save_definition",
    "save_panorama",
    "save_part",
]
