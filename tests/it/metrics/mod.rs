//! The metrics page, over HTTP and through real libraries.

mod counts;
mod page;
mod reported;

use std::net::SocketAddr;

use integration_tests::{MetricsPage, Server};

use crate::support::eventually;

/// A page at any free port.
const ADMIN: &str = "[admin]\nlisten = \"127.0.0.1:0\"\n";

/// A server that was started, and where its page is.
struct Watched {
    server: Server,
    admin: SocketAddr,
}

// === impl Watched ===

impl Watched {
    #[track_caller]
    fn of(server: Server) -> Self {
        let admin = server.next_address();
        Self { server, admin }
    }

    #[track_caller]
    fn page(&self) -> MetricsPage {
        MetricsPage::of(self.admin)
    }

    /// Waits until a series has a number: what is counted at the end of something comes after it.
    #[track_caller]
    fn wait_for(&self, name: &str, labels: &[(&str, &str)], value: f64) -> MetricsPage {
        eventually(|| Some(self.page()).filter(|page| page.get(name, labels) == Some(value)))
    }
}
