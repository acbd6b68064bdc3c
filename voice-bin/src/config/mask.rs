//! Addresses as they may be shown: people paste logs and configurations into bug reports.

/// The address without what may be a secret: user names and passwords, the values of a query, a fragment.
///
/// Works on text, because what somebody mistyped is shown as well, and a secret in it is one nevertheless.
pub(crate) fn masked(address: &str) -> String {
    let (address, fragment) = match address.split_once('#') {
        Some((address, _)) => (address, "#***"),
        None => (address, ""),
    };
    let (place, query) = match address.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (address, None),
    };
    let mut shown = without_user(place);
    if let Some(query) = query {
        shown.push('?');
        let pairs: Vec<String> = query.split('&').map(masked_pair).collect();
        shown.push_str(&pairs.join("&"));
    }
    shown + fragment
}

fn without_user(place: &str) -> String {
    let start = place.find("://").map_or(0, |at| at + 3);
    let authority_end = place[start..].find('/').map_or(place.len(), |at| start + at);
    // A password with a slash in it ends the host too early; then the last `@` of all tells.
    let at = place[start..authority_end].rfind('@').or_else(|| place[start..].rfind('@'));
    match at {
        Some(at) => format!("{}***{}", &place[..start], &place[start + at..]),
        None => place.to_owned(),
    }
}

fn masked_pair(pair: &str) -> String {
    match pair.split_once('=') {
        Some((name, value)) if !value.is_empty() => format!("{name}=***"),
        Some(_) => pair.to_owned(),
        None if pair.is_empty() => String::new(),
        None => "***".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_left_of_an_address() {
        for (address, shown) in [
            ("wss://voice.test/v1/realtime", "wss://voice.test/v1/realtime"),
            ("wss://user:pass@voice.test/v1", "wss://***@voice.test/v1"),
            ("wss://user@voice.test", "wss://***@voice.test"),
            ("wss://voice.test/v1?api-key=s3cret&region=eu", "wss://voice.test/v1?api-key=***&region=***"),
            ("wss://voice.test/v1?s3cret", "wss://voice.test/v1?***"),
            ("wss://voice.test/v1?a=&b#s3cret", "wss://voice.test/v1?a=&***#***"),
            ("sqlite:voice.db?key=s3cret", "sqlite:voice.db?key=***"),
            ("sqlite::memory:", "sqlite::memory:"),
            ("postgres://me:p/w@db/voice", "postgres://***@db/voice"),
            ("https:// user:pa ss@voice.test", "https://***@voice.test"),
            ("user:pass@voice.test/x", "***@voice.test/x"),
            ("", ""),
        ] {
            assert_eq!(masked(address), shown);
        }
    }
}
