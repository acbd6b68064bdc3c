//! The real services that tests talk with, started by `scripts/services`.
//!
//! Where there is none, a test says so on its output and passes; under `CI=true` it fails instead.

use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{Connection as _, Executor as _};

/// The address of a fresh database on the PostgreSQL of `VOICE_TEST_POSTGRES`.
pub(crate) async fn postgres(test: &str) -> Option<String> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let server = address("VOICE_TEST_POSTGRES", test)?;
    let name = format!("voice_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut admin = sqlx::PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
    admin.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    Some(format!("{server}/{name}"))
}

fn address(variable: &str, test: &str) -> Option<String> {
    let address = std::env::var(variable).ok().filter(|address| !address.is_empty());
    if address.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{variable} is not set; see scripts/services");
        skip(test, &format!("{variable} is not set; try scripts/services run"));
    }
    address
}

/// Says that a test does not take place, to people as well: not by a macro, whose output is kept from whoever
/// runs tests that pass.
pub(crate) fn skip(test: &str, why: &str) {
    let _nobody_listens = std::io::stderr().write_all(format!("SKIPPED {test}: {why}\n").as_bytes());
}
