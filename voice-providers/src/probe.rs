//! Addresses of requests that only look whether a service is there.

/// The address of a WebSocket as a web address, without query and slash at the end.
pub(crate) fn web_address(web_socket: &str) -> Option<String> {
    let address = web_socket.split(['?', '#']).next()?.trim_end_matches('/');
    let (scheme, rest) = address.split_once("://")?;
    match scheme {
        "wss" | "https" => Some(format!("https://{rest}")),
        "ws" | "http" => Some(format!("http://{rest}")),
        _ => None,
    }
}

/// The same without a path.
pub(crate) fn web_origin(web_socket: &str) -> Option<String> {
    let address = web_address(web_socket)?;
    let (scheme, rest) = address.split_once("://")?;
    Some(format!("{scheme}://{}", rest.split('/').next()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use voice_core::provider::Provider;
    use voice_core::sensitive::Secret;
    use voice_core::wire::{Endpoint, EndpointKind};

    use crate::deepgram::Credential;
    use crate::deepgram::agent::{Agent, AgentSettings};
    use crate::deepgram::pipeline::{Pipeline, PipelineSettings};
    use crate::gemini::{Gemini, GeminiSettings};
    use crate::llm::ChatEndpoint;
    use crate::openai::{OpenAi, OpenAiSettings};

    fn key() -> Secret<String> {
        Secret::new("k-1".to_owned())
    }

    fn check(probe: Option<Endpoint>, url: &str, header: (&str, &str)) {
        let probe = probe.expect("there is something to look at");
        assert_eq!(probe.url, url);
        assert!(matches!(probe.kind, EndpointKind::Http { method: "GET", .. }));
        let sent = probe.headers.iter().map(|(name, value)| (*name, value.expose().as_str()));
        assert!(sent.collect::<Vec<_>>().contains(&header), "{header:?}");
    }

    #[test]
    fn each_service_is_looked_at_where_it_costs_nothing() {
        let openai = |url: &str| {
            let settings = OpenAiSettings::new(key()).url(url).model("gpt-realtime-2.1").build();
            OpenAi::new(settings.expect("settings are fine")).probe()
        };
        let bearer = ("authorization", "Bearer k-1");
        check(
            openai("wss://api.openai.com/v1/realtime"),
            "https://api.openai.com/v1/models/gpt-realtime-2.1",
            bearer,
        );
        check(openai("ws://127.0.0.1:9/x/realtime"), "http://127.0.0.1:9/x/models/gpt-realtime-2.1", bearer);
        let gemini = Gemini::new(GeminiSettings::new(key()).build().expect("settings are fine"));
        check(
            gemini.probe(),
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-3.8-live",
            ("x-goog-api-key", "k-1"),
        );
        let agent = |url: Option<&str>| {
            let builder = AgentSettings::new(Credential::ApiKey(key()));
            let builder = url.into_iter().fold(builder, |builder, url| builder.url(url));
            Agent::new(builder.build().expect("settings are fine")).probe()
        };
        let token = ("authorization", "Token k-1");
        check(agent(None), "https://api.deepgram.com/v1/projects", token);
        check(
            agent(Some("wss://agent.eu.deepgram.com/v1/agent/converse")),
            "https://api.eu.deepgram.com/v1/projects",
            token,
        );
        check(agent(Some("ws://127.0.0.1:9/v1/agent/converse")), "http://127.0.0.1:9/v1/projects", token);
    }

    #[test]
    fn a_pipeline_is_looked_at_where_it_hears_and_where_it_thinks() {
        let mind = |url: &str| ChatEndpoint::new(url, "m").expect("a good address");
        let probes = |mind| {
            let settings = PipelineSettings::builder(Credential::ApiKey(key()), mind).build();
            Pipeline::new(settings.expect("settings are fine")).probes()
        };
        let secret = Secret::new("k-2".to_owned());
        let both = probes(mind("https://llm.example/v1/").bearer(secret.clone()));
        assert_eq!(both.len(), 2);
        check(both.first().cloned(), "https://api.deepgram.com/v1/projects", ("authorization", "Token k-1"));
        check(both.last().cloned(), "https://llm.example/v1/models", ("authorization", "Bearer k-2"));
        let azure = mind("https://x.openai.azure.com/openai/v1").key(secret);
        assert_eq!(probes(azure).len(), 1, "it knows no such question");
    }

    #[test]
    fn addresses_change_their_scheme_only() {
        assert_eq!(web_address("wss://a.example/b/?c=d").as_deref(), Some("https://a.example/b"));
        assert_eq!(web_origin("ws://a.example:1/b/c").as_deref(), Some("http://a.example:1"));
        assert_eq!(web_address("ftp://a.example"), None);
    }
}
