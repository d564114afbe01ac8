-- One schema for SQLite and PostgreSQL: BLOB is read as BYTEA by the latter, which has no WITHOUT ROWID.

-- Compared and set by every transaction that writes: who does not know the last version changes nothing.
CREATE TABLE version (one BIGINT PRIMARY KEY NOT NULL, number BIGINT NOT NULL);
INSERT INTO version (one, number) VALUES (1, 0);

CREATE TABLE names (
  id BIGINT PRIMARY KEY NOT NULL,
  tenant TEXT NOT NULL,
  service TEXT NOT NULL,
  interface TEXT NOT NULL,
  UNIQUE (tenant, service, interface)
);

-- What one name did in an hour (span 0), a day (1) or a month (2) of UTC; `start` in unix seconds.
CREATE TABLE cells (
  span BIGINT NOT NULL,
  start BIGINT NOT NULL,
  name BIGINT NOT NULL,
  calls BIGINT NOT NULL,
  errors BIGINT NOT NULL,
  request_bytes BIGINT NOT NULL,
  response_bytes BIGINT NOT NULL,
  input_tokens BIGINT NOT NULL,
  output_tokens BIGINT NOT NULL,
  gpu_micros BIGINT NOT NULL,
  energy_millijoules BIGINT NOT NULL,
  durations BLOB NOT NULL,
  PRIMARY KEY (span, start, name)
) WITHOUT ROWID;

-- The next record to be read of what this store is fed from.
CREATE TABLE positions (
  topic TEXT NOT NULL,
  number BIGINT NOT NULL,
  next BIGINT NOT NULL,
  PRIMARY KEY (topic, number)
) WITHOUT ROWID;

-- How far the ranges of a source partition have come. `generation` counts how often its topic was made again.
CREATE TABLE sources (
  topic TEXT NOT NULL,
  number BIGINT NOT NULL,
  generation BIGINT NOT NULL,
  end_offset BIGINT NOT NULL,
  watermark BIGINT NOT NULL,
  PRIMARY KEY (topic, number)
) WITHOUT ROWID;

-- Ranges that follow each other, one row for each hour that the partition's watermark passed.
CREATE TABLE ranges (
  topic TEXT NOT NULL,
  number BIGINT NOT NULL,
  generation BIGINT NOT NULL,
  watermark_hour BIGINT NOT NULL,
  first_offset BIGINT NOT NULL,
  end_offset BIGINT NOT NULL,
  spans BIGINT NOT NULL,
  counted BIGINT NOT NULL,
  duplicates BIGINT NOT NULL,
  rejected BIGINT NOT NULL,
  PRIMARY KEY (topic, number, generation, watermark_hour)
) WITHOUT ROWID;

-- How many calls of which hour such a row holds.
CREATE TABLE range_hours (
  hour BIGINT NOT NULL,
  topic TEXT NOT NULL,
  number BIGINT NOT NULL,
  generation BIGINT NOT NULL,
  watermark_hour BIGINT NOT NULL,
  counted BIGINT NOT NULL,
  PRIMARY KEY (hour, topic, number, generation, watermark_hour)
) WITHOUT ROWID;

-- Gaps that are open, overlaps, and ranges whose sums do not agree.
CREATE TABLE faults (
  id BIGINT PRIMARY KEY NOT NULL,
  topic TEXT NOT NULL,
  number BIGINT NOT NULL,
  generation BIGINT NOT NULL,
  kind TEXT NOT NULL,
  from_offset BIGINT NOT NULL,
  to_offset BIGINT NOT NULL,
  at BIGINT NOT NULL
);

-- The last value of each cumulative counter of GPU usage.
CREATE TABLE counters (
  series TEXT PRIMARY KEY NOT NULL,
  start BIGINT NOT NULL,
  value BIGINT NOT NULL,
  time BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE statements (
  id BIGINT PRIMARY KEY NOT NULL,
  tenant TEXT NOT NULL,
  start BIGINT NOT NULL,
  until BIGINT NOT NULL,
  issued_at BIGINT NOT NULL,
  -- Where its month was cut, since prices changed there: a JSON list of unix seconds, both ends included.
  cuts TEXT NOT NULL,
  document TEXT NOT NULL,
  UNIQUE (tenant, start, until)
);

-- What was billed: usage of a name between two changes of its price; with `corrects`, what came after that statement.
CREATE TABLE statement_lines (
  statement BIGINT NOT NULL,
  line BIGINT NOT NULL,
  corrects BIGINT NOT NULL,
  name BIGINT NOT NULL,
  start BIGINT NOT NULL,
  until BIGINT NOT NULL,
  calls BIGINT NOT NULL,
  errors BIGINT NOT NULL,
  request_bytes BIGINT NOT NULL,
  response_bytes BIGINT NOT NULL,
  input_tokens BIGINT NOT NULL,
  output_tokens BIGINT NOT NULL,
  gpu_micros BIGINT NOT NULL,
  energy_millijoules BIGINT NOT NULL,
  PRIMARY KEY (statement, line)
) WITHOUT ROWID;
