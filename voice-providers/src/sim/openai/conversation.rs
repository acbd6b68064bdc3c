//! The conversation as the service keeps it: items, and what may be done with them.

use serde_json::{Value, json};

use super::check::{Checked, Fault, only};

/// All items, oldest first.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    items: Vec<Item>,
}

/// One item.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) kind: Kind,
    /// Milliseconds of audio in it.
    pub(super) audio_ms: u64,
}

/// What an item is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    User { text: String },
    Assistant { text: String },
    System,
    Call { name: String, call_id: String, arguments: String },
    Output,
}

impl Item {
    pub(super) fn new(id: impl Into<String>, kind: Kind) -> Self {
        Self { id: id.into(), kind, audio_ms: 0 }
    }

    /// As events show it.
    pub(super) fn to_json(&self, status: &str) -> Value {
        let base =
            |kind: &str| json!({"id": self.id, "object": "realtime.item", "type": kind, "status": status});
        let mut shown = base("message");
        match &self.kind {
            Kind::User { text } => {
                shown["role"] = "user".into();
                shown["content"] = match self.audio_ms {
                    0 => json!([{"type": "input_text", "text": text}]),
                    _ => json!([{"type": "input_audio", "transcript": null}]),
                };
            }
            Kind::Assistant { text } => {
                shown["role"] = "assistant".into();
                shown["content"] = match self.audio_ms {
                    0 => json!([{"type": "output_text", "text": text}]),
                    _ => json!([{"type": "output_audio", "transcript": text}]),
                };
            }
            Kind::System => shown["role"] = "system".into(),
            Kind::Call { name, call_id, arguments } => {
                shown = base("function_call");
                shown["name"] = name.as_str().into();
                shown["call_id"] = call_id.as_str().into();
                shown["arguments"] = arguments.as_str().into();
            }
            Kind::Output => shown = base("function_call_output"),
        }
        shown
    }
}

impl Conversation {
    pub(super) fn push(&mut self, item: Item) {
        self.items.push(item);
    }

    pub(super) fn find(&mut self, id: &str) -> Option<&mut Item> {
        self.items.iter_mut().find(|item| item.id == id)
    }

    pub(super) fn item(&self, id: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.id == id)
    }

    pub(super) fn last(&self) -> Option<&Item> {
        self.items.last()
    }

    pub(super) fn before(&self, id: &str) -> Option<&str> {
        let at = self.items.iter().position(|item| item.id == id)?;
        Some(self.items.get(at.checked_sub(1)?)?.id.as_str())
    }

    /// The caller's last words, if nothing has been said since.
    pub(super) fn unanswered(&self) -> Option<&Kind> {
        self.items.iter().rev().map(|item| &item.kind).find(|kind| !matches!(kind, Kind::System))
    }

    pub(super) fn has_user(&self) -> bool {
        self.items.iter().any(|item| matches!(item.kind, Kind::User { .. }))
    }

    /// Tokens of text and of audio in it.
    pub(super) fn tokens(&self) -> (u64, u64) {
        self.items.iter().fold((0, 0), |(text, audio), item| match &item.kind {
            Kind::User { .. } => (text + 5, audio + item.audio_ms / 100),
            Kind::Assistant { .. } => (text + 5, audio + item.audio_ms / 50),
            Kind::System | Kind::Call { .. } | Kind::Output => (text + 30, audio),
        })
    }

    /// Checks and adds an item that the client made.
    pub(super) fn create(&mut self, event: &Value, fresh_id: String) -> Result<Item, Fault> {
        let made = &event["item"];
        let id = made["id"].as_str().map_or(fresh_id, str::to_owned);
        if id.is_empty() || id.len() > 32 || self.find(&id).is_some() {
            return Err(Fault::invalid("item.id"));
        }
        let kind = match made["type"].as_str() {
            Some("message") => message(made)?,
            Some("function_call") => {
                only("item", made, &["id", "type", "object", "status", "name", "call_id", "arguments"])?;
                let field = |key: &str| {
                    made[key]
                        .as_str()
                        .map(str::to_owned)
                        .ok_or_else(|| Fault::invalid(&format!("item.{key}")))
                };
                let call_id = field("call_id")?;
                if call_id.len() > 32 {
                    return Err(Fault::invalid("item.call_id"));
                }
                Kind::Call { name: field("name")?, call_id, arguments: field("arguments")? }
            }
            Some("function_call_output") => {
                only("item", made, &["id", "type", "object", "status", "call_id", "output"])?;
                self.check_output(made)?;
                Kind::Output
            }
            _ => return Err(Fault::invalid("item.type")),
        };
        match event["previous_item_id"].as_str() {
            Some(previous) if previous != "root" && self.find(previous).is_none() => {
                return Err(Fault::invalid("previous_item_id"));
            }
            _ => {}
        }
        let item = Item::new(id, kind);
        self.push(item.clone());
        Ok(item)
    }

    /// Checks and does a `conversation.item.truncate`; how much had been generated.
    pub(super) fn truncate(&mut self, event: &Value) -> Result<u64, Fault> {
        only("", event, &["type", "event_id", "item_id", "content_index", "audio_end_ms"])?;
        let Some(end) = event["audio_end_ms"].as_u64() else { return Err(Fault::invalid("audio_end_ms")) };
        if event["content_index"] != 0 {
            return Err(Fault::invalid("content_index"));
        }
        let item = event["item_id"].as_str().and_then(|id| self.find(id));
        let Some(item) = item else {
            return Err(Fault::new("item_truncate_invalid_item_id", "item_id", "Item not found."));
        };
        if !matches!(item.kind, Kind::Assistant { .. }) {
            return Err(Fault::new("invalid_value", "item_id", "Only model output can be truncated."));
        }
        let generated = item.audio_ms;
        if end > generated || generated == 0 {
            let message = format!("Audio content of {generated}ms is already shorter than {end}ms");
            return Err(Fault::new("invalid_value", "audio_end_ms", message));
        }
        item.audio_ms = end;
        Ok(generated)
    }

    pub(super) fn delete(&mut self, event: &Value) -> Result<String, Fault> {
        let id = event["item_id"].as_str().unwrap_or_default();
        match self.items.iter().position(|item| item.id == id) {
            Some(at) => Ok(self.items.remove(at).id),
            None => Err(Fault::new("item_delete_invalid_item_id", "item_id", "Item not found.")),
        }
    }

    fn check_output(&self, made: &Value) -> Checked {
        let known = self.items.iter().any(
            |item| matches!(&item.kind, Kind::Call { call_id, .. } if made["call_id"] == call_id.as_str()),
        );
        if !known {
            return Err(Fault::new("invalid_tool_call_id", "item.call_id", "No such call of a tool."));
        }
        if made["output"].is_string() { Ok(()) } else { Err(Fault::invalid("item.output")) }
    }
}

fn message(made: &Value) -> Result<Kind, Fault> {
    only("item", made, &["id", "type", "object", "status", "role", "content"])?;
    let content = made["content"].as_array().filter(|content| !content.is_empty());
    let Some(content) = content else { return Err(Fault::invalid("item.content")) };
    let wanted = match made["role"].as_str() {
        Some("user" | "system") => "input_text",
        Some("assistant") => "output_text",
        _ => return Err(Fault::invalid("item.role")),
    };
    let mut text = String::new();
    for (at, part) in content.iter().enumerate() {
        if part["type"] != wanted || !part["text"].is_string() {
            return Err(Fault::invalid(&format!("item.content[{at}].type")));
        }
        text.push_str(part["text"].as_str().unwrap_or_default());
    }
    Ok(match made["role"].as_str() {
        Some("user") => Kind::User { text },
        Some("assistant") => Kind::Assistant { text },
        _ => Kind::System,
    })
}
