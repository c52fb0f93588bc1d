"""Tables of the data hub and their queries."""

from data_hub.store.datasets import (
    DatasetRecord,
    add_datasets,
    contract_history,
    get_contract,
    get_dataset,
    list_datasets,
    save_contract,
)
from data_hub.store.tables import metadata

__all__ = [
    "DatasetRecord",
    "add_datasets",
    "contract_history",
    "get_contract",
    "get_dataset",
    "list_datasets",
    "metadata",
    "save_contract",
]
