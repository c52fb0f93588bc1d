"""Which files count as evidence, told by name, declared type and first bytes together."""

from __future__ import annotations

from collections.abc import Iterable

PDF, PNG, JPEG = "application/pdf", "image/png", "image/jpeg"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
OFD, CSV, TEXT = "application/ofd", "text/csv", "text/plain"

TYPES: dict[str, str] = {
    "pdf": PDF, "png": PNG, "jpg": JPEG, "jpeg": JPEG, "xlsx": XLSX, "docx": DOCX, "ofd": OFD, "csv": CSV, "txt": TEXT,
}  # fmt: skip
# What the first bytes must be; texts have no such mark.
HEADS: dict[str, bytes] = {PDF: b"%PDF-", PNG: b"\x89PNG\r\n\x1a\n", JPEG: b"\xff\xd8\xff"}
# A package is a ZIP file that holds this part.
PARTS: dict[str, str] = {XLSX: "xl/workbook.xml", DOCX: "word/document.xml", OFD: "OFD.xml"}
ZIP_HEAD = b"PK\x03\x04"
HEAD_BYTES = 8192
LONGEST_NAME = 200
# What clients send when they do not know the type.
UNKNOWN = ("", "application/octet-stream", "application/x-www-form-urlencoded")


class EvidenceRefused(ValueError):
    """The file is not one of the kinds taken, or not what its name says; the text tells what to do."""


def checked_name(name: str) -> str:
    """The file name without folders. Raises EvidenceRefused for an empty, long or unprintable one."""
    plain = name.replace("\\", "/").rsplit("/", 1)[-1].strip()
    if not plain or not plain.isprintable() or len(plain) > LONGEST_NAME:
        raise EvidenceRefused(f"文件名应为 1 到 {LONGEST_NAME} 个可显示的字符")
    return plain


def media_type_of(name: str, declared: str, head: bytes) -> str:
    """The media type of a file by its name, its declared type and its first bytes. Raises EvidenceRefused."""
    extension = name.rsplit(".", 1)[-1].lower() if "." in name else ""
    media = TYPES.get(extension)
    if media is None:
        raise EvidenceRefused(f"不收 .{extension[:10]} 文件；可用：{'、'.join(TYPES)}")
    said = declared.partition(";")[0].strip().lower()
    if said not in UNKNOWN and said != media:
        raise EvidenceRefused(f"Content-Type {said[:60]} 与扩展名 .{extension} 不符，应为 {media}")
    if not head:
        raise EvidenceRefused("文件是空的")
    if not _has_head(media, head):
        raise EvidenceRefused(f"内容不是 .{extension} 文件，请检查是否改过扩展名")
    return media


def check_package(media: str, names: Iterable[str]) -> None:
    """Raises EvidenceRefused when a ZIP package lacks the part that makes it a document of its kind."""
    part = PARTS.get(media)
    if part is not None and part not in set(names):
        raise EvidenceRefused(f"文件缺少 {part}，不是完整的文档，请重新另存后上传")


def _has_head(media: str, head: bytes) -> bool:
    if media in HEADS:
        return head.startswith(HEADS[media])
    if media in PARTS:
        return head.startswith(ZIP_HEAD)
    return b"\x00" not in head and _is_text(head)


def _is_text(head: bytes) -> bool:
    """Whether the bytes read as UTF-8 or GB18030; the last character may be cut off."""
    for encoding in ("utf-8", "gb18030"):
        for cut in range(4):
            try:
                head[: len(head) - cut].decode(encoding)
            except UnicodeDecodeError:
                continue
            return True
    return False
