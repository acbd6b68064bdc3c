-- Times are whole milliseconds since 1970 (unix_ms) or microseconds of the process' own clock (at_us).
-- Ids compare byte by byte, as in SQLite, whatever the database's language.
CREATE TABLE calls (
    call_id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    started_unix_ms BIGINT NOT NULL,
    ended_unix_ms   BIGINT,
    carrier         TEXT   NOT NULL,
    carrier_call    TEXT   NOT NULL,
    from_number     TEXT   NOT NULL,
    to_number       TEXT   NOT NULL,
    correlation     TEXT   NOT NULL,
    reason          TEXT
);

CREATE INDEX calls_by_start ON calls (started_unix_ms);
CREATE INDEX calls_by_carrier_call ON calls (carrier_call);

CREATE TABLE call_events (
    call_id TEXT COLLATE "C" NOT NULL,
    seq     BIGINT NOT NULL,
    at_us   BIGINT NOT NULL,
    unix_ms BIGINT NOT NULL,
    kind    TEXT   NOT NULL,
    version BIGINT NOT NULL,
    body    TEXT   NOT NULL,
    PRIMARY KEY (call_id, seq)
);
