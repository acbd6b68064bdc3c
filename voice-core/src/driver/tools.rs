//! The port to the embedder's tools.

use async_trait::async_trait;

use crate::conversation::{ToolCall, ToolResult};
use crate::id::CallId;

/// Runs tools for all calls. Each run is a task of its own: it may take its time, and a panic in it is
/// an answer like any other failure. A run that takes longer than the call waits is aborted.
#[async_trait]
pub trait RunTool: Send + Sync {
    /// Runs one. The arguments are JSON as the model wrote it and need not be valid; a failure is told
    /// to the model in a sentence it can act on.
    async fn run(&self, call: CallId, tool: ToolCall) -> ToolResult;
}

/// For agents without tools.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTools;

#[async_trait]
impl RunTool for NoTools {
    async fn run(&self, _call: CallId, _tool: ToolCall) -> ToolResult {
        ToolResult { output: "there are no tools".into(), failed: true }
    }
}
