//! The server under test: the real binary, in a folder of its own, on a port of its own.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, mpsc},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{Request, SseReader, Stopwatch, binary, plugin_dir};

/// How long a server may take to start or to end on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a process is asked whether it has ended.
const PAUSE: Duration = Duration::from_millis(10);

/// A server that has not been started yet.
#[derive(Debug)]
#[must_use = "a server is started by `start` or `fail`"]
pub struct ServerBuilder {
    folder: TempDir,
    config: String,
    binary: PathBuf,
    has_file: bool,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    /// Its standard error; a file in its folder without it.
    log: Option<File>,
}

/// A server that answers. Killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    further: Mutex<mpsc::Receiver<SocketAddr>>,
    /// How it was started; taken when it is started again.
    builder: Option<ServerBuilder>,
    token: Option<String>,
}

/// A server that has ended.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard error.
    pub log: String,
}

// === impl Ended ===

impl Ended {
    /// What it said to people, in one line: long lines are broken, and what follows is indented.
    pub fn report(&self) -> String {
        let lines = self.log.lines().filter(|line| !line.starts_with('{'));
        let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
        words.join(" ").replace(" │ ", " ")
    }
}

// === impl ServerBuilder ===

impl ServerBuilder {
    /// The server with this configuration. `port` and `plugins.dir` are filled in by variables.
    ///
    /// # Panics
    /// When there is no room for its files.
    pub fn new(config: &str) -> Self {
        Self {
            folder: tempfile::Builder::new()
                .prefix("mortise-test-")
                .tempdir()
                .expect("there is room for a folder"),
            config: config.to_owned(),
            binary: binary(),
            has_file: true,
            arguments: Vec::new(),
            variables: vec![
                ("MORTISE__SERVER__PORT".into(), "0".into()),
                (
                    "MORTISE__PLUGINS__DIR".into(),
                    plugin_dir().display().to_string(),
                ),
            ],
            log: None,
        }
    }

    /// The folder of the configuration file.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Another configuration in the same folder.
    pub fn config(mut self, config: &str) -> Self {
        config.clone_into(&mut self.config);
        self
    }

    /// Another binary than the one of this profile.
    pub fn binary(mut self, binary: PathBuf) -> Self {
        self.binary = binary;
        self
    }

    /// Adds an argument behind `serve --config FILE`.
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Has it write its log there, where the test sees to what becomes of it.
    pub fn log_to(mut self, log: impl Into<OwnedFd>) -> Self {
        self.log = Some(File::from(log.into()));
        self
    }

    /// Sets an environment variable.
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.retain(|(own, _)| own != name);
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Starts it without `--config`, in a folder without a configuration.
    pub fn without_file(mut self) -> Self {
        self.has_file = false;
        self
    }

    /// Leaves the port to the configuration.
    pub fn without_port(mut self) -> Self {
        self.variables
            .retain(|(name, _)| name != "MORTISE__SERVER__PORT");
        self
    }

    /// Starts it and waits until it listens.
    ///
    /// # Panics
    /// When it does not; with its log.
    #[track_caller]
    pub fn start(mut self) -> Server {
        let mut child = self.spawn();
        let addresses = addresses(&mut child);
        let Some(address) = addresses.recv_timeout(PATIENCE).ok() else {
            let ended = ended(&mut child, self.folder.path(), PATIENCE);
            panic!("the server did not start: {ended:#?}");
        };
        Server {
            child,
            address,
            further: Mutex::new(addresses),
            builder: Some(self),
            token: None,
        }
    }

    /// Starts it and waits until it has given up.
    ///
    /// # Panics
    /// When it starts after all.
    #[track_caller]
    pub fn fail(mut self) -> Ended {
        let mut child = self.spawn();
        if let Ok(address) = addresses(&mut child).recv_timeout(PATIENCE) {
            let _ = child.kill();
            panic!("the server has started at {address}");
        }
        ended(&mut child, self.folder.path(), PATIENCE)
    }

    #[track_caller]
    fn spawn(&mut self) -> Child {
        let log = self.log.take().unwrap_or_else(|| {
            File::create(log_file(self.folder.path())).expect("there is room for a file")
        });
        let mut command = Command::new(&self.binary);
        command.arg("serve");
        if self.has_file {
            let config = self.folder.path().join("config.toml");
            fs::write(&config, &self.config).expect("there is room for a file");
            command.arg("--config").arg(config);
        }
        command
            .args(&self.arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        clear_variables(&mut command);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.spawn().expect("the server can be run")
    }
}

/// Variables of the developer's shell would change what is tested.
fn clear_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MORTISE") {
            command.env_remove(name);
        }
    }
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("stderr.log")
}

/// The addresses from the lines that a started server writes; none if it ends instead.
fn addresses(child: &mut Child) -> mpsc::Receiver<SocketAddr> {
    let output = child.stdout.take().expect("standard output is a pipe");
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // To the end, which keeps the pipe empty for as long as the server writes.
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let url = line.split_once(" on http").map(|(_, url)| url);
            let address = url.map(|it| it.trim_start_matches('s').trim_start_matches("://"));
            let address = address.map(|it| it.trim_end_matches("/metrics"));
            if let Some(address) = address.and_then(|it| it.parse().ok()) {
                let _ = sender.send(address);
            }
        }
    });
    receiver
}

/// Waits for the end of a process; kills it where it takes longer.
#[track_caller]
fn ended(child: &mut Child, folder: &Path, patience: Duration) -> Ended {
    let started = Stopwatch::start();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break status;
        }
        if started.elapsed() > patience {
            let _ = child.kill();
            let _ = child.wait();
            let log = fs::read_to_string(log_file(folder)).unwrap_or_default();
            panic!("the server has not ended within {patience:?}: {log}");
        }
        thread::sleep(PAUSE);
    };
    Ended {
        status,
        log: fs::read_to_string(log_file(folder)).unwrap_or_default(),
    }
}

// === impl Server ===

impl Server {
    /// The same server; requests carry this token unless they say otherwise.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next of the further addresses, in the order of the configuration; that of the metrics page
    /// is the last one.
    ///
    /// # Panics
    /// When there are no more.
    #[track_caller]
    pub fn next_address(&self) -> SocketAddr {
        let further = self.further.lock().expect("nobody panics with it");
        further
            .recv_timeout(PATIENCE)
            .expect("there is a further address")
    }

    /// The folder of its configuration file.
    ///
    /// # Panics
    /// Never: a server has one as long as it is there.
    pub fn folder(&self) -> &Path {
        let builder = self.builder.as_ref();
        builder.expect("it was started").folder()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard error.
    pub fn log(&self) -> String {
        fs::read_to_string(log_file(self.folder())).unwrap_or_default()
    }

    /// Kills it without a word, and starts it again in the same folder.
    ///
    /// # Panics
    /// When it does not start again.
    #[track_caller]
    #[must_use]
    pub fn crash_and_restart(mut self) -> Server {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.again()
    }

    /// Ends it in order, and starts it again in the same folder.
    ///
    /// # Panics
    /// When it does not end, or does not start again.
    #[track_caller]
    #[must_use]
    pub fn restart(mut self) -> Server {
        let token = self.token.take();
        let mut server = self.stop().start();
        server.token = token;
        server
    }

    /// Ends it in order. Its folder is there as long as what is returned.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn stop(mut self) -> ServerBuilder {
        self.signal(Signal::TERM);
        let folder = self.folder().to_owned();
        let ended = ended(&mut self.child, &folder, PATIENCE);
        assert!(ended.status.success(), "{ended:#?}");
        self.builder.take().expect("it was started")
    }

    #[track_caller]
    fn again(mut self) -> Server {
        let builder = self.builder.take().expect("it was started");
        let token = self.token.take();
        let mut server = builder.start();
        server.token = token;
        server
    }

    /// Waits until its log holds a text, and returns the log.
    ///
    /// # Panics
    /// When it does not come.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) -> String {
        let started = Stopwatch::start();
        loop {
            let log = self.log();
            if log.contains(text) {
                return log;
            }
            assert!(
                started.elapsed() < PATIENCE / 2,
                "no {text:?} in the log of the server: {log}"
            );
            thread::sleep(PAUSE);
        }
    }

    /// A request with the token.
    pub fn request(&self, method: &str, target: &str) -> Request {
        let request = self.anonymous(method, target);
        match &self.token {
            Some(token) => request.bearer(token),
            None => request,
        }
    }

    /// A request without the token.
    pub fn anonymous(&self, method: &str, target: &str) -> Request {
        Request::new(self.address, method, target)
    }

    /// A GET with the token.
    pub fn get(&self, target: &str) -> Request {
        self.request("GET", target)
    }

    /// A POST with the token.
    pub fn post(&self, target: &str) -> Request {
        self.request("POST", target)
    }

    /// A run of `/api/AGENT/run` with this prompt, to be sent as JSON.
    pub fn run(&self, agent: &str, prompt: &str) -> Request {
        self.post(&format!("/api/{agent}/run"))
            .json(&serde_json::json!({ "input": prompt }))
    }

    /// A streamed run with this prompt.
    #[track_caller]
    pub fn stream(&self, agent: &str, prompt: &str) -> SseReader {
        self.run(agent, prompt).open()
    }

    /// Whether the process runs and answers.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn assert_alive(&mut self) {
        let ended = self.child.try_wait().expect("a child can be waited for");
        assert!(ended.is_none(), "the server has ended: {}", self.log());
        let _ = self.anonymous("GET", "/livez").send().expect(200);
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the process is gone.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a child has a pid"), signal).expect("the server runs");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it takes longer than `patience`.
    #[track_caller]
    pub fn wait(mut self, patience: Duration) -> Ended {
        let folder = self.folder().to_owned();
        ended(&mut self.child, &folder, patience)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() && self.builder.is_some() {
            report(&self.log());
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "a failed test shows what the server said"
)]
fn report(log: &str) {
    eprintln!("--- log of the server ---\n{log}");
}
