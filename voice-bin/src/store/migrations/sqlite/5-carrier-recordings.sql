-- Who recorded a stretch: 'server' or 'carrier'.
ALTER TABLE recordings ADD COLUMN place TEXT NOT NULL DEFAULT 'server';

-- What carriers have of calls, each recording once, usually told after the call's end. length_us is the carrier's
-- count; url may be good for some minutes only.
CREATE TABLE carrier_recordings (
    call_id   TEXT    NOT NULL,
    seq       INTEGER NOT NULL,
    unix_ms   INTEGER NOT NULL,
    recording TEXT    NOT NULL,
    length_us INTEGER,
    url       TEXT,
    PRIMARY KEY (call_id, seq)
) STRICT, WITHOUT ROWID;
