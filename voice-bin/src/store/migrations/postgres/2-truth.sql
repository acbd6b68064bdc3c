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
    call_id    TEXT COLLATE "C" NOT NULL,
    attachment BIGINT NOT NULL,
    provider   TEXT   NOT NULL,
    PRIMARY KEY (call_id, attachment)
);

-- What was said: by the caller as transcribed, by the voice as heard.
CREATE TABLE turns (
    call_id    TEXT COLLATE "C" NOT NULL,
    seq        BIGINT NOT NULL,
    unix_ms    BIGINT NOT NULL,
    at_us      BIGINT NOT NULL,
    speaker    TEXT   NOT NULL,
    turn       BIGINT NOT NULL,
    words      TEXT   NOT NULL,
    heard_us   BIGINT,
    unheard_us BIGINT,
    cut        BIGINT,
    PRIMARY KEY (call_id, seq)
);

CREATE TABLE switches (
    call_id       TEXT COLLATE "C" NOT NULL,
    seq           BIGINT NOT NULL,
    unix_ms       BIGINT NOT NULL,
    from_provider TEXT   NOT NULL,
    to_provider   TEXT   NOT NULL,
    why           TEXT   NOT NULL,
    gap_us        BIGINT NOT NULL,
    lost_us       BIGINT NOT NULL,
    turns         BIGINT NOT NULL,
    bytes         BIGINT NOT NULL,
    PRIMARY KEY (call_id, seq)
);

-- One for each stretch that was recorded. seq is that of its beginning.
CREATE TABLE recordings (
    call_id         TEXT COLLATE "C" NOT NULL,
    seq             BIGINT NOT NULL,
    started_unix_ms BIGINT NOT NULL,
    stopped_unix_ms BIGINT,
    reason          TEXT,
    length_us       BIGINT,
    PRIMARY KEY (call_id, seq)
);

-- What carriers reported of their calls, each report once. sequence is the carrier's count or time, or 0.
CREATE TABLE statuses (
    carrier      TEXT   NOT NULL,
    carrier_call TEXT COLLATE "C" NOT NULL,
    status       TEXT   NOT NULL,
    sequence     BIGINT NOT NULL,
    reason       TEXT,
    unix_ms      BIGINT NOT NULL,
    node         TEXT   NOT NULL,
    PRIMARY KEY (carrier, carrier_call, status, sequence)
);

-- Entries that are missing, or that came from a node that no longer held the call.
CREATE TABLE losses (
    call_id   TEXT COLLATE "C" NOT NULL,
    first_seq BIGINT NOT NULL,
    last_seq  BIGINT NOT NULL,
    node      TEXT COLLATE "C" NOT NULL,
    reason    TEXT   NOT NULL,
    entries   BIGINT NOT NULL,
    unix_ms   BIGINT NOT NULL,
    PRIMARY KEY (call_id, first_seq, last_seq, node, reason)
);
