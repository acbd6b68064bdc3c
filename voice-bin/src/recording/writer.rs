//! From the calls' tasks to the disk: a bounded queue, and one thread that writes.
//!
//! A file is `….wav.part` while it is written. Each second what came is written and the header set right, so
//! that a server that is killed leaves a file that lacks a second or two; [`recover`] gives such files their
//! name at the next start.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use metrics::counter;
use tokio::sync::mpsc::{OwnedPermit, Receiver, Sender, channel};
use tokio::time::Instant;
use tracing::{error, info, warn};
use voice_core::audio::{AudioFormat, FRAME};
use voice_core::driver::{Clock, RecordSink, RecordWriter, Written};
use voice_core::id::CallId;
use voice_core::recording::{Block, RecordingEnd, RecordingStart};

use super::wav::{self, HEADER_BYTES};
use crate::metrics_names as names;
use crate::telemetry::database::tell_recovery;
use crate::telemetry::event_types::RECORDING_FAILED;

/// Blocks that may wait: at 500 recorded calls more than a second, at ten more than a minute. Full of mu-law
/// they are 14 MB.
const QUEUE_MAX: usize = 32_768;

/// Blocks between two writes of a file; a second of sound.
const BLOCKS_PER_WRITE: u32 = 50;

/// How long a shutdown waits for what is queued.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a file is called until it is whole, behind its name.
const UNFINISHED: &str = "part";

/// Writes the recordings of all calls of a process into one directory.
#[derive(Debug)]
pub struct Recordings {
    sink: Sink,
    thread: JoinHandle<()>,
}

#[derive(Clone, Debug)]
struct Sink {
    queue: Sender<Job>,
    next: Arc<AtomicU64>,
    clock: Clock,
}

/// Which recording of this process.
type Number = u64;

#[derive(Debug)]
enum Job {
    Begin { number: Number, name: String, format: AudioFormat, broken: Arc<AtomicBool> },
    Block(Number, Block),
    End(Number, Option<Duration>),
    Close,
}

/// One recording, as its call sees it.
struct Tape {
    number: Number,
    queue: Sender<Job>,
    /// A place for the last word, kept from the beginning: it always gets through.
    end: Option<OwnedPermit<Job>>,
    broken: Arc<AtomicBool>,
}

impl Recordings {
    /// Starts the writer. The directory is made if it is not there, for this user alone.
    ///
    /// # Errors
    /// If there is no such directory and none can be made, or no thread can be started.
    pub fn start(dir: &Path, clock: Clock) -> io::Result<Self> {
        Self::with_queue(dir, clock, QUEUE_MAX)
    }

    /// For calls.
    pub fn sink(&self) -> Arc<dyn RecordSink> {
        Arc::new(self.sink.clone())
    }

    /// Writes what waits, and ends. What comes later is lost.
    pub async fn close(self) {
        let thread = self.thread;
        let closing = async {
            if self.sink.queue.send(Job::Close).await.is_ok() {
                // Joining a thread blocks, and the runtime must go on.
                let _ended = tokio::task::spawn_blocking(move || thread.join()).await;
            }
        };
        if tokio::time::timeout(CLOSE_TIMEOUT, closing).await.is_err() {
            error!(
                event_type = RECORDING_FAILED,
                error_type = "recording_failed",
                "recordings could not be written in time; their last seconds are lost"
            );
        }
    }

    fn with_queue(dir: &Path, clock: Clock, queue_max: usize) -> io::Result<Self> {
        make(dir)?;
        let (queue, jobs) = channel(queue_max);
        let writer = Writer { dir: dir.to_owned(), files: BTreeMap::new() };
        // A thread, because files block; one, because there is one disk.
        let thread = thread::Builder::new().name("recordings".to_owned()).spawn(|| writer.run(jobs))?;
        Ok(Self { sink: Sink { queue, next: Arc::default(), clock }, thread })
    }
}

impl RecordSink for Sink {
    fn begin(&self, call: CallId, start: &RecordingStart) -> Option<Box<dyn RecordWriter>> {
        let end = self.queue.clone().try_reserve_owned().ok()?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("{call}-{}.wav", self.clock.unix(start.at).0);
        let broken = Arc::new(AtomicBool::new(false));
        let begin = Job::Begin { number, name, format: start.format, broken: broken.clone() };
        self.queue.try_send(begin).ok()?;
        Some(Box::new(Tape { number, queue: self.queue.clone(), end: Some(end), broken }))
    }
}

impl RecordWriter for Tape {
    fn write(&mut self, block: Block) -> Written {
        if self.broken.load(Ordering::Relaxed) {
            return Written::Broken;
        }
        if self.queue.try_send(Job::Block(self.number, block)).is_ok() {
            return Written::Taken;
        }
        counter!(names::RECORDING_LOST).increment(1);
        if self.queue.is_closed() { Written::Broken } else { Written::NoRoom }
    }

    fn end(mut self: Box<Self>, _reason: RecordingEnd, length: Duration) {
        if let Some(end) = self.end.take() {
            end.send(Job::End(self.number, Some(length)));
        }
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end.send(Job::End(self.number, None));
        }
    }
}

struct Writer {
    dir: PathBuf,
    files: BTreeMap<Number, Wav>,
}

impl Writer {
    fn run(mut self, mut jobs: Receiver<Job>) {
        while let Some(job) = jobs.blocking_recv() {
            match job {
                Job::Begin { number, name, format, broken } => self.begin(number, &name, format, broken),
                Job::Block(number, block) => self.go_on(number, |wav| wav.block(&block)),
                Job::End(number, length) => self.end(number, length),
                Job::Close => break,
            }
        }
        for number in self.files.keys().copied().collect::<Vec<_>>() {
            self.end(number, None);
        }
    }

    fn begin(&mut self, number: Number, name: &str, format: AudioFormat, broken: Arc<AtomicBool>) {
        match Wav::create(&self.dir.join(name), format, broken.clone()) {
            Ok(wav) => {
                self.files.insert(number, wav);
            }
            Err(error) => give_up(&broken, &error),
        }
    }

    fn go_on(&mut self, number: Number, work: impl FnOnce(&mut Wav) -> io::Result<()>) {
        let Some(wav) = self.files.get_mut(&number) else { return };
        if let Err(error) = work(wav) {
            give_up(&wav.broken, &error);
            // What was written stays, to be recovered.
            self.files.remove(&number);
        }
    }

    fn end(&mut self, number: Number, length: Option<Duration>) {
        self.go_on(number, |wav| wav.finish(length));
        if self.files.remove(&number).is_some() {
            counter!(names::RECORDINGS, "outcome" => "written").increment(1);
        }
    }
}

fn give_up(broken: &AtomicBool, error: &io::Error) {
    broken.store(true, Ordering::Relaxed);
    counter!(names::RECORDINGS, "outcome" => "failed").increment(1);
    error!(event_type = RECORDING_FAILED, error_type = "recording_failed", %error, "a recording cannot be written; is the disk full?");
}

/// A file that is being written.
struct Wav {
    path: PathBuf,
    file: File,
    format: AudioFormat,
    /// Blocks in it, holes included.
    blocks: u32,
    unwritten: Vec<u8>,
    broken: Arc<AtomicBool>,
}

impl Wav {
    fn create(path: &Path, format: AudioFormat, broken: Arc<AtomicBool>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(unfinished(path))?;
        file.write_all(&wav::header(format, 0))?;
        Ok(Self { path: path.to_owned(), file, format, blocks: 0, unwritten: Vec::new(), broken })
    }

    fn block(&mut self, block: &Block) -> io::Result<()> {
        self.fill(block.at);
        wav::interleave(self.format, &block.caller, &block.voice, &mut self.unwritten);
        self.blocks += 1;
        if self.blocks.is_multiple_of(BLOCKS_PER_WRITE) { self.write() } else { Ok(()) }
    }

    fn finish(&mut self, length: Option<Duration>) -> io::Result<()> {
        if let Some(length) = length {
            self.fill(length);
        }
        self.write()?;
        fs::rename(unfinished(&self.path), &self.path)
    }

    /// What was lost on the way is silence.
    fn fill(&mut self, until: Duration) {
        let until = u32::try_from(until.as_micros() / FRAME.as_micros()).unwrap_or(u32::MAX);
        let missing = until.saturating_sub(self.blocks) as usize;
        let bytes = missing * self.format.frame_bytes() * 2;
        self.unwritten.resize(self.unwritten.len() + bytes, self.format.encoding.silence_byte());
        self.blocks = self.blocks.max(until);
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_all(&self.unwritten)?;
        self.unwritten.clear();
        let sound = u64::from(self.blocks) * self.format.frame_bytes() as u64 * 2;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&wav::header(self.format, sound))?;
        self.file.seek(SeekFrom::End(0)).map(|_| ())
    }
}

/// Gives files that a killed server left their names, with a header that says how long they are. How many.
///
/// # Errors
/// If the directory cannot be read. A file that cannot be saved is left as it is, and told in the log.
pub fn recover(dir: &Path) -> io::Result<usize> {
    let (mut saved, began) = (0, Instant::now());
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != UNFINISHED) {
            continue;
        }
        match mend(&path) {
            Ok(true) => saved += 1,
            Ok(false) => {}
            Err(error) => warn!(file = %path.display(), %error, "an unfinished recording cannot be saved"),
        }
    }
    tell_recovery("recordings", began);
    if saved > 0 {
        info!(saved, "recordings of a server that was killed are whole again, but for their last second");
    }
    Ok(saved)
}

/// False if it is no recording of ours.
fn mend(path: &Path) -> io::Result<bool> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut header = [0; HEADER_BYTES];
    file.read_exact(&mut header)?;
    let Some(format) = wav::format_of(&header) else { return Ok(false) };
    let sample = 2 * format.encoding.bytes_per_sample() as u64;
    let sound = file.metadata()?.len() - HEADER_BYTES as u64;
    let sound = sound - sound % sample;
    file.set_len(HEADER_BYTES as u64 + sound)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&wav::header(format, sound))?;
    fs::rename(path, path.with_extension(""))?;
    Ok(true)
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(UNFINISHED);
    name.into()
}

fn make(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

#[cfg(test)]
mod tests;
