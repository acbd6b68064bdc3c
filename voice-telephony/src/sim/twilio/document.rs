//! Reads TwiML as Twilio would.

use std::collections::VecDeque;
use std::time::Duration;

use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

/// One instruction of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Connect {
        stream: Stream,
        action: Option<String>,
    },
    Say(String),
    Play,
    Pause(Duration),
    /// Says something, then waits for one key.
    Gather {
        say: String,
        action: Option<String>,
    },
    /// Joins a conference, which ends with this call or does not.
    Conference {
        name: String,
        ends: bool,
        action: Option<String>,
    },
    Redirect(String),
    Reject,
    Hangup,
}

/// `<Stream>` and its parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) url: String,
    pub(super) status_callback: Option<String>,
    pub(super) parameters: Vec<(String, String)>,
}

/// The largest document that Twilio takes (error 11750).
const BYTES_MAX: usize = 64 << 10;

/// The verbs of a document in order, or what is wrong with it.
pub(super) fn read(document: &str) -> Result<VecDeque<Verb>, String> {
    if document.len() > BYTES_MAX {
        return Err("the document is too large (11750)".to_owned());
    }
    let mut reader = Reader::from_str(document);
    let mut verbs = VecDeque::new();
    let mut connect: Option<(Stream, Option<String>)> = None;
    let mut seen_response = false;
    let mut gather: Option<(String, Option<String>)> = None;
    let mut dial: Option<Option<String>> = None;
    loop {
        let event = reader.read_event().map_err(|error| format!("not XML (12100): {error}"))?;
        let is_empty = matches!(event, Event::Empty(_));
        match event {
            Event::Eof => break,
            Event::Start(tag) | Event::Empty(tag) => match tag.name().into_inner() {
                "Response" => seen_response = true,
                _ if !seen_response => return Err("no <Response> (12100)".to_owned()),
                "Connect" => {
                    let action = attribute(&tag, "action")?;
                    connect = (!is_empty).then(|| (Stream::default(), action));
                }
                "Stream" => {
                    let (stream, _) = connect.as_mut().ok_or("<Stream> outside <Connect>")?;
                    stream.url = attribute(&tag, "url")?.ok_or("<Stream> without url")?;
                    stream.status_callback = attribute(&tag, "statusCallback")?;
                }
                "Parameter" => {
                    let (stream, _) = connect.as_mut().ok_or("<Parameter> outside <Stream>")?;
                    let name = attribute(&tag, "name")?.ok_or("<Parameter> without name")?;
                    let value = attribute(&tag, "value")?.ok_or("<Parameter> without value")?;
                    stream.parameters.push((name, value));
                }
                "Gather" => gather = Some((String::new(), attribute(&tag, "action")?)),
                "Dial" => dial = Some(attribute(&tag, "action")?),
                "Conference" => {
                    let action = dial.clone().ok_or("<Conference> outside <Dial>")?;
                    let ends = attribute(&tag, "endConferenceOnExit")?.as_deref() == Some("true");
                    let text = reader.read_text(tag.to_end().name()).map_err(|error| error.to_string())?;
                    let name = unescape(text.as_ref()).map_err(|error| error.to_string())?.into_owned();
                    verbs.push_back(Verb::Conference { name, ends, action });
                }
                "Say" | "Play" | "Redirect" if is_empty => {}
                name @ ("Say" | "Play" | "Redirect") => {
                    let text = reader.read_text(tag.to_end().name()).map_err(|error| error.to_string())?;
                    let text = unescape(text.as_ref()).map_err(|error| error.to_string())?.into_owned();
                    if let ("Say", Some((say, _))) = (name, &mut gather) {
                        say.push_str(&text);
                        continue;
                    }
                    verbs.push_back(match name {
                        "Say" => Verb::Say(text),
                        "Play" => Verb::Play,
                        _ => Verb::Redirect(text),
                    });
                }
                "Pause" => {
                    let length = attribute(&tag, "length")?.and_then(|length| length.parse().ok());
                    verbs.push_back(Verb::Pause(Duration::from_secs(length.unwrap_or(1))));
                }
                "Reject" => verbs.push_back(Verb::Reject),
                "Hangup" => verbs.push_back(Verb::Hangup),
                other => return Err(format!("a verb that this fake does not know: <{other}>")),
            },
            Event::End(tag) if tag.name().into_inner() == "Gather" => {
                let (say, action) = gather.take().ok_or("</Gather> without its beginning")?;
                verbs.push_back(Verb::Gather { say, action });
            }
            Event::End(tag) if tag.name().into_inner() == "Dial" => dial = None,
            Event::End(tag) if tag.name().into_inner() == "Connect" => {
                let (stream, action) = connect.take().ok_or("</Connect> without its beginning")?;
                verbs.push_back(Verb::Connect { stream, action });
            }
            Event::End(_)
            | Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_)
            | Event::GeneralRef(_) => {}
        }
    }
    if seen_response { Ok(verbs) } else { Err("no <Response> (12100)".to_owned()) }
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Result<Option<String>, String> {
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        if attribute.key.into_inner() == name {
            return Ok(Some(unescape(&attribute.value).map_err(|error| error.to_string())?.into_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_parameters_and_text_are_unescaped() {
        let verbs = read(
            r#"<?xml version="1.0"?><Response><Connect action="/next"><Stream url="wss://a.example/s">
               <Parameter name="a" value="&lt;1&gt; &amp; &quot;2&quot;"/></Stream></Connect>
               <Say>Tom &amp; Jerry</Say><Pause length="3"/><Redirect>https://a.example/?a=1&amp;b=2</Redirect>
               <Hangup/></Response>"#,
        );
        let stream = Stream {
            url: "wss://a.example/s".into(),
            status_callback: None,
            parameters: vec![("a".into(), "<1> & \"2\"".into())],
        };
        let expected = [
            Verb::Connect { stream, action: Some("/next".into()) },
            Verb::Say("Tom & Jerry".into()),
            Verb::Pause(Duration::from_secs(3)),
            Verb::Redirect("https://a.example/?a=1&b=2".into()),
            Verb::Hangup,
        ];
        assert_eq!(verbs, Ok(expected.into()));
    }

    #[test]
    fn what_is_not_twiml_is_refused() {
        for bad in [
            "",
            "hello",
            "<html></html>",
            "<Response><Stream/></Response>",
            "<Response><Conference>a</Conference></Response>",
            "<Response><Enqueue/></Response>",
            "<Response><",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
