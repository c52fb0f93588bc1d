"""Parquet and Arrow bodies: are they whole, do their columns fit, how much do they unpack to."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from data_hub.domain.push import Columns
from data_hub.domain.refusals import ContentRefused
from data_hub.engine.media import Format
from data_hub.engine.readers import check_names

MAX_BATCH_BYTES = 256 << 20
MAX_PARQUET_ROWS = 100_000_000
PARQUET_MAGIC = b"PAR1"
FOOTER_BYTES = 8


def parquet_refused(error: Exception) -> ContentRefused:
    """The refusal of a Parquet body that cannot be read."""
    first = str(error).splitlines()[0][:200]
    return ContentRefused("malformed_parquet", f"不是完整的 Parquet 文件：{first}；请重新导出后推送")


def check_parquet(source: BinaryIO, wanted: Columns) -> tuple[str, ...]:
    """Names of the columns that count. Raises ContentRefused when the file is cut off, or its columns do not fit."""
    size = source.seek(0, 2)
    if size < 3 * FOOTER_BYTES // 2:
        raise ContentRefused("truncated_parquet", f"Parquet 文件只有 {size} 字节，不完整；请重新上传")
    source.seek(0)
    head = source.read(4)
    source.seek(size - FOOTER_BYTES)
    length, tail = struct.unpack("<I4s", source.read(FOOTER_BYTES))
    source.seek(0)
    if head == b"PARE":
        raise ContentRefused("encrypted_parquet", "Parquet 文件是加密的，平台不能读取；请推送未加密的文件")
    if head != PARQUET_MAGIC:
        raise ContentRefused("not_parquet", "不是 Parquet 文件：开头不是 PAR1；请检查 Content-Type")
    if tail != PARQUET_MAGIC or length > size - FOOTER_BYTES:
        raise ContentRefused("truncated_parquet", f"Parquet 文件被截断：{size} 字节后没有文件尾；请重新上传")
    try:
        footer = pq.read_metadata(source)
        schema = footer.schema.to_arrow_schema()
    except (pa.ArrowException, OSError) as error:
        raise parquet_refused(error) from error
    source.seek(0)
    if footer.num_rows > MAX_PARQUET_ROWS:
        raise ContentRefused("too_many_rows", f"Parquet 声明 {footer.num_rows} 行，上限 {MAX_PARQUET_ROWS} 行")
    return _checked_schema(schema, wanted)


def _checked_schema(schema: pa.Schema, wanted: Columns) -> tuple[str, ...]:
    names = [name for name in check_names(schema.names, wanted) if not name.startswith("_")]
    for name in names:
        kind = schema.field(name).type
        if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            raise ContentRefused("nested_column", f"列 {name} 的类型 {kind} 不能用，请展开为文字、数、日期或是否")
    return tuple(names)


def arrow_batches(source: BinaryIO, media: Format, wanted: Columns) -> Iterator[pa.RecordBatch]:
    """Validated batches of an Arrow body with the columns that count. Raises ContentRefused."""
    try:
        check_arrow_sizes(source, media)
        source.seek(0)
        if media is Format.ARROW_FILE:
            file = pa.ipc.open_file(source)
            names = _checked_schema(file.schema, wanted)
            batches: Iterator[pa.RecordBatch] = (file.get_batch(place) for place in range(file.num_record_batches))
        else:
            stream = pa.ipc.open_stream(source)
            names = _checked_schema(stream.schema, wanted)
            batches = iter(stream)
        for batch in batches:
            # Offsets of a foreign batch may point anywhere; reading them unchecked could end the process.
            batch.validate(full=True)
            yield batch.select(list(names))
    except (pa.ArrowException, OSError, EOFError, struct.error, IndexError) as error:
        first = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ContentRefused("malformed_arrow", f"不是完整的 Arrow 数据：{first}；请重新导出后推送") from error


def check_arrow_sizes(source: BinaryIO, media: Format) -> None:
    """Raises ContentRefused when a batch would unpack to more than MAX_BATCH_BYTES; reads no batch.

    A compressed buffer starts with its unpacked length, so a small body that unpacks to gigabytes is known before.
    """
    source.seek(8 if media is Format.ARROW_FILE else 0)
    while True:
        head = source.read(8)
        if len(head) < 8 or head[:6] == b"ARROW1":
            return
        marker, length = struct.unpack("<Ii", head)
        if marker != 0xFFFFFFFF:
            raise pa.ArrowInvalid("no message where one should begin")
        if length == 0:
            return
        if length < 0 or length > MAX_BATCH_BYTES:
            raise pa.ArrowInvalid(f"a message header of {length} bytes")
        header = source.read(length)
        body_at = source.tell()
        if len(header) < length:
            raise pa.ArrowInvalid("the stream ends inside a message")
        body_bytes, buffers, is_compressed = _message(header)
        unpacked = 0
        for offset, size in buffers:
            if is_compressed and size >= 8:
                source.seek(body_at + offset)
                stated = struct.unpack("<q", source.read(8))[0]
                unpacked += size if stated < 0 else stated
            else:
                unpacked += size
        if unpacked > MAX_BATCH_BYTES:
            raise ContentRefused(
                "batch_too_large", f"一个 Arrow 批次解开后有 {unpacked} 字节，上限 {MAX_BATCH_BYTES}；请分成小批"
            )
        source.seek(body_at + body_bytes)


def _message(header: bytes) -> tuple[int, list[tuple[int, int]], bool]:
    """(bytes of the body, (offset, size) of its buffers, whether they are compressed) of an Arrow message.

    Reads the few fields it needs from the flatbuffer: Message {version, header_type, header, bodyLength},
    RecordBatch {length, nodes, buffers, compression}, DictionaryBatch {id, data: RecordBatch}.
    """
    message = struct.unpack_from("<I", header, 0)[0]
    body_bytes = _scalar(header, message, 3, "<q", 0)
    kind = _scalar(header, message, 1, "<B", 0)
    batch = _table(header, message, 2)
    if kind == 2 and batch is not None:  # a dictionary batch holds a record batch
        batch = _table(header, batch, 1)
    if kind not in (2, 3) or batch is None:
        return body_bytes, [], False
    where = _field(header, batch, 2)
    if where is None:
        return body_bytes, [], False
    vector = where + struct.unpack_from("<I", header, where)[0]
    count = struct.unpack_from("<I", header, vector)[0]
    if count * 16 > len(header):
        raise pa.ArrowInvalid("a message names more buffers than it holds")
    buffers = [struct.unpack_from("<qq", header, vector + 4 + 16 * place) for place in range(count)]
    return body_bytes, [(offset, size) for offset, size in buffers], _table(header, batch, 3) is not None


def _field(data: bytes, table: int, number: int) -> int | None:
    vtable = table - struct.unpack_from("<i", data, table)[0]
    if 4 + 2 * number >= struct.unpack_from("<H", data, vtable)[0]:
        return None
    offset = struct.unpack_from("<H", data, vtable + 4 + 2 * number)[0]
    return table + offset if offset else None


def _table(data: bytes, table: int, number: int) -> int | None:
    where = _field(data, table, number)
    return None if where is None else where + struct.unpack_from("<I", data, where)[0]


def _scalar(data: bytes, table: int, number: int, form: str, default: int) -> int:
    where = _field(data, table, number)
    return default if where is None else int(struct.unpack_from(form, data, where)[0])
