"""Content types of pushes."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import Message
from enum import Enum

from data_hub.domain.refusals import FormatUnsupported

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class Format(Enum):
    """What a body is, whatever its content type was called."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    XLSX = "xlsx"
    PARQUET = "parquet"
    ARROW_STREAM = "arrow-stream"
    ARROW_FILE = "arrow-file"


FORMATS = {
    "application/json": Format.JSON,
    "application/x-ndjson": Format.NDJSON,
    "text/csv": Format.CSV,
    XLSX: Format.XLSX,
    "application/vnd.apache.parquet": Format.PARQUET,
    "application/vnd.apache.arrow.stream": Format.ARROW_STREAM,
    "application/vnd.apache.arrow.file": Format.ARROW_FILE,
}
OTHER_NAMES = {
    "application/x-parquet": Format.PARQUET,
    "application/ndjson": Format.NDJSON,
    "application/jsonl": Format.NDJSON,
    "application/x-jsonlines": Format.NDJSON,
}
UTF8 = {"utf-8", "utf8", "us-ascii", "ascii"}
GB18030 = {"gb18030", "gbk", "gb2312", "cp936"}


@dataclass(frozen=True)
class MediaType:
    """A content type as it counts here; charset: `utf-8`, `gb18030`, or None when the header does not say."""

    format: Format
    charset: str | None
    text: str


def parse_media_type(header: str) -> MediaType:
    """The format that a Content-Type header names. Raises FormatUnsupported listing those that are read."""
    message = Message()
    message["content-type"] = header or "application/octet-stream"
    name = message.get_content_type()
    found = FORMATS.get(name) or OTHER_NAMES.get(name)
    if found is None:
        listed = "、".join(FORMATS)
        raise FormatUnsupported(f"不支持 {header or '没有 Content-Type'}，可用：{listed}", supported=list(FORMATS))
    charset = str(message.get_param("charset") or "").lower()
    if not charset or found is not Format.CSV:
        return MediaType(found, None, name)
    if charset in UTF8:
        return MediaType(found, "utf-8", name)
    if charset in GB18030:
        return MediaType(found, "gb18030", name)
    raise FormatUnsupported(f"不支持字符集 {charset}，可用：utf-8、gb18030", supported=["utf-8", "gb18030"])
