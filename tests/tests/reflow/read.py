# Prints what pyarrow, DuckDB and plain JSON read of the files of two folders: one line of JSON.
import datetime, glob, io, json, sys

import duckdb
import pyarrow.parquet
import zstandard


def plain(value):
    if isinstance(value, datetime.datetime):
        since = value - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
        return since // datetime.timedelta(microseconds=1)
    return value


columns, lines = sys.argv[1:]
files = sorted(glob.glob(columns + "/*.parquet"))
tables = [pyarrow.parquet.read_table(path) for path in files]
arrow = [{name: plain(value) for name, value in row.items()} for table in tables for row in table.to_pylist()]
schema = {field.name: str(field.type) for field in tables[0].schema}
physical = {
    column.name: [column.physical_type, str(column.logical_type)]
    for column in pyarrow.parquet.ParquetFile(files[0]).schema
}

con = duckdb.connect()
con.execute("SET TimeZone = 'UTC'")
names = list(schema)
relation = con.execute("SELECT * FROM read_parquet(?)", [files])
types = {column[0]: str(column[1]) for column in relation.description}
duck = [dict(zip(names, map(plain, row))) for row in relation.fetchall()]
group = con.execute("SELECT count(*), count(n) FROM read_parquet(?) WHERE b IS NOT NULL", [files]).fetchone()

jsonl = []
for path in sorted(glob.glob(lines + "/*.jsonl.zst")):
    with open(path, "rb") as file:
        text = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8", newline="\n")
        jsonl += [json.loads(line) for line in text]

print(json.dumps({"schema": schema, "physical": physical, "arrow": arrow, "types": types, "duck": duck, "group": group, "jsonl": jsonl}))
