//! Server-sent events out of the pieces of an HTTP body, wherever the pieces were cut.

use std::collections::VecDeque;

/// Largest event accepted. A whole answer in one event is some kB; a tool call with all its arguments
/// up to 64 kB of JSON, escaped once more.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// Takes bytes, gives events. Knows nothing of what the events mean.
///
/// Lines end with `\n`, `\r\n` or `\r`; text is decoded by nobody here, so a character cut in half by
/// the network is whole again by the time its line is.
#[derive(Default)]
pub(crate) struct SseReader {
    line: Vec<u8>,
    event: SseEvent,
    /// The last byte was a `\r`, so a `\n` that follows belongs to it.
    after_cr: bool,
    /// Whether the event has a `data` line at all; an empty one counts.
    has_data: bool,
    complete: VecDeque<SseEvent>,
}

/// One event.
#[derive(Default, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct SseEvent {
    /// Whether it was named `error`.
    pub(crate) is_error: bool,
    /// Its data lines, joined by `\n`.
    pub(crate) data: Vec<u8>,
}

/// An event is longer than any that makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is too long")]
pub(crate) struct TooLong;

impl SseReader {
    /// Takes the next piece of the body.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), TooLong> {
        for &byte in piece {
            match byte {
                b'\n' if self.after_cr => self.after_cr = false,
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    self.end_line();
                }
                _ => {
                    self.after_cr = false;
                    self.line.push(byte);
                    if self.line.len() + self.event.data.len() > EVENT_BYTES_MAX {
                        return Err(TooLong);
                    }
                }
            }
        }
        Ok(())
    }

    /// The body is over: an event that lacks only its blank line counts, because servers forget it.
    pub(crate) fn finish(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.end_event();
    }

    /// The next complete event.
    pub(crate) fn next(&mut self) -> Option<SseEvent> {
        self.complete.pop_front()
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&line);
        if line.is_empty() {
            return self.end_event();
        }
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => {
                if self.has_data {
                    self.event.data.push(b'\n');
                }
                self.has_data = true;
                self.event.data.extend_from_slice(value);
            }
            b"event" => self.event.is_error = value == b"error",
            // Comments have an empty name; ids and retry times mean nothing here.
            _ => {}
        }
    }

    fn end_event(&mut self) {
        let event = std::mem::take(&mut self.event);
        if std::mem::take(&mut self.has_data) {
            self.complete.push_back(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<String> {
        let mut reader = SseReader::default();
        let mut events = Vec::new();
        for piece in pieces {
            reader.push(piece).expect("short enough");
            while let Some(event) = reader.next() {
                events.push(String::from_utf8(event.data).expect("whole characters"));
            }
        }
        events
    }

    #[test]
    fn any_cut_and_any_line_end_gives_the_same_events() {
        let body =
            ": hello\r\ndata: {\"ä\":1}\r\n\r\ndata:two\ndata: lines\n\nid: 7\rdata: €\r\rdata: [DONE]\n\n";
        let whole = read(&[body.as_bytes()]);
        assert_eq!(whole, ["{\"ä\":1}", "two\nlines", "€", "[DONE]"]);
        let bytes: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
        assert_eq!(read(&bytes), whole);
        for at in 0..body.len() {
            let (a, b) = body.as_bytes().split_at(at);
            assert_eq!(read(&[a, b]), whole, "cut at {at}");
        }
    }

    #[test]
    fn comments_names_and_empty_events_are_no_data() {
        assert!(read(&[b": keep-alive\n\nevent: ping\n\nretry: 3\n\n\n\n"]).is_empty());
        assert_eq!(read(&[b"data\n\ndata:\n\n"]), ["", ""]);
    }

    #[test]
    fn an_error_is_told_apart() {
        let mut reader = SseReader::default();
        reader.push(b"event: error\ndata: {}\n\ndata: {}\n\n").expect("short enough");
        assert_eq!(reader.next().map(|event| event.is_error), Some(true));
        assert_eq!(reader.next().map(|event| event.is_error), Some(false));
    }

    #[test]
    fn the_last_event_may_lack_its_blank_line() {
        let mut reader = SseReader::default();
        reader.push(b"data: [DONE]").expect("short enough");
        assert_eq!(reader.next(), None);
        reader.finish();
        assert_eq!(reader.next().map(|event| event.data), Some(b"[DONE]".to_vec()));
        reader.finish();
        assert_eq!(reader.next(), None);
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut reader = SseReader::default();
        let piece = vec![b'x'; 64 << 10];
        let refused = (0..20).any(|_| reader.push(&piece).is_err());
        assert!(refused);
        let mut reader = SseReader::default();
        let line = [b"data: ".to_vec(), vec![b'x'; 60 << 10], b"\n".to_vec()].concat();
        let refused = (0..20).any(|_| reader.push(&line).is_err());
        assert!(refused, "many lines of one event are one event");
    }
}
