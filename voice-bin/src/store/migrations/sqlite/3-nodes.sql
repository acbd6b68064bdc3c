-- Servers that share the database. beats rises while one lives; no clock is compared with another.
CREATE TABLE nodes (
    node  TEXT    NOT NULL PRIMARY KEY,
    beats INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
