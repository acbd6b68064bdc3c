//! The demonstration's tool: looks up an order of the book shop.

use std::collections::BTreeMap;

use async_trait::async_trait;
use voice_core::conversation::{ToolCall, ToolDefinition, ToolResult};
use voice_core::driver::RunTool;
use voice_core::id::CallId;

/// What the fake voice may call.
pub(super) fn tools() -> Vec<ToolDefinition> {
    vec![ToolDefinition {
        name: "lookup_order".to_owned(),
        description: "Finds an order by its number and tells where it is.".to_owned(),
        parameters: r#"{"type":"object","properties":{"number":{"type":"string"}},"required":["number"]}"#
            .to_owned(),
    }]
}

/// Runs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shop;

#[async_trait]
impl RunTool for Shop {
    async fn run(&self, _call: CallId, tool: ToolCall) -> ToolResult {
        let arguments = serde_json::from_str::<BTreeMap<String, String>>(tool.arguments.expose());
        match arguments.as_ref().map(|order| order.get("number").map(String::as_str)) {
            Ok(Some("427")) => {
                let output = r#"{"status":"shipped","arrives":"Friday"}"#.into();
                ToolResult { output, failed: false }
            }
            Ok(Some(_)) => ToolResult { output: "there is no such order".into(), failed: true },
            Ok(None) | Err(_) => {
                ToolResult { output: "the arguments must be {\"number\": \"…\"}".into(), failed: true }
            }
        }
    }
}
