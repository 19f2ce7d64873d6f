//! The shipped `mcp`: real servers from npm and `PyPI`, and one that does what it should not.

mod choosing;
mod real;
mod rogue;
mod starting;

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use integration_tests::{Server, ServerBuilder, mcp};
use serde_json::Value;

use crate::support::{eventually, plain};

/// The scripted model with all tools of these servers.
fn with_servers(servers: &str) -> ServerBuilder {
    plain(&format!(
        "[tools]\nshared = [\"mcp.*\"]\n\n[[plugins.load]]\nname = \"mcp\"\n{servers}"
    ))
}

/// The table of a server that is run by this program.
fn program(name: &str, command: &str, args: &[&str], more: &str) -> String {
    format!(
        "[plugins.load.config.servers.{name}]\ncommand = {command:?}\nargs = {args:?}\n{more}\n"
    )
}

/// The table of a server at this address.
fn remote(name: &str, address: SocketAddr, more: &str) -> String {
    format!("[plugins.load.config.servers.{name}]\nurl = \"http://{address}/mcp\"\n{more}\n")
}

/// The server from npm that has everything.
fn everything(more: &str) -> String {
    let script = mcp::everything().display().to_string();
    // Where node is, is nobody's business but the machine's.
    let more = format!("env = {{ PATH = {{ env = \"PATH\" }} }}\n{more}");
    program("all", "node", &[&script, "stdio"], &more)
}

/// The server that is made with the SDK for Python.
fn notes(more: &str) -> String {
    let script = mcp::sources().join("notes.py").display().to_string();
    program(
        "notes",
        &mcp::python().display().to_string(),
        &[&script],
        more,
    )
}

/// The server with this bad habit.
fn rogue(habit: &str, more: &str) -> String {
    let script = mcp::sources().join("rogue.py").display().to_string();
    program(
        "rogue",
        &mcp::python().display().to_string(),
        &[&script, habit],
        more,
    )
}

/// The result of a tool that the model calls.
#[track_caller]
fn called(server: &Server, call: &str) -> Value {
    let reply = server
        .run("plain", &format!("call {call}"))
        .send()
        .expect(200);
    let answer = reply.json();
    let text = answer["response"]["output"][0]["content"][0]["text"].as_str();
    let result = text.and_then(|it| it.strip_prefix("Tool said: "));
    let result = result.unwrap_or_else(|| panic!("no result of {call}: {answer}"));
    serde_json::from_str(result).expect("a result is JSON")
}

/// The message of a tool that fails.
#[track_caller]
fn refused(server: &Server, call: &str) -> String {
    let result = called(server, call);
    assert_eq!(result["type"], "tool_error", "{result}");
    result["message"].as_str().unwrap_or_default().to_owned()
}

/// The tools of an agent, as the list of agents shows them.
fn tools_of(server: &Server, agent: &str) -> Vec<Value> {
    let agents = server.get("/api/-/agents").send().expect(200).json();
    let agents = agents["agents"].as_array().cloned().unwrap_or_default();
    let agent = agents.into_iter().find(|it| it["name"] == agent);
    let agent = agent.expect("there is the agent");
    agent["tools"].as_array().cloned().unwrap_or_default()
}

fn names_of(tools: &[Value]) -> Vec<&str> {
    tools.iter().filter_map(|it| it["name"].as_str()).collect()
}

/// Whether there is such a process, and it has not ended.
fn is_running(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.trim()));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}

/// A server over HTTP that a test runs itself. Killed when it is dropped.
struct OverHttp {
    child: Child,
    address: SocketAddr,
}

// === impl OverHttp ===

impl OverHttp {
    /// Some port that nobody has.
    fn address() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        listener.local_addr().expect("it has an address")
    }

    fn everything(address: SocketAddr) -> Self {
        let mut command = Command::new("node");
        command
            .arg(mcp::everything())
            .arg("streamableHttp")
            .env("PORT", address.port().to_string());
        Self::run(command, address)
    }

    fn notes(address: SocketAddr) -> Self {
        let mut command = Command::new(mcp::python());
        command
            .arg(mcp::sources().join("notes.py"))
            .arg(address.port().to_string());
        Self::run(command, address)
    }

    /// Over TLS, with a certificate in this folder.
    fn notes_with_tls(address: SocketAddr, folder: &Path) -> Self {
        let names = ["127.0.0.1".to_owned()];
        let certified = rcgen::generate_simple_self_signed(names).expect("a certificate is made");
        let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        fs::write(&certificate, certified.cert.pem()).expect("there is room for a file");
        fs::write(&key, certified.signing_key.serialize_pem()).expect("there is room for a file");
        let mut command = Command::new(mcp::python());
        command
            .arg(mcp::sources().join("notes.py"))
            .arg(address.port().to_string())
            .args([certificate, key]);
        Self::run(command, address)
    }

    #[track_caller]
    fn run(mut command: Command, address: SocketAddr) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it can be run");
        let server = Self { child, address };
        eventually(|| TcpStream::connect(address).ok());
        server
    }
}

impl Drop for OverHttp {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
