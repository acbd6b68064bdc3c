//! Decisions, as questions and answers.
//!
//! # Why is a call a value and not a task?
//!
//! Because a value can be tried a million times before breakfast. The simulator plays ten thousand calls
//! with rude peers in seconds, on one thread, and a failing seed is a debugger session and not a story.
//! A task can only be tried as often as its clock allows.
//!
//! # Why does our ledger pace the audio, when carriers buffer it anyway?
//!
//! What was sent ahead is what a barge-in throws away, and what makes "heard" a guess. With a lead of
//! 300 ms the guess is wrong by at most that, and usually by the network's delay only. Marks that come
//! back correct it; they are not trusted alone, because field reports show them lost (a third) and late
//! (up to 13 s), and because carriers return the marks of audio that was cleared, too.
//!
//! # Why is the time to the ear taken as the least of the last few marks?
//!
//! A mark can only be late, never early. Of eight marks the quickest has seen the least queueing, so it
//! is nearest to the truth.
//!
//! # What are the words that a caller heard of a reply that was cut?
//!
//! Services send words ahead of their sound and do not say which belongs to which. So the words are
//! taken in proportion to the sound, down to a whole word; and while the reply is still being generated,
//! never more than twenty characters a second, which no voice speaks faster.
//!
//! # Why is answering a call the same as failing over?
//!
//! Both mean: nobody hears the caller, somebody must be found, what the caller says meanwhile is held
//! and given to them, and they are told the conversation so far (which may be empty). One path is tried
//! by every call there is. A planned switch differs in one thing: the one who talks goes on until the
//! other is ready and the caller pauses.
//!
//! # Why is the provider that failed asked again, if only as a last resort?
//!
//! A connection that was cut says little about the service behind it. If there is anybody else, they
//! take the call; if not, the same service gets another chance, unless that was the third failure within
//! seconds of going live, or one that only a human can mend (a refused key).
//!
//! # Why are received words of a dead provider still played?
//!
//! The caller should hear the end of the sentence. The transcript says that the turn was broken off, and
//! whoever takes over is asked to go on.
//!
//! # Why does a standby not hear the caller?
//!
//! Because it would answer. Every service decides by itself when a turn is over, and none can be told to
//! listen in silence; two voices in one ear are worse than a gap. It is told in words what was said, which
//! costs little and is what it would have made of the sound.
//!
//! # Why does a reply wait for the end of a prompt?
//!
//! A prompt is a second long, and half a word of it followed by another voice sounds like a fault. Whoever
//! answers so late has lost more time than that.
//!
//! # Why does a provider hear silence when the caller is muted?
//!
//! It judges turns by what it hears. Were it given nothing, half a sentence would stay open until the
//! caller is heard again, and the two halves would become one.
//!
//! # Why does a `Failure` say whose fault it is?
//!
//! A breaker that counts our own bad key as their outage hides the one and invents the other. Blame is
//! decided in one table, [`crate::failure::Failure::judge`], and nowhere else.
//!
//! # Why are there no callbacks?
//!
//! A callback is an event that has forgotten who owns it. Everything a call tells is an
//! [`crate::record::Entry`]; whoever wants to know implements [`crate::record::Reader`].
//!
//! # Why is one task per call enough?
//!
//! A call has two or three sockets and a timer, and needs a few microseconds for a frame. Tasks and
//! channels between them would cost more than the work, and would need an answer to the question of what
//! happens when a channel is full. Here the answer is in one place: `Line::offer` never waits, and a
//! peer that lets too much pile up has lost its line.
