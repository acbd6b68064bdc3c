//! The real services that tests talk with, started by `scripts/services`.
//!
//! Where there is none, a test says so on its output and passes; under `CI=true` it fails instead.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
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

/// A service of a test's own, which it may kill. Ends with the value.
pub(crate) struct Private {
    service: &'static str,
    directory: tempfile::TempDir,
}

impl Private {
    /// `postgres` or `redis`.
    pub(crate) fn start(service: &'static str) -> Self {
        let server = Self { service, directory: tempfile::tempdir().unwrap() };
        server.order("start");
        server
    }

    /// `start`, `stop`, `kill`, as `scripts/services` has them.
    pub(crate) fn command(&self, what: &str) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/services");
        let mut command = Command::new(script);
        command.arg(what).arg(self.directory.path());
        if what != "env" {
            command.arg(self.service);
        }
        command
    }

    pub(crate) fn order(&self, what: &str) -> String {
        let output = self.command(what).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn url(&self) -> String {
        self.order("env").trim().split_once('=').unwrap().1.to_owned()
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        self.order("kill");
    }
}

/// Whether there is a Redis to test with; its address is that of `VOICE_TEST_REDIS`.
pub(crate) fn redis(test: &str) -> Option<String> {
    address("VOICE_TEST_REDIS", test)
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
