//! The tables, in versions: two files side by side for each, which a test compares.

use std::borrow::Cow;

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Number, name and text of each version.
type Versions = [(i64, &'static str, &'static str); 5];

const SQLITE: Versions = [
    (1, "journal", include_str!("migrations/sqlite/1-journal.sql")),
    (2, "truth", include_str!("migrations/sqlite/2-truth.sql")),
    (3, "nodes", include_str!("migrations/sqlite/3-nodes.sql")),
    (4, "transitions", include_str!("migrations/sqlite/4-transitions.sql")),
    (5, "carrier_recordings", include_str!("migrations/sqlite/5-carrier-recordings.sql")),
];

const POSTGRES: Versions = [
    (1, "journal", include_str!("migrations/postgres/1-journal.sql")),
    (2, "truth", include_str!("migrations/postgres/2-truth.sql")),
    (3, "nodes", include_str!("migrations/postgres/3-nodes.sql")),
    (4, "transitions", include_str!("migrations/postgres/4-transitions.sql")),
    (5, "carrier_recordings", include_str!("migrations/postgres/5-carrier-recordings.sql")),
];

pub(super) fn sqlite() -> Migrator {
    migrator(SQLITE)
}

pub(super) fn postgres() -> Migrator {
    migrator(POSTGRES)
}

fn migrator(versions: Versions) -> Migrator {
    let migrations = versions.map(|(version, name, sql)| {
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.into())
}
