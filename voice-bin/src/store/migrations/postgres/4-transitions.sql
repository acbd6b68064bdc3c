-- How calls stood, each change once; those of calls that never had any audio as well. number counts the changes
-- that one server knew of; a call that went on at another begins anew, at a later time.
CREATE TABLE transitions (
    call_id     TEXT   NOT NULL,
    unix_ms     BIGINT NOT NULL,
    number      BIGINT NOT NULL,
    from_status TEXT,
    to_status   TEXT   NOT NULL,
    reason      TEXT   NOT NULL,
    node        TEXT   NOT NULL,
    PRIMARY KEY (call_id, unix_ms, number)
);

-- Carriers' reports stood here by their own names for calls, and were never read.
DROP TABLE statuses;
