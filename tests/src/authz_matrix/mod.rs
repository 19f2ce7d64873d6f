//! The authorization matrix: every route with every credential, written in every way, against a
//! real server. Who gets in is compared with an oracle that knows the documents alone.
//!
//! `cargo xtask authz-matrix` prints it, and a test runs it.

mod credentials;
mod mutations;
mod oracle;
mod sites;
mod wire;

use std::{collections::BTreeMap, fmt, thread};

use serde_json::json;

use self::{
    credentials::{AUDIENCE, Credential, Holder, ISSUER, SCOPE, SECRET, credentials, owner_token},
    mutations::{HEADERS, METHODS, MUTATIONS},
    oracle::{BASE, Expected, Owned, expected},
    sites::{Site, Twins, Waiting, approval_for, result_for, sites, twins},
    wire::{Answer, Connection, Wire},
};
use crate::{Request, Server, ServerBuilder, SseReader, tokens::TOKEN_SECRET};

/// How the secret and tokens go together on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One of them is enough; both come in `authorization`.
    Any,
    /// Both are asked for; the token comes in a header of its own.
    All,
}

/// What came of all cells.
#[derive(Debug, Default)]
pub struct Report {
    /// How many requests were sent.
    pub cells: usize,
    /// How many of them were answered with each status.
    pub statuses: BTreeMap<u16, usize>,
    /// How many answers were not what they must be.
    pub violation_count: usize,
    /// The first of them, in words.
    pub violations: Vec<String>,
}

/// A server with what is to be guarded.
struct Fixture {
    server: Server,
    mode: Mode,
    owned: Owned,
    waiting: Waiting,
    /// The streams of the runs that wait; kept, since hanging up would end them.
    tool_stream: SseReader,
    approval_stream: SseReader,
}

/// What stands in everything that belongs to the owner.
const MARKER: &str = "words-of-the-owner";

/// How many connections ask at once.
const THREADS: usize = 4;

/// Violations that are told; all are counted.
const TOLD: usize = 40;

/// Asks a server of this mode everything.
///
/// # Panics
/// When there is no server to ask, or it does not live to the end.
pub fn run(mode: Mode) -> Report {
    let fixture = Fixture::start(mode);
    let credentials = credentials(mode);
    let sites = sites(&fixture.owned);
    let mut report = Report::default();
    thread::scope(|scope| {
        let (fixture, credentials, sites) = (&fixture, &credentials, &sites);
        let workers: Vec<_> = (0..THREADS)
            .map(|number| {
                scope.spawn(move || {
                    let mut asker = Asker::new(fixture);
                    for site in sites.iter().skip(number).step_by(THREADS) {
                        asker.ask_everything(site, credentials);
                    }
                    asker.report
                })
            })
            .collect();
        for worker in workers {
            report.add(worker.join().expect("asking does not panic"));
        }
    });
    let mut asker = Asker::new(&fixture);
    for twins in twins(&fixture.owned, &fixture.waiting) {
        asker.ask_twins(&twins, &credentials);
    }
    report.add(asker.report);
    fixture.finish();
    report
}

// === impl Fixture ===

impl Fixture {
    fn start(mode: Mode) -> Self {
        let (auth, token) = match mode {
            Mode::Any => ("any", ""),
            Mode::All => ("all", "header = \"x-token\"\nscheme = \"\"\n"),
        };
        let config = format!(
            r#"
[server]
auth = "{auth}"
secret = "{SECRET}"
base_path = "{BASE}"

[runs]
client_tool_result_timeout = "1h"
tool_approval_timeout = "1h"

[[plugins.load]]
name = "jwt-auth"

[plugins.load.config]
{token}rules = [{{ scopes = ["{SCOPE}"] }}]

[[plugins.load.config.issuers]]
issuer = "{ISSUER}"
audience = ["{AUDIENCE}"]
tenant_claim = "org"
keys = [{{ algorithms = ["HS256"], secret = {{ env = "TOKEN_SECRET" }} }}]

[[plugins.load]]
name = "scripted"
library = "scripted_model"

[[plugins.load]]
name = "fixture"
library = "fixture_plugin"
config = {{ tools = true, endpoints = true, own = true }}

[tools]
endpoints = ["add"]

[agents.plain]
model = "scripted/fake-1"

[agents.interactive]
model = "scripted/fake-1"
tools = ["confirm", "wipe"]
"#
        );
        let server = ServerBuilder::new(&config)
            .variable("TOKEN_SECRET", TOKEN_SECRET)
            .variable("MORTISE_LOG", "warn")
            .start();
        let ask =
            |agent: &str, body| as_owner(&server, mode, &format!("{BASE}/{agent}/run")).json(&body);
        let ended = json!({ "input": MARKER, "conversationId": "mine" });
        let ended = ask("plain", ended).open();
        let run = ended.run_id();
        ended.finish();
        let job = ended_job(&server, mode);
        let waits = |call: &str| ask("interactive", json!({ "input": call })).open();
        let mut tool_stream = waits(r#"call confirm {"q":"sure?"}"#);
        tool_stream.wait_for("TOOL_CALL_END");
        let mut approval_stream = waits(r#"call wipe {"path":"/data/x"}"#);
        approval_stream.wait_for("TOOL_APPROVAL_REQUIRED");
        Self {
            owned: Owned {
                conversation: "mine".to_owned(),
                run,
                job,
            },
            waiting: Waiting {
                tool_run: tool_stream.run_id(),
                approval_run: approval_stream.run_id(),
            },
            server,
            mode,
            tool_stream,
            approval_stream,
        }
    }

    /// What waited for the owner still waits, and is the owner's to answer.
    fn finish(mut self) {
        let submit = |what: &str, body| {
            as_owner(&self.server, self.mode, &format!("{BASE}/plain/run/{what}"))
                .json(&body)
                .send()
        };
        let Waiting {
            tool_run,
            approval_run,
        } = &self.waiting;
        let _ = submit("tool-result", result_for(tool_run)).expect(204);
        let _ = submit("tool-approval", approval_for(approval_run)).expect(204);
        for stream in [self.tool_stream, self.approval_stream] {
            let last = stream.finish().pop().map(|it| it.kind());
            assert_eq!(last.as_deref(), Some("RUN_FINISHED"));
        }
        self.server.assert_alive();
    }
}

/// A job of the owner that has ended: cancelled before it began.
fn ended_job(server: &Server, mode: Mode) -> String {
    let body = json!({ "input": MARKER, "delay": 86_400_000 });
    let enqueue = as_owner(server, mode, &format!("{BASE}/-/agents/plain/jobs"));
    let job = enqueue.json(&body).send().expect(202);
    let id = job.json()["id"].as_str().unwrap_or_default().to_owned();
    let cancel = request_of_owner(server, mode, "DELETE", &format!("{BASE}/-/jobs/{id}"));
    let _ = cancel.send().expect(204);
    id
}

fn as_owner(server: &Server, mode: Mode, target: &str) -> Request {
    request_of_owner(server, mode, "POST", target)
}

fn request_of_owner(server: &Server, mode: Mode, method: &str, target: &str) -> Request {
    let request = server.anonymous(method, target);
    match mode {
        Mode::Any => request.bearer(&owner_token()),
        Mode::All => request.bearer(SECRET).header("x-token", &owner_token()),
    }
}

/// Somebody who asks one server, on one connection.
struct Asker<'f> {
    fixture: &'f Fixture,
    connection: Connection,
    report: Report,
}

/// How a request is written, whoever asks.
#[derive(Debug, Clone, Copy)]
struct Form<'f> {
    /// What was changed of the path.
    mutation: &'f str,
    method: &'f str,
    target: &'f str,
    version: &'f str,
    /// A header that must change nothing.
    header: Option<&'f str>,
    body: &'f str,
}

/// The answers that others of the same form must be like.
#[derive(Default)]
struct Alike {
    /// To whoever asks for what is not there, or open to everybody.
    everybody: Option<Answer>,
    /// To whoever presents a token that is not believed.
    bad_token: Option<Answer>,
}

// === impl Asker ===

impl<'f> Asker<'f> {
    fn new(fixture: &'f Fixture) -> Self {
        Self {
            fixture,
            connection: Connection::to(fixture.server.address()),
            report: Report::default(),
        }
    }

    /// Every path and every header with every credential; paths that are changed together with
    /// other methods with none, and with one that lets in.
    fn ask_everything(&mut self, site: &Site, credentials: &[Credential]) {
        let stranger = credentials.iter().find(|it| it.holder == Holder::Stranger);
        let few: Vec<_> = credentials
            .iter()
            .take(1)
            .chain(stranger)
            .cloned()
            .collect();
        let form = Form::of(site);
        for mutation in &MUTATIONS {
            let target = mutation.apply(&site.target);
            let form = Form {
                mutation: mutation.name,
                target: &target,
                ..form
            };
            self.ask_all(form, credentials);
            for method in METHODS {
                if method != site.method {
                    self.ask_all(Form { method, ..form }, &few);
                }
            }
        }
        for method in METHODS {
            if method != site.method {
                self.ask_all(Form { method, ..form }, credentials);
            }
        }
        for header in HEADERS {
            let header = Some(header);
            self.ask_all(Form { header, ..form }, credentials);
        }
        let version = "HTTP/1.0";
        self.ask_all(Form { version, ..form }, credentials);
    }

    /// Asks for the same with every credential.
    fn ask_all(&mut self, form: Form<'_>, credentials: &[Credential]) {
        let mut alike = Alike::default();
        for credential in credentials {
            let Some(answer) = self.ask(form, credential) else {
                continue;
            };
            if let Err(why) = self.judge(form, credential, &answer, &mut alike) {
                self.violation(form, credential, &why);
            }
        }
    }

    /// Compares what a stranger reads of an id that is there and of one that is not.
    fn ask_twins(&mut self, twins: &Twins, credentials: &[Credential]) {
        for credential in credentials.iter().filter(|it| it.holder != Holder::Owner) {
            let mut ask = |site: &Site| {
                let answer = self.ask(Form::of(site), credential);
                answer.map(|it| it.without_ids(site))
            };
            let (there, absent) = (ask(&twins.there), ask(&twins.absent));
            if there != absent {
                let why = format!("{there:?} and {absent:?} tell which one is there");
                self.told(format!("{}: {why}", credential.name));
            }
        }
    }

    fn ask(&mut self, form: Form<'_>, credential: &Credential) -> Option<Answer> {
        let headers = credential.headers.iter().map(String::as_str);
        let wire = Wire {
            method: form.method,
            target: form.target,
            version: form.version,
            headers: headers.chain(form.header).collect(),
            body: form.body,
        };
        self.report.cells += 1;
        match self.connection.exchange(&wire) {
            Ok(answer) => {
                *self.report.statuses.entry(answer.status).or_default() += 1;
                Some(answer)
            }
            Err(error) => {
                self.violation(form, credential, &format!("no answer: {error}"));
                None
            }
        }
    }

    fn judge(
        &self,
        form: Form<'_>,
        credential: &Credential,
        answer: &Answer,
        alike: &mut Alike,
    ) -> Result<(), String> {
        let expected = expected(
            form.method,
            form.target,
            credential.holder,
            credential.names_own,
            &self.fixture.owned,
        );
        let status = answer.status;
        let is_right = match expected {
            Expected::Status(right) => status == right,
            Expected::Open => status == 200,
            Expected::Nowhere => (400..500).contains(&status),
        };
        if !is_right {
            return Err(format!("{status} instead of {expected:?}"));
        }
        if credential.holder != Holder::Owner && answer.body.contains(MARKER) {
            return Err("what belongs to somebody else is shown".to_owned());
        }
        let like = match expected {
            Expected::Open | Expected::Nowhere => &mut alike.everybody,
            Expected::Status(401) if credential.is_bad_token => &mut alike.bad_token,
            Expected::Status(_) => return Ok(()),
        };
        let like = like.get_or_insert_with(|| answer.clone());
        if like == answer {
            Ok(())
        } else {
            Err(format!("{answer:?} where others get {like:?}"))
        }
    }

    fn violation(&mut self, form: Form<'_>, credential: &Credential, why: &str) {
        let Form {
            mutation,
            method,
            target,
            version,
            header,
            ..
        } = form;
        let name = &credential.name;
        let header = header.unwrap_or("no header");
        self.told(format!(
            "{method} {target:?} {version} (mutation: {mutation}; {header}) with {name}: {why}"
        ));
    }

    fn told(&mut self, violation: String) {
        self.report.violation_count += 1;
        if self.report.violations.len() < TOLD {
            self.report.violations.push(violation);
        }
    }
}

// === impl Form ===

impl<'f> Form<'f> {
    /// As it should be written.
    fn of(site: &'f Site) -> Self {
        Self {
            mutation: "none",
            method: site.method,
            target: &site.target,
            version: "HTTP/1.1",
            header: None,
            body: &site.body,
        }
    }
}

// === impl Answer ===

impl Answer {
    /// The answer, without the ids that the client has sent and reads again.
    fn without_ids(mut self, site: &Site) -> Self {
        let id = site.target.rsplit('=').next().unwrap_or_default();
        for (_, value) in &mut self.headers {
            *value = value.replace(id, "ID");
        }
        self
    }
}

// === impl Report ===

impl Report {
    /// Adds what another has found.
    fn add(&mut self, other: Self) {
        self.cells += other.cells;
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.violation_count += other.violation_count;
        let room = TOLD.saturating_sub(self.violations.len());
        self.violations
            .extend(other.violations.into_iter().take(room));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cells:", self.cells)?;
        for (status, count) in &self.statuses {
            write!(f, " {status} × {count}")?;
        }
        write!(f, "; {} violations", self.violation_count)?;
        for violation in &self.violations {
            write!(f, "\n  {violation}")?;
        }
        Ok(())
    }
}
