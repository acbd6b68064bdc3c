//! The table in `docs/providers.md` says what the values say.

use std::path::Path;
use std::time::Duration;

use voice_core::audio::AudioFormat;
use voice_core::capabilities::{
    CallerSpeech, Capabilities, CutReport, HistoryForm, MicroUsd, Price, Rate, ToolUse,
};
use voice_core::provider::Provider;
use voice_core::sensitive::Secret;
use voice_providers::deepgram::Credential;
use voice_providers::deepgram::agent::{Agent, AgentSettings};
use voice_providers::deepgram::pipeline::{Pipeline, PipelineSettings};
use voice_providers::gemini::{Gemini, GeminiSettings};
use voice_providers::llm::ChatEndpoint;
use voice_providers::openai::{OpenAi, OpenAiSettings};

const BEGIN: &str =
    "<!-- Made from the values; `UPDATE_EXPECT=1 cargo test -p voice-providers --test contract` -->\n";
const END: &str = "<!-- end -->";

#[test]
fn the_table_says_what_the_values_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/providers.md");
    let page = std::fs::read_to_string(&path).expect("the page is there");
    let (before, rest) = page.split_once(BEGIN).expect("the table has a beginning");
    let (table, after) = rest.split_once(END).expect("the table has an end");
    let expected = render(&all());
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let page = format!("{before}{BEGIN}{expected}{END}{after}");
        std::fs::write(&path, page).expect("the page can be written");
    } else {
        assert_eq!(table, expected, "run again with UPDATE_EXPECT=1 to write the table anew");
    }
}

/// Each with its defaults.
fn all() -> Vec<(&'static str, Capabilities)> {
    let key = || Secret::new("k".to_owned());
    let openai = OpenAi::new(OpenAiSettings::new(key()).build().expect("defaults"));
    let gemini = Gemini::new(GeminiSettings::new(key()).build().expect("defaults"));
    let agent = Agent::new(AgentSettings::new(Credential::ApiKey(key())).build().expect("defaults"));
    let mind = ChatEndpoint::new("https://llm.example/v1", "any").expect("a good address");
    let pipeline = PipelineSettings::builder(Credential::ApiKey(key()), mind).build().expect("defaults");
    vec![
        ("OpenAI Realtime", openai.capabilities().clone()),
        ("Gemini Live", gemini.capabilities().clone()),
        ("Deepgram Voice Agent", agent.capabilities().clone()),
        ("Deepgram pipeline", Pipeline::new(pipeline).capabilities().clone()),
    ]
}

fn render(all: &[(&str, Capabilities)]) -> String {
    type Cell = fn(&Capabilities) -> String;
    let rows: &[(&str, Cell)] = &[
        ("hears", |c| formats(&c.hears)),
        ("speaks", |c| formats(&c.speaks)),
        ("who tells that the caller speaks", |c| who(c.caller_speech)),
        ("… and is silent", |c| who(c.caller_pause)),
        ("how a cut reply is told", |c| cut(c.cut).to_owned()),
        ("what the caller said", |c| form(c.history.caller).to_owned()),
        ("what the voice said", |c| form(c.history.voice).to_owned()),
        ("tools of the past", |c| form(c.history.tool).to_owned()),
        ("notes", |c| form(c.history.note).to_owned()),
        ("turns added later", |c| form(c.history.later).to_owned()),
        ("longest session", |c| time(c.lifetime.session_max)),
        ("longest line", |c| time(c.lifetime.line_max)),
        ("replaces a line that ends", |c| yes(c.lifetime.resumes)),
        ("says when it ends", |c| yes(c.lifetime.announced)),
        ("tools", |c| c.tools.map_or("no".to_owned(), tools)),
        ("pictures", |c| yes(c.images)),
        ("languages", |c| c.languages.as_ref().map_or("many".to_owned(), |tags| tags.join(", "))),
        ("price", |c| c.price.as_ref().map_or("not known".to_owned(), price)),
    ];
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    let mut table = format!("| | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(all.len()));
    for (name, cell) in rows {
        let cells: Vec<String> = all.iter().map(|(_, capabilities)| cell(capabilities)).collect();
        table.push_str(&format!("| {name} | {} |\n", cells.join(" | ")));
    }
    table
}

fn formats(formats: &[AudioFormat]) -> String {
    formats.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn who(speech: CallerSpeech) -> String {
    match speech {
        CallerSpeech::Told => "the service",
        CallerSpeech::Detected => "the bridge's detector",
    }
    .to_owned()
}

fn cut(report: CutReport) -> &'static str {
    match report {
        CutReport::Milliseconds => "by milliseconds heard",
        CutReport::Words => "by words heard",
        CutReport::Nothing => "not at all",
        _ => "?",
    }
}

fn form(form: HistoryForm) -> &'static str {
    match form {
        HistoryForm::Item => "as itself",
        HistoryForm::Settings => "in the settings",
        HistoryForm::Words => "in words",
        HistoryForm::Instructions => "in the instructions",
        _ => "?",
    }
}

fn time(time: Option<Duration>) -> String {
    time.map_or("–".to_owned(), |time| format!("{} min", time.as_secs() / 60))
}

fn yes(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

fn tools(tools: ToolUse) -> String {
    let said =
        [(tools.parallel, "several at once"), (tools.cancels, "taken back"), (tools.blocks, "blocking")];
    let said: Vec<&str> = said.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect();
    if said.is_empty() { "yes".to_owned() } else { said.join(", ") }
}

fn price(price: &Price) -> String {
    let usd = |MicroUsd(micro): MicroUsd| format!("{}.{:03}", micro / 1_000_000, micro % 1_000_000 / 1_000);
    let what = match price.rate {
        Rate::PerMinute(rate) => format!("{} USD a minute", usd(rate)),
        Rate::PerToken(rates) => {
            let kinds = [
                ("text in", rates.text_in),
                ("audio in", rates.audio_in),
                ("cached", rates.cached_in),
                ("text out", rates.text_out),
                ("audio out", rates.audio_out),
            ];
            let one = |(kind, rate): (&str, Option<MicroUsd>)| Some(format!("{kind} {}", usd(rate?)));
            format!(
                "USD a million tokens: {}",
                kinds.into_iter().filter_map(one).collect::<Vec<_>>().join(", ")
            )
        }
        _ => "?".to_owned(),
    };
    format!("{what} ({}, {})", price.as_of, price.source)
}
