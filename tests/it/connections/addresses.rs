//! Several addresses of one server.

use std::net::TcpListener;

use integration_tests::{Request, ServerBuilder};

use crate::support::SCRIPTED;

const TWO: &str = r#"
[server]
secret = "s3cret"

[[server.listen]]
address = "127.0.0.1:0"

[[server.listen]]
address = "127.0.0.1:0"
mounts = ["ops"]

[[server.listen]]
address = "127.0.0.1:0"
mounts = []

[[plugins.load]]
name = "ops"
library = "ops_endpoints"
"#;

#[test]
fn an_address_serves_everything_or_some_mounts_or_probes_alone() {
    let server = ServerBuilder::new(&format!("{TWO}{SCRIPTED}")).start();
    let further = [(); 3].map(|()| server.next_address());
    let all = [server.address(), further[0], further[1], further[2]];
    for (path, expected) in [
        ("/livez", [200, 200, 200, 200]),
        ("/readyz", [200, 200, 200, 200]),
        ("/api/-/agents", [200, 200, 404, 404]),
        ("/api/plain/run", [405, 405, 404, 404]),
        ("/api/health", [200, 200, 200, 404]),
        ("/api/ops/x", [200, 200, 200, 404]),
    ] {
        let asked = all.map(|it| {
            Request::new(it, "GET", path)
                .bearer("s3cret")
                .send()
                .status()
        });
        assert_eq!(asked, expected, "{path}");
    }
    // The same secret holds everywhere.
    let anonymous = Request::new(further[1], "GET", "/api/ops/x").send();
    let _ = anonymous.expect(401);
}

#[test]
fn what_cannot_be_served_ends_the_start() {
    let refused = |listen: &str| {
        let config = format!("[[server.listen]]\n{listen}\n{SCRIPTED}");
        ServerBuilder::new(&config).fail()
    };
    let unknown = refused("address = \"127.0.0.1:0\"\nmounts = [\"ghost\"]");
    assert_eq!(unknown.status.code(), Some(2), "{unknown:#?}");
    assert!(unknown.log.contains("\"ghost\""), "{}", unknown.log);

    let open = refused("address = \"0.0.0.0:0\"");
    assert_eq!(open.status.code(), Some(2), "{open:#?}");
    assert!(open.log.contains("server.secret"), "{}", open.log);

    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = taken.local_addr().expect("it listens");
    let busy = refused(&format!("address = \"{address}\""));
    assert_eq!(busy.status.code(), Some(1), "{busy:#?}");
    assert!(
        busy.log.contains(&address.port().to_string()),
        "{}",
        busy.log
    );
}
