-- Servers that share the database. beats rises while one lives; no clock is compared with another.
CREATE TABLE nodes (
    node  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    beats BIGINT NOT NULL
);
