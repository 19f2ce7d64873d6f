//! Programs that speak MCP on their standard input and output.

use std::process::Stdio;
use std::time::Duration;

use rmcp::RoleClient;
use rmcp::transport::async_rw::AsyncRwTransport;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::config::Program;
use crate::connection::LONGEST_MESSAGE;
use crate::error::{ConnectError, shortened};
use crate::log;

pub(crate) type Transport = AsyncRwTransport<RoleClient, ChildStdout, ChildStdin>;

/// A program at work, with whatever it has started: they are one process group.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    group: Option<Pid>,
}

/// How long it may take to end once its input has ended, and again once it was told to. Together
/// they are less than the server waits for a plugin.
const GRACE: Duration = Duration::from_millis(500);

/// Runs the program; what it writes to its standard error goes to the log.
pub(crate) fn run(
    server: &str,
    program: &Program,
    tasks: &TaskTracker,
) -> Result<(Transport, Running), ConnectError> {
    let failed = |cause: String| ConnectError::Run {
        command: program.command.clone(),
        cause,
    };
    let mut command = Command::new(&program.command);
    command
        .args(&program.args)
        .env_clear()
        .envs(&program.env)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(folder) = &program.cwd {
        command.current_dir(folder);
    }
    let mut child = command
        .spawn()
        .map_err(|error| failed(shortened(&error.to_string())))?;
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(failed("it has no standard input and output".to_owned()));
    };
    if let Some(stderr) = child.stderr.take() {
        tasks.spawn(log::copy(server.to_owned(), stderr));
    }
    let transport = AsyncRwTransport::new_client(stdout, stdin);
    let transport = transport.with_max_line_length(LONGEST_MESSAGE);
    Ok((transport, Running { child, group }))
}

// === impl Running ===

impl Running {
    /// Ends the program, whose input has ended already, and says how it ended.
    pub(crate) async fn stop(mut self) -> Option<String> {
        for signal in [None, Some(Signal::TERM), Some(Signal::KILL)] {
            if let Some(signal) = signal {
                self.signal(signal);
            }
            if let Ok(Ok(status)) = timeout(GRACE, self.child.wait()).await {
                return Some(status.to_string());
            }
        }
        None
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // An error means that nobody of the group is left.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Whatever the program has started and left behind; itself, where nobody waited.
        self.signal(Signal::KILL);
    }
}
