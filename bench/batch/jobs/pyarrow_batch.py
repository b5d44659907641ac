"""`python pyarrow_batch.py ARCHIVE OUT PROCESSES`: the same rows with msgspec and pyarrow, without Spark.

Unlike the batch it does not check keys, bounds and schema drift, keeps times as text, skips responses that it cannot
decode, and counts nothing. OUT/seconds has the duration without its start.
"""

import sys
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import batched
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

HOUR = 60  # responses per file


class Fields(msgspec.Struct, gc=False):
    """The fields of a station."""

    nbvelosdispo: int | None = None
    nbplacesdispo: int | None = None
    libelle: int | None = None
    adresse: str | None = None
    nom: str | None = None
    etat: str | None = None
    commune: str | None = None
    etatconnexion: str | None = None
    type: str | None = None
    datemiseajour: str | None = None


class Geometry(msgspec.Struct, gc=False):
    """The coordinates of a station."""

    coordinates: tuple[float, float]


class Record(msgspec.Struct, gc=False):
    """A record of a response."""

    recordid: str
    fields: Fields
    geometry: Geometry
    record_timestamp: str


class Response(msgspec.Struct, gc=False):
    """The part of a response that is read."""

    records: list[Record]


INTEGERS = ("nbvelosdispo", "nbplacesdispo", "libelle")


def write_hour(out: Path, numbered: tuple[int, tuple[Path, ...]]) -> int:
    """Write the rows of some responses to a Parquet file; return their number."""
    number, files = numbered
    decoder = msgspec.json.Decoder(Response)
    tables = []
    for file in files:
        try:
            records = decoder.decode(zlib.decompress(file.read_bytes(), 31)).records
        except (ValueError, zlib.error):
            continue
        if not records:
            continue
        fields = [record.fields for record in records]
        columns = {
            "collected_at": pa.array([file.name[:16]] * len(records)),
            "recordid": pa.array([record.recordid for record in records]),
            "record_timestamp": pa.array([record.record_timestamp for record in records]),
            "longitude": pa.array([record.geometry.coordinates[0] for record in records], pa.float64()),
            "latitude": pa.array([record.geometry.coordinates[1] for record in records], pa.float64()),
        }
        for name in Fields.__struct_fields__:
            kind = pa.int64() if name in INTEGERS else pa.string()
            columns[name] = pa.array([getattr(each, name) for each in fields], kind)
        tables.append(pa.table(columns))
    if not tables:
        return 0
    table = pa.concat_tables(tables)
    pq.write_table(table, out / f"{number}.parquet", compression="zstd")
    return int(table.num_rows)


def main(archive: Path, out: Path, processes: int) -> None:
    """Write the archive's rows below `out`."""
    out.mkdir(parents=True)
    started = time.perf_counter()
    hours = enumerate(batched(sorted(archive.rglob("*.json.gz")), HOUR, strict=False))
    with ProcessPoolExecutor(processes) as pool:
        rows = sum(pool.map(partial(write_hour, out), hours, chunksize=4))
    (out / "seconds").write_text(str(time.perf_counter() - started))
    print(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
