"""Evidence files: bytes in the object store, what is known of them in the database, never the other way round."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO, Any, BinaryIO

from brain_kit.auth import Principal
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from brain_kit.ids import new_id
from brain_kit.objects import ChecksumMismatch, ObjectStore
from brain_kit.problems import NotFound
from sqlalchemy.orm import Session

from evaluation.domain.evidence import HEAD_BYTES, PARTS, EvidenceRefused, check_package, checked_name, media_type_of
from evaluation.service.catalogue import known_criterion
from evaluation.service.histories import remember
from evaluation.service.problems import (
    AssessmentUnknown,
    EvidenceType,
    EvidenceUnknown,
    FieldsMissing,
    ReportUnknown,
    TooManyFiles,
)
from evaluation.service.review import step
from evaluation.store import reports as store

PREFIX = "evaluation/evidence/"
CHUNK_BYTES = 1 << 18
ORPHAN_AGE = timedelta(hours=24)
Body = dict[str, Any]


@dataclass(frozen=True)
class Offered:
    """A file as it came: spooled, at its beginning, with what the caller said of it."""

    name: str
    declared_type: str
    file: IO[bytes]
    size: int
    criterion: str | None = None
    sha256: str | None = None


class EvidenceFiles:
    """Takes, gives and removes evidence of reported values (`report`) and assessments (`assessment`)."""

    def __init__(self, database: Database, objects: ObjectStore, most_files: int) -> None:
        self._database = database
        self._objects = objects
        self._most_files = most_files

    def add(self, caller: Principal, kind: str, subject: str, offered: Offered) -> Body:
        """Keeps a file; the same bytes a second time give the first one.

        Raises EvidenceType, ChecksumMismatch, TooManyFiles, FieldsMissing and what an edit of the subject raises.
        """
        with self._database.reading() as session:
            _subject(session, caller, kind, subject)
        name, media, digest = _inspect(offered)
        if kind == "assessment":
            if offered.criterion is None:
                raise FieldsMissing("评价的佐证材料要指明所属指标（criterion）", field="criterion")
            known_criterion(offered.criterion)
        now = utc_now()
        with self._database.reading() as session:
            self._check(session, caller, kind, subject, offered.criterion, digest, now)
        evidence_id = new_id("evd")
        key = f"{PREFIX}{evidence_id}"
        offered.file.seek(0)
        self._objects.put(key, _binary(offered.file), if_absent=True, content_type=media, sha256=digest)
        values = {
            "id": evidence_id,
            "subject_kind": kind,
            "subject_id": subject,
            "criterion": offered.criterion,
            "filename": name,
            "media_type": media,
            "size": offered.size,
            "sha256": digest,
            "object_key": key,
            "uploaded_by": caller.subject,
            "uploaded_at": now,
        }
        # A refusal leaves an object that the sweep removes: after a lost commit nobody knows whether a row names it.
        with self._database.transaction() as session:
            same = self._check(session, caller, kind, subject, offered.criterion, digest, now, lock=True)
            if same is None:
                store.add_evidence(session, values)
                _edited(session, caller, kind, subject, now)
                after = {"file": name, "sha256": digest}
                remember(session, caller, (kind, subject), "add_evidence", now, after=after)
            kept = evidence_body(same or store.evidence_row(session, evidence_id))
        if same is not None:
            self._objects.delete(key)
        return kept

    def open(self, caller: Principal, kind: str, subject: str, evidence_id: str) -> tuple[Any, BinaryIO]:
        """What is known of a file, and its bytes as a checked stream that the caller closes. Raises EvidenceUnknown."""
        with self._database.reading() as session:
            _subject(session, caller, kind, subject)
            row = _known(session, kind, subject, evidence_id)
        return row, self._objects.open(row.object_key)

    def remove(self, caller: Principal, kind: str, subject: str, evidence_id: str) -> None:
        """Takes a file away from a draft. Raises EvidenceUnknown and what an edit of the subject raises."""
        now = utc_now()
        with self._database.transaction() as session:
            _subject(session, caller, kind, subject, lock=True)
            row = _known(session, kind, subject, evidence_id)
            _edited(session, caller, kind, subject, now)
            store.remove_evidence(session, evidence_id)
            before = {"file": row.filename, "sha256": row.sha256}
            remember(session, caller, (kind, subject), "remove_evidence", now, before=before)
        self._objects.delete(row.object_key)

    def remove_orphans(self, now: datetime) -> int:
        """Deletes objects that no row names, left by processes that died in an upload; returns how many."""
        old = [item.key for item in self._objects.list(PREFIX) if item.modified_at < now - ORPHAN_AGE]
        with self._database.reading() as session:
            orphans = [key for key in old if store.evidence_row(session, key.removeprefix(PREFIX)) is None]
        for key in orphans:
            self._objects.delete(key)
        return len(orphans)

    def _check(
        self,
        session: Session,
        caller: Principal,
        kind: str,
        subject: str,
        criterion: str | None,
        digest: str,
        now: datetime,
        *,
        lock: bool = False,
    ) -> Any | None:
        """The same file when it is there already; raises when the caller may not add one."""
        row = _subject(session, caller, kind, subject, lock=lock)
        step(row, caller, "edit", "", now)
        beside = [file for file in store.evidence_of(session, kind, [subject])[subject] if file.criterion == criterion]
        same = next((file for file in beside if file.sha256 == digest), None)
        if same is None and len(beside) >= self._most_files:
            raise TooManyFiles(f"每项最多 {self._most_files} 份佐证材料，请合并或先移除一份")
        return same


def evidence_body(row: Any) -> Body:
    """A file as it is shown."""
    return {
        "id": row.id,
        "criterion": row.criterion,
        "filename": row.filename,
        "media_type": row.media_type,
        "size": row.size,
        "sha256": row.sha256,
        "uploaded_by": row.uploaded_by,
        "uploaded_at": rfc3339(row.uploaded_at),
    }


def _inspect(offered: Offered) -> tuple[str, str, str]:
    """Name, media type and SHA-256 of a file. Raises EvidenceType, ChecksumMismatch."""
    offered.file.seek(0)
    head = offered.file.read(HEAD_BYTES)
    try:
        name = checked_name(offered.name)
        media = media_type_of(name, offered.declared_type, head)
        if media in PARTS:
            offered.file.seek(0)
            with zipfile.ZipFile(offered.file) as package:
                check_package(media, package.namelist())
    except EvidenceRefused as error:
        raise EvidenceType(str(error), field="name") from error
    except zipfile.BadZipFile as error:
        raise EvidenceType("文件损坏，不是完整的文档，请重新另存后上传", field="name") from error
    offered.file.seek(0)
    digest = hashlib.sha256()
    while chunk := offered.file.read(CHUNK_BYTES):
        digest.update(chunk)
    found = digest.hexdigest()
    if offered.sha256 and offered.sha256.lower() != found:
        raise ChecksumMismatch(f"收到内容的 SHA-256 是 {found}，与声明的不同，请重新上传", sha256=found)
    return name, media, found


def _subject(session: Session, caller: Principal, kind: str, subject: str, *, lock: bool = False) -> Any:
    """The report or assessment. Raises ReportUnknown, AssessmentUnknown for those that the caller may not see."""
    if kind == "report":
        row = store.report_row(session, subject, lock=lock) if caller.is_government else None
        problem: type[NotFound] = ReportUnknown
    else:
        row = store.assessment_row(session, subject, lock=lock)
        problem = AssessmentUnknown
        if row is not None and not (row.org == caller.org or caller.is_government):
            row = None
    if row is None:
        raise problem(f"没有 {subject}")
    return row


def _known(session: Session, kind: str, subject: str, evidence_id: str) -> Any:
    row = store.evidence_row(session, evidence_id)
    if row is None or (row.subject_kind, row.subject_id) != (kind, subject):
        raise EvidenceUnknown(f"没有佐证材料 {evidence_id}")
    return row


def _edited(session: Session, caller: Principal, kind: str, subject: str, now: datetime) -> None:
    row = _subject(session, caller, kind, subject, lock=True)
    changed = step(row, caller, "edit", "", now)
    (store.change_report if kind == "report" else store.change_assessment)(session, subject, changed)


def _binary(file: IO[bytes]) -> BinaryIO:
    return file  # type: ignore[return-value]
