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
    let mut open = Open::default();
    loop {
        let event = reader.read_event().map_err(|error| format!("not XML (12100): {error}"))?;
        let is_empty = matches!(event, Event::Empty(_));
        match event {
            Event::Eof => break,
            Event::Start(tag) | Event::Empty(tag) => match tag.name().into_inner() {
                name @ ("Say" | "Play" | "Redirect" | "Conference") if open.seen_response => {
                    if is_empty {
                        continue;
                    }
                    let ends = attribute(&tag, "endConferenceOnExit")?.as_deref() == Some("true");
                    let text = reader.read_text(tag.to_end().name()).map_err(|error| error.to_string())?;
                    let text = unescape(text.as_ref()).map_err(|error| error.to_string())?.into_owned();
                    open.text(name, text, ends)?;
                }
                _ => open.begin(&tag, is_empty)?,
            },
            Event::End(tag) => open.end(tag.name().into_inner())?,
            Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_)
            | Event::GeneralRef(_) => {}
        }
    }
    if open.seen_response { Ok(open.verbs) } else { Err("no <Response> (12100)".to_owned()) }
}

/// What was begun and not ended.
#[derive(Default)]
struct Open {
    seen_response: bool,
    connect: Option<(Stream, Option<String>)>,
    gather: Option<(String, Option<String>)>,
    dial: Option<Option<String>>,
    verbs: VecDeque<Verb>,
}

impl Open {
    fn begin(&mut self, tag: &BytesStart<'_>, is_empty: bool) -> Result<(), String> {
        match tag.name().into_inner() {
            "Response" => self.seen_response = true,
            _ if !self.seen_response => return Err("no <Response> (12100)".to_owned()),
            "Connect" => {
                let action = attribute(tag, "action")?;
                self.connect = (!is_empty).then(|| (Stream::default(), action));
            }
            "Stream" => {
                let (stream, _) = self.connect.as_mut().ok_or("<Stream> outside <Connect>")?;
                stream.url = attribute(tag, "url")?.ok_or("<Stream> without url")?;
                stream.status_callback = attribute(tag, "statusCallback")?;
            }
            "Parameter" => {
                let (stream, _) = self.connect.as_mut().ok_or("<Parameter> outside <Stream>")?;
                let name = attribute(tag, "name")?.ok_or("<Parameter> without name")?;
                let value = attribute(tag, "value")?.ok_or("<Parameter> without value")?;
                stream.parameters.push((name, value));
            }
            "Gather" => self.gather = Some((String::new(), attribute(tag, "action")?)),
            "Dial" => self.dial = Some(attribute(tag, "action")?),
            "Pause" => {
                let length = attribute(tag, "length")?.and_then(|length| length.parse().ok());
                self.verbs.push_back(Verb::Pause(Duration::from_secs(length.unwrap_or(1))));
            }
            "Reject" => self.verbs.push_back(Verb::Reject),
            "Hangup" => self.verbs.push_back(Verb::Hangup),
            other => return Err(format!("a verb that this fake does not know: <{other}>")),
        }
        Ok(())
    }

    fn text(&mut self, name: &str, text: String, ends: bool) -> Result<(), String> {
        let verb = match (name, &mut self.gather) {
            ("Say", Some((say, _))) => {
                say.push_str(&text);
                return Ok(());
            }
            ("Say", None) => Verb::Say(text),
            ("Play", _) => Verb::Play,
            ("Redirect", _) => Verb::Redirect(text),
            _ => {
                let action = self.dial.clone().ok_or("<Conference> outside <Dial>")?;
                Verb::Conference { name: text, ends, action }
            }
        };
        self.verbs.push_back(verb);
        Ok(())
    }

    fn end(&mut self, name: &str) -> Result<(), String> {
        if name == "Connect" {
            let (stream, action) = self.connect.take().ok_or("</Connect> without its beginning")?;
            self.verbs.push_back(Verb::Connect { stream, action });
        } else if name == "Gather" {
            let (say, action) = self.gather.take().ok_or("</Gather> without its beginning")?;
            self.verbs.push_back(Verb::Gather { say, action });
        } else if name == "Dial" {
            self.dial = None;
        }
        Ok(())
    }
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
