//! What a connection may do to the server, over real sockets.

mod addresses;
mod cors;
mod http1;
mod http2;
mod many;
mod proxy;
mod slow;
mod tls;

use integration_tests::{Server, ServerBuilder};

use crate::support::SCRIPTED;

/// A server with the scripted model, its probe and these keys of `[server]`.
fn server(keys: &str) -> Server {
    builder(keys).start()
}

fn builder(keys: &str) -> ServerBuilder {
    let library = "library = \"scripted_model\"";
    let probed = SCRIPTED.replace(library, &format!("{library}\nconfig = {{ probe = true }}"));
    ServerBuilder::new(&format!("[server]\n{keys}\n{probed}"))
}

/// A POST of this body, as bytes.
fn post(path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

/// The statuses of the answers in what was read, in order.
fn statuses(text: &str) -> Vec<u16> {
    text.split("HTTP/1.1 ")
        .skip(1)
        .filter_map(|it| it.get(..3)?.parse().ok())
        .collect()
}
