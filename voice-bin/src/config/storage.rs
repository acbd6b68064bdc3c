//! Where calls are kept, and in whose name.

use url::Url;

use super::Config;
use super::check::{Wrong, is_local};
use super::mask::masked;
use super::settings::{self, Setting};
use crate::store::Node;

/// Longest name of a server.
const NODE_CHARS_MAX: usize = 64;

pub(super) fn database_url(text: &str) -> Result<String, Wrong> {
    if text.strip_prefix("sqlite:").is_some_and(|file| !file.is_empty()) {
        return Ok(text.to_owned());
    }
    let is_postgres = text.starts_with("postgres://") || text.starts_with("postgresql://");
    if is_postgres && Url::parse(text).is_ok_and(|url| url.host().is_some()) {
        return Ok(text.to_owned());
    }
    Err(Wrong(
        format!("{} is not a database this build knows", masked(text)),
        "use sqlite:FILE, like sqlite:voice.db, or postgres://USER:PASSWORD@HOST/DATABASE",
    ))
}

pub(super) fn redis_url(text: &str) -> Result<String, Wrong> {
    let is_redis = ["redis://", "rediss://"].iter().any(|scheme| text.starts_with(scheme));
    if is_redis && Url::parse(text).is_ok_and(|url| url.host().is_some()) {
        return Ok(text.to_owned());
    }
    Err(Wrong(
        format!("{} is no address of a Redis", masked(text)),
        "use redis://:PASSWORD@HOST:6379, or rediss:// for TLS, or leave it out",
    ))
}

/// What servers that share a database must have in common, and what is of no use alone.
pub(super) fn notices(config: &Config, mut note: impl FnMut(&Setting, &str)) {
    let is_shared = config.database_url.starts_with("postgres");
    match &config.redis_url {
        Some(_) if !is_shared => note(
            &settings::REDIS_URL,
            "is not used: it is for servers that share a PostgreSQL, and DATABASE_URL is a file of this one's own",
        ),
        Some(url) if url.starts_with("redis://") && !is_on_this_machine(url) && !url.contains('@') => {
            note(&settings::REDIS_URL, "has no password: whoever reaches this Redis can give orders to calls")
        }
        Some(_) | None => {}
    }
}

/// Only of addresses of the web it is known that a host may be a number.
fn is_on_this_machine(redis: &str) -> bool {
    is_local(&redis.replacen("redis://", "http://", 1))
}

pub(super) fn node_name(text: &str) -> Result<Node, Wrong> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if text.is_empty() || text.len() > NODE_CHARS_MAX || !text.chars().all(is_plain) {
        return Err(Wrong(
            "is no name of a server".to_owned(),
            "use letters, digits and . : - _, up to 64, like voice-1; no two servers on one database alike",
        ));
    }
    Ok(Node::new(text))
}

/// A name that stays the same when the server is started again: that of the machine, and the port.
pub(super) fn own_name(port: u16) -> Node {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let plain: String =
        machine.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')).take(50).collect();
    let machine = if plain.is_empty() { "voice".to_owned() } else { plain };
    Node::new(&format!("{machine}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_that_can_be_opened_are_taken() {
        for url in
            ["sqlite:voice.db", "sqlite::memory:", "postgres://me:pw@db:5432/voice", "postgresql://db/voice"]
        {
            assert_eq!(database_url(url).ok().as_deref(), Some(url));
        }
        for url in ["", "sqlite:", "mysql://db/voice", "postgres:voice", "postgres://", "voice.db"] {
            assert!(database_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_redis_has_an_address() {
        for url in ["redis://cache:6379", "rediss://:pw@cache/0", "redis://127.0.0.1"] {
            assert_eq!(redis_url(url).ok().as_deref(), Some(url));
        }
        for url in ["", "cache:6379", "http://cache", "redis://", "redis:cache"] {
            assert!(redis_url(url).is_err(), "{url}");
        }
        let secret = redis_url("redi://:hunter22@cache").expect_err("it is wrong");
        assert!(!secret.0.contains("hunter22"), "{}", secret.0);
    }

    #[test]
    fn a_node_has_a_plain_name_and_else_that_of_its_machine() {
        assert_eq!(node_name("voice-1.eu:8080").ok(), Some(Node::new("voice-1.eu:8080")));
        assert!(["", "a b", "a/b", &"x".repeat(65)].iter().all(|name| node_name(name).is_err()));
        assert!(own_name(8080).as_str().ends_with(":8080"));
        assert!(node_name(own_name(1).as_str()).is_ok());
    }
}
