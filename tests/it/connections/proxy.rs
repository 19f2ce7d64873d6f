//! Behind nginx, with the lines that docs/operating.md shows.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use integration_tests::{Request, workspace};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{eventually, kinds, plain};

/// nginx in front of a server. Stopped when it is dropped.
struct Nginx {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Nginx {
    #[track_caller]
    fn start(upstream: SocketAddr) -> Self {
        let folder = TempDir::new().expect("there is room for a folder");
        let free = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = free.local_addr().expect("it listens");
        drop(free);
        let file = folder.path().join("nginx.conf");
        let config = config(folder.path(), address, upstream);
        fs::write(&file, config).expect("there is room for a file");
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/bin/nginx"]
            .into_iter()
            .find(|it| Path::new(it).exists())
            .expect("there is nginx; `cargo xtask test` installs it");
        let child = Command::new(program)
            .args(["-e", "stderr", "-p"])
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .spawn()
            .expect("nginx can be run");
        let mut nginx = Self {
            child,
            address,
            _folder: folder,
        };
        nginx.wait_until_it_listens();
        nginx
    }

    #[track_caller]
    fn wait_until_it_listens(&mut self) {
        eventually(|| {
            let ended = self.child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "nginx has ended: {ended:?}");
            TcpStream::connect(self.address).ok()
        });
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // In order, so that its workers end as well. An error means that it has ended already.
        let pid = i32::try_from(self.child.id()).ok();
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

/// The lines of the page, on another port and without TLS, with what nginx needs around them.
#[track_caller]
fn config(folder: &Path, address: SocketAddr, upstream: SocketAddr) -> String {
    let page = fs::read_to_string(workspace().join("docs/operating.md")).expect("it is there");
    let lines = page
        .split("```nginx\n")
        .nth(1)
        .expect("the page has lines for nginx");
    let lines = lines.split("```").next().unwrap_or_default();
    for expected in [
        "server 127.0.0.1:3141;",
        "listen 443 ssl;",
        "ssl_certificate ",
    ] {
        assert!(lines.contains(expected), "the page has no {expected:?}");
    }
    let lines: Vec<_> = lines
        .lines()
        .filter(|it| !it.trim_start().starts_with("ssl_"))
        .collect();
    let lines = lines
        .join("\n")
        .replace("127.0.0.1:3141", &upstream.to_string())
        .replace("listen 443 ssl;", &format!("listen {address};"));
    let folder = folder.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|it| format!("{it}_temp_path {folder}/{it};"))
        .join("\n");
    format!(
        "daemon off;\nworker_processes 1;\npid {folder}/pid;\nerror_log stderr;\n\
         events {{ worker_connections 64; }}\nhttp {{\naccess_log off;\n{temporary}\n{lines}\n}}\n"
    )
}

#[test]
fn events_come_through_one_by_one() {
    let server = plain("").start();
    let nginx = Nginx::start(server.address());
    let run = Request::new(nginx.address, "POST", "/api/plain/run");
    let mut stream = run.json(&json!({ "input": "slow" })).open();
    assert_eq!(
        stream.header("x-run-id").map(|it| it.starts_with("run_")),
        Some(true)
    );

    stream.wait_for("TEXT_MESSAGE_CONTENT");
    // The run goes on for seconds: what was read came before its end.
    let abort = format!("/api/plain/runs/{}/abort", stream.run_id());
    let _ = server.post(&abort).send().expect(204);
    let frames = stream.finish();

    assert!(
        kinds(&frames).contains(&"RUN_ABORTED".to_owned()),
        "{frames:?}"
    );
}

#[test]
fn a_stream_is_resumed_where_it_was_cut() {
    let server = plain("[runs]\non_request_disconnect = \"continue\"").start();
    let nginx = Nginx::start(server.address());
    let run = Request::new(nginx.address, "POST", "/api/plain/run?ids=1");
    let mut stream = run.json(&json!({ "input": "slow" })).open();
    stream.wait_for("TEXT_MESSAGE_CONTENT");
    let last = stream.next_frame().expect("there is more").id;
    let last: u64 = last
        .and_then(|it| it.parse().ok())
        .expect("events are numbered");
    let run_id = stream.run_id();
    drop(stream);

    let path = format!("/api/plain/stream-events/resume?streamId={run_id}");
    let resumed = Request::new(nginx.address, "GET", &path)
        .header("last-event-id", &last.to_string())
        .open();
    let frames = resumed.finish();

    let numbers: Vec<u64> = frames
        .iter()
        .filter_map(|it| it.id.as_ref()?.parse().ok())
        .collect();
    let expected: Vec<_> = (last + 1..).take(numbers.len()).collect();
    assert_eq!(numbers, expected);
    assert_eq!(
        kinds(&frames).last().map(String::as_str),
        Some("RUN_FINISHED")
    );
}

#[test]
fn a_client_that_goes_is_heard_of_through_nginx() {
    let server = plain("").start();
    let nginx = Nginx::start(server.address());
    let run = Request::new(nginx.address, "POST", "/api/plain/run");
    let mut stream = run.json(&json!({ "input": "slow" })).open();
    stream.wait_for("TEXT_MESSAGE_CONTENT");
    let run_id = stream.run_id();
    drop(stream);

    let path = format!("/api/plain/stream-events/resume?streamId={run_id}");
    let frames = server.get(&path).open().finish();
    assert_eq!(
        kinds(&frames).last().map(String::as_str),
        Some("RUN_ABORTED")
    );
}
