-- What lists and recovery ask for. The tables but the last two hold nothing that the events do not hold: they
-- are written in the same transaction.
ALTER TABLE calls ADD COLUMN node TEXT NOT NULL DEFAULT '';
ALTER TABLE calls ADD COLUMN provider TEXT;
ALTER TABLE call_events ADD COLUMN node TEXT NOT NULL DEFAULT '';

DROP INDEX calls_by_start;
CREATE INDEX calls_by_start ON calls (started_unix_ms, call_id);
CREATE INDEX calls_by_correlation ON calls (correlation);
CREATE INDEX calls_under_way ON calls (node) WHERE ended_unix_ms IS NULL;

-- Which provider an attachment is.
CREATE TABLE attachments (
    call_id    TEXT    NOT NULL,
    attachment INTEGER NOT NULL,
    provider   TEXT    NOT NULL,
    PRIMARY KEY (call_id, attachment)
) STRICT, WITHOUT ROWID;

-- What was said: by the caller as transcribed, by the voice as heard.
CREATE TABLE turns (
    call_id    TEXT    NOT NULL,
    seq        INTEGER NOT NULL,
    unix_ms    INTEGER NOT NULL,
    at_us      INTEGER NOT NULL,
    speaker    TEXT    NOT NULL,
    turn       INTEGER NOT NULL,
    words      TEXT    NOT NULL,
    heard_us   INTEGER,
    unheard_us INTEGER,
    cut        INTEGER,
    PRIMARY KEY (call_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE switches (
    call_id       TEXT    NOT NULL,
    seq           INTEGER NOT NULL,
    unix_ms       INTEGER NOT NULL,
    from_provider TEXT    NOT NULL,
    to_provider   TEXT    NOT NULL,
    why           TEXT    NOT NULL,
    gap_us        INTEGER NOT NULL,
    lost_us       INTEGER NOT NULL,
    turns         INTEGER NOT NULL,
    bytes         INTEGER NOT NULL,
    PRIMARY KEY (call_id, seq)
) STRICT, WITHOUT ROWID;

-- One for each stretch that was recorded. seq is that of its beginning.
CREATE TABLE recordings (
    call_id         TEXT    NOT NULL,
    seq             INTEGER NOT NULL,
    started_unix_ms INTEGER NOT NULL,
    stopped_unix_ms INTEGER,
    reason          TEXT,
    length_us       INTEGER,
    PRIMARY KEY (call_id, seq)
) STRICT, WITHOUT ROWID;

-- What carriers reported of their calls, each report once. sequence is the carrier's count or time, or 0.
CREATE TABLE statuses (
    carrier      TEXT    NOT NULL,
    carrier_call TEXT    NOT NULL,
    status       TEXT    NOT NULL,
    sequence     INTEGER NOT NULL,
    reason       TEXT,
    unix_ms      INTEGER NOT NULL,
    node         TEXT    NOT NULL,
    PRIMARY KEY (carrier, carrier_call, status, sequence)
) STRICT, WITHOUT ROWID;

-- Entries that are missing, or that came from a node that no longer held the call.
CREATE TABLE losses (
    call_id   TEXT    NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq  INTEGER NOT NULL,
    node      TEXT    NOT NULL,
    reason    TEXT    NOT NULL,
    entries   INTEGER NOT NULL,
    unix_ms   INTEGER NOT NULL,
    PRIMARY KEY (call_id, first_seq, last_seq, node, reason)
) STRICT, WITHOUT ROWID;
