//! A provider of models that answers from a script, as OpenAI, Anthropic, Gemini and Ollama write
//! on the wire: in pieces of any size, late, broken off, or not at all.
//!
//! It remembers what it was asked, and when the other side closed the connection.

mod answer;
mod anthropic;
mod gemini;
mod ollama;
mod openai;
mod said;
mod serve;

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use serde_json::Value;

pub use answer::{Answer, End, Split};
pub use said::{Said, Usage};

use crate::Stopwatch;

/// How long something is waited for that has to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A provider that listens. Its threads end with the process.
#[derive(Debug)]
pub struct Provider {
    address: SocketAddr,
    state: Arc<State>,
}

/// A way of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Chat completions.
    OpenAI,
    /// Messages.
    Anthropic,
    /// `streamGenerateContent`.
    Gemini,
    /// `/api/chat`.
    Ollama,
}

/// What it was asked.
#[derive(Debug, Clone)]
pub struct Call {
    /// The path and the query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Value,
    /// When the other side closed the connection, before the answer was over.
    closed: Option<Duration>,
}

#[derive(Debug)]
struct State {
    clock: Stopwatch,
    /// Given one after the other; the last one again and again.
    answers: Mutex<Vec<Answer>>,
    calls: Mutex<Vec<Call>>,
    changed: Condvar,
}

// === impl Wire ===

impl Wire {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::OpenAI, Self::Anthropic, Self::Gemini, Self::Ollama];

    /// The name of its provider.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAI => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
        }
    }

    /// A stream in which this is said, whole.
    pub fn write(self, said: &[Said]) -> String {
        match self {
            Self::OpenAI => openai::write(said),
            Self::Anthropic => anthropic::write(said),
            Self::Gemini => gemini::write(said),
            Self::Ollama => ollama::write(said),
        }
    }

    /// The content type of a stream.
    fn content_type(self) -> &'static str {
        match self {
            Self::Ollama => "application/x-ndjson",
            _ => "text/event-stream",
        }
    }

    fn of(target: &str) -> Option<Self> {
        if target.ends_with("/chat/completions") {
            Some(Self::OpenAI)
        } else if target.ends_with("/messages") {
            Some(Self::Anthropic)
        } else if target.contains(":streamGenerateContent?alt=sse") {
            Some(Self::Gemini)
        } else if target.ends_with("/api/chat") {
            Some(Self::Ollama)
        } else {
            None
        }
    }
}

// === impl Provider ===

impl Provider {
    /// One that gives these answers, one after the other, and the last one again and again.
    ///
    /// # Panics
    /// When there is no port, or no answer.
    pub fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let answers: Vec<_> = answers.into_iter().collect();
        assert!(!answers.is_empty(), "a provider has an answer");
        let state = Arc::new(State {
            clock: Stopwatch::start(),
            answers: Mutex::new(answers),
            calls: Mutex::default(),
            changed: Condvar::new(),
        });
        let served = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&served);
                // An error is a peer that has gone, which is noted where it matters.
                thread::spawn(move || serve::connection(&stream, &state));
            }
        });
        Self { address, state }
    }

    /// One that always says this.
    pub fn saying(said: impl IntoIterator<Item = Said>) -> Self {
        Self::start([Answer::saying(said)])
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as it is configured for this wire.
    pub fn url(&self, wire: Wire) -> String {
        let path = match wire {
            Wire::OpenAI => "/v1",
            Wire::Anthropic | Wire::Gemini | Wire::Ollama => "",
        };
        format!("http://{}{path}", self.address)
    }

    /// The entry of the plugin `llm` with this provider under all four names.
    pub fn plugin(&self, more: &str) -> String {
        use std::fmt::Write as _;
        let mut entry =
            format!("[[plugins.load]]\nname = \"llm\"\n[plugins.load.config]\n{more}\n");
        for wire in Wire::ALL {
            // Writing to a string cannot fail.
            let _ = write!(
                entry,
                "[plugins.load.config.providers.{}]\nurl = \"{}\"\nkey = \"a-secret-key\"\n",
                wire.name(),
                self.url(wire)
            );
        }
        entry
    }

    /// The answers from now on.
    pub fn answer_with(&self, answers: impl IntoIterator<Item = Answer>) {
        *locked(&self.state.answers) = answers.into_iter().collect();
    }

    /// What it was asked until now.
    pub fn calls(&self) -> Vec<Call> {
        locked(&self.state.calls).clone()
    }

    /// The time by which closings are told.
    pub fn now(&self) -> Duration {
        self.state.clock.elapsed()
    }

    /// Waits until it was asked so many times.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn wait_for_calls(&self, count: usize) -> Vec<Call> {
        self.wait_until(|calls| (calls.len() >= count).then(|| calls.to_vec()))
            .unwrap_or_else(|| panic!("it was not asked {count} times"))
    }

    /// Waits until the connection of a call was closed by the other side, and says when.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn wait_for_close(&self, call: usize) -> Duration {
        self.wait_until(|calls| calls.get(call)?.closed)
            .unwrap_or_else(|| panic!("the connection of call {call} was not closed"))
    }

    fn wait_until<T>(&self, found: impl Fn(&[Call]) -> Option<T>) -> Option<T> {
        let stopwatch = Stopwatch::start();
        let mut calls = locked(&self.state.calls);
        loop {
            if let Some(found) = found(&calls) {
                return Some(found);
            }
            let left = PATIENCE.checked_sub(stopwatch.elapsed())?;
            let waited = self.state.changed.wait_timeout(calls, left);
            calls = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

// === impl Call ===

impl Call {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }
}

// === impl State ===

impl State {
    /// Notes a call; its number and the answer to it.
    fn begin(&self, call: Call) -> (usize, Answer) {
        let mut answers = locked(&self.answers);
        let answer = if answers.len() > 1 {
            answers.remove(0)
        } else {
            answers[0].clone()
        };
        let mut calls = locked(&self.calls);
        calls.push(call);
        self.changed.notify_all();
        (calls.len() - 1, answer)
    }

    fn closed(&self, call: usize) {
        locked(&self.calls)[call].closed = Some(self.clock.elapsed());
        self.changed.notify_all();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
