-- Times are whole milliseconds since 1970 (unix_ms) or microseconds of the process' own clock (at_us).
CREATE TABLE calls (
    call_id         TEXT    NOT NULL PRIMARY KEY,
    started_unix_ms INTEGER NOT NULL,
    ended_unix_ms   INTEGER,
    carrier         TEXT    NOT NULL,
    carrier_call    TEXT    NOT NULL,
    from_number     TEXT    NOT NULL,
    to_number       TEXT    NOT NULL,
    correlation     TEXT    NOT NULL,
    reason          TEXT
) STRICT;

CREATE INDEX calls_by_start ON calls (started_unix_ms);
CREATE INDEX calls_by_carrier_call ON calls (carrier_call);

CREATE TABLE call_events (
    call_id TEXT    NOT NULL,
    seq     INTEGER NOT NULL,
    at_us   INTEGER NOT NULL,
    unix_ms INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    version INTEGER NOT NULL,
    body    TEXT    NOT NULL,
    PRIMARY KEY (call_id, seq)
) STRICT, WITHOUT ROWID;
