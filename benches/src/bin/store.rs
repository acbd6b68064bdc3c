//! The store's load harness: how long until what a call said is in the database, and how long a question takes.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool: this is its output")]

use std::future::Future;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use voice_bin::cluster::Cluster;
use voice_bin::store::{CallFilter, CallState, Journal, JournalReader, Store, StoreError};
use voice_core::audio::AudioFormat;
use voice_core::driver::Clock;
use voice_core::id::{AttachmentId, CallId, CarrierId, CorrelationId, ProviderId, ReplyId, UtteranceId};
use voice_core::record::{CallEvent, Entry, Reader as _};

/// Writes what so many calls say at once, as they say it, and asks about them meanwhile.
///
/// Each call makes one entry every half second. "written" is from an entry until it is committed, the wait
/// for the batch before it included: what a crash at that moment would cost. Run it under `scripts/services
/// run` for a PostgreSQL and a Redis as well. Nothing leaves this machine.
#[derive(Debug, Parser)]
#[command(name = "store", version)]
struct Arguments {
    /// Calls at the same time.
    #[arg(long, value_name = "N", default_value_t = 500)]
    calls: u32,
    /// How long each database is written to.
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    seconds: u32,
    /// Another database than a new SQLite file and that of VOICE_TEST_POSTGRES.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Fails if a target is missed.
    #[arg(long)]
    check: bool,
}

/// Milliseconds that 99 of 100 may take at most.
const WRITE_TARGET_MS: f64 = 50.0;
const READ_TARGET_MS: f64 = 10.0;
const CACHE_TARGET_MS: f64 = 1.0;

/// Entries of a call in a second, at even distances.
const RATE: u32 = 2;

/// Parts of half a second; each call has its own.
const SLICES: u32 = 50;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("store: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(&arguments)) {
        Ok(met) if met || !arguments.check => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("store: {error}: {:?}", std::error::Error::source(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<bool, Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let file = format!("sqlite:{}", directory.path().join("voice.db").display());
    let mut databases = vec![("SQLite", file)];
    if let Some(url) = &arguments.database {
        databases = vec![("database", url.clone())];
    } else if let Ok(server) = std::env::var("VOICE_TEST_POSTGRES") {
        databases.push(("PostgreSQL", format!("{server}/postgres")));
    } else {
        println!("PostgreSQL: not measured; run this under scripts/services run");
    }
    let mut met = true;
    for (name, url) in databases {
        println!(
            "{name}: {} calls, {} entries each a second, {} s",
            arguments.calls, RATE, arguments.seconds
        );
        met &= measure(&Store::open(&url).await?, arguments).await?;
    }
    Ok(met)
}

async fn measure(store: &Store, arguments: &Arguments) -> Result<bool, StoreError> {
    let journal = Journal::start(store.clone(), Clock::start());
    let reader = journal.reader();
    let base = u128::from(std::process::id()) << 64;
    let calls: Vec<CallId> =
        (0..arguments.calls).map(|call| CallId::from_u128(base + u128::from(call))).collect();
    let rounds = arguments.seconds * RATE;
    let talking = tokio::spawn(talk(reader.clone(), calls.clone(), rounds));
    let mut written = Figures::default();
    let mut questions = Questions::default();
    let redis = std::env::var("VOICE_TEST_REDIS").ok();
    let cluster = Cluster::new(store.clone(), Clock::start(), redis.as_deref());
    let cluster = cluster.ok().filter(|_| redis.is_some());
    while !talking.is_finished() {
        let began = Instant::now();
        reader.flush().await;
        written.add(began.elapsed());
        let call = calls[written.0.len() * 7 % calls.len()];
        questions.ask(store, call).await?;
        if let Some(cluster) = &cluster {
            questions.ask_cache(cluster, call).await?;
        }
    }
    let began = Instant::now();
    reader.flush().await;
    println!("    the last entry was committed {:.1} ms after it was made", millis(began.elapsed()));
    let mut complete = 0;
    for call in &calls {
        complete += usize::from(store.entries(*call).await?.len() == rounds as usize);
    }
    println!("    {complete} of {} calls are complete", calls.len());
    let mut met = complete == calls.len();
    met &= written.print("written (entry to commit)", WRITE_TARGET_MS);
    for (name, figures) in [
        ("read: a call", questions.call),
        ("read: a call by its carrier's name", questions.carrier_call),
        ("read: a page of 50 live calls", questions.page),
        ("read: what was said", questions.turns),
        ("read: 100 entries", questions.entries),
    ] {
        met &= figures.print(name, READ_TARGET_MS);
    }
    if cluster.is_some() {
        met &= questions.hit.print("holder of a call, from Redis", CACHE_TARGET_MS);
        met &= questions.miss.print("the same, not in Redis, written back", READ_TARGET_MS);
    }
    journal.close().await;
    Ok(met)
}

/// Every call says something every half second; they are spread evenly.
async fn talk(reader: JournalReader, calls: Vec<CallId>, rounds: u32) {
    let clock = Clock::start();
    let pause = Duration::from_secs(1) / RATE / SLICES;
    let mut ticks = tokio::time::interval(pause);
    for round in 0..rounds {
        for slice in 0..SLICES {
            ticks.tick().await;
            for (_, call) in (0..).zip(&calls).filter(|(at, _)| at % SLICES == slice) {
                let entry = Entry { seq: u64::from(round) + 1, at: clock.now(), event: event(*call, round) };
                reader.read(*call, &entry);
            }
        }
    }
}

fn event(call: CallId, round: u32) -> CallEvent {
    let attachment = AttachmentId(1);
    match round {
        0 => CallEvent::Started {
            carrier: CarrierId::from_static("twilio"),
            carrier_call: format!("CA{call}"),
            format: AudioFormat::MULAW_8K,
            from: "+15550100".into(),
            to: "+15550199".into(),
            correlation: CorrelationId::from_static("load"),
        },
        1 => CallEvent::Assigned { attachment, provider: ProviderId::from_static("openai") },
        2 => CallEvent::Live { attachment, gap: Duration::ZERO },
        _ if round.is_multiple_of(4) => CallEvent::CallerSaid {
            utterance: UtteranceId::from_u64(u64::from(round)),
            text: "I should like to know when my parcel will arrive, please.".into(),
        },
        _ if round % 4 == 1 => CallEvent::ReplyStarted {
            reply: ReplyId::from_u64(u64::from(round)),
            latency: Some(Duration::from_millis(640)),
        },
        _ if round % 4 == 2 => CallEvent::ReplyHeard {
            reply: ReplyId::from_u64(u64::from(round)),
            text: "It left our house this morning, and should be with you tomorrow before noon.".into(),
            heard: Duration::from_millis(4_200),
            unheard: Duration::ZERO,
            cut: false,
        },
        _ => CallEvent::CallerSpoke { utterance: UtteranceId::from_u64(u64::from(round)) },
    }
}

/// What took how long.
#[derive(Default)]
struct Figures(Vec<Duration>);

/// Each kind of question.
#[derive(Default)]
struct Questions {
    call: Figures,
    carrier_call: Figures,
    page: Figures,
    turns: Figures,
    entries: Figures,
    hit: Figures,
    miss: Figures,
}

impl Questions {
    async fn ask(&mut self, store: &Store, call: CallId) -> Result<(), StoreError> {
        self.call.time(store.call(call)).await?;
        self.carrier_call.time(store.call_of("twilio", &format!("CA{call}"))).await?;
        let live = CallFilter { state: Some(CallState::Live), ..CallFilter::default() };
        self.page.time(store.page(&live, None, 50)).await?;
        self.turns.time(store.turns(call)).await?;
        self.entries.time(store.entries_from(call, 0, 100)).await.map(drop)
    }

    async fn ask_cache(&mut self, cluster: &Cluster, call: CallId) -> Result<(), StoreError> {
        cluster.let_go(call).await;
        self.miss.time(cluster.holder(call)).await?;
        self.hit.time(cluster.holder(call)).await.map(drop)
    }
}

impl Figures {
    fn add(&mut self, took: Duration) {
        self.0.push(took);
    }

    async fn time<T>(
        &mut self,
        question: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let began = Instant::now();
        let answer = question.await;
        self.add(began.elapsed());
        answer
    }

    /// Answers whether the target was met.
    fn print(mut self, name: &str, target_ms: f64) -> bool {
        self.0.sort_unstable();
        let Some(last) = self.0.len().checked_sub(1) else {
            println!("    {name:<36} never measured");
            return false;
        };
        let at = |percent: usize| millis(self.0[last * percent / 100]);
        let met = at(99) < target_ms;
        println!(
            "    {name:<36} p50 {:>6.2} ms   p99 {:>6.2} ms   max {:>6.2} ms   of {:>5}   {} {target_ms} ms",
            at(50),
            at(99),
            at(100),
            self.0.len(),
            if met { "under" } else { "NOT UNDER" },
        );
        met
    }
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1_000.0
}
