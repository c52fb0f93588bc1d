"""Files of a version for those who may see it."""

from __future__ import annotations

from collections.abc import Generator

from brain_kit.auth import Principal
from brain_kit.database import Database

from algorithm_dev.domain.card import Artefact, parse_card
from algorithm_dev.service.access import resolved
from algorithm_dev.service.artefacts import ArtefactStore
from algorithm_dev.service.errors import ArtefactUnknown

CHUNK_BYTES = 1 << 18


def artefact_chunks(
    database: Database, artefacts: ArtefactStore, caller: Principal, name: str, version: str, path: str
) -> tuple[Artefact, Generator[bytes, None, None]]:
    """(what the card says of a file, its content). Raises ComponentUnknown, ArtefactUnknown, VersionBroken."""
    with database.reading() as session:
        row = resolved(session, caller, name, version)
    card = parse_card(row.card)
    try:
        item = card.artefact(path)
    except KeyError as error:
        listed = "、".join(item.path for item in card.artefacts[:10])
        raise ArtefactUnknown(f"{name} {row.version} 没有文件 {path[:120]}；有：{listed}") from error
    found = artefacts.path(card, path)

    def chunks() -> Generator[bytes, None, None]:
        with found.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    return item, chunks()
