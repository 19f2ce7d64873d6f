//! Connections byte by byte: what a well-behaved client would never send, or never read.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use rustix::net::{AddressFamily, SocketType, sockopt};

/// The longest silence on a connection. Only a server that hangs comes near it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection that sends and reads bytes.
#[derive(Debug)]
pub struct Raw(TcpStream);

// === impl Raw ===

impl Raw {
    /// A connection.
    ///
    /// # Panics
    /// When the server does not accept it.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        Self::from(TcpStream::connect(address).expect("the server accepts"))
    }

    /// A connection with hardly any room for what the server sends: about 1 KiB.
    ///
    /// # Panics
    /// When the server does not accept it.
    #[track_caller]
    pub fn connect_narrow(address: SocketAddr) -> Self {
        let family = AddressFamily::INET;
        let socket = rustix::net::socket(family, SocketType::STREAM, None);
        let socket = socket.expect("there is room for a socket");
        sockopt::set_socket_recv_buffer_size(&socket, 1).expect("the socket is ours");
        rustix::net::connect(&socket, &address).expect("the server accepts");
        Self::from(TcpStream::from(socket))
    }

    /// A connection that sends this.
    #[track_caller]
    pub fn sending(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Self {
        let mut raw = Self::connect(address);
        raw.send(bytes);
        raw
    }

    /// Sends bytes; what the server no longer takes is lost.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // A server that has closed says so to whoever reads.
        let _ = self.0.write_all(bytes.as_ref());
    }

    /// Sends the bytes one by one with a pause in between, until the server takes no more.
    /// Returns how many it took.
    pub fn drip(&mut self, bytes: &[u8], pause: Duration) -> usize {
        for (index, byte) in bytes.iter().enumerate() {
            if self.0.write_all(&[*byte]).is_err() {
                return index;
            }
            // Whoever is slow on purpose waits for time alone.
            std::thread::sleep(pause);
        }
        bytes.len()
    }

    /// Everything until the server closes.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        loop {
            let mut chunk = [0; 4096];
            match self.0.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => bytes.extend_from_slice(&chunk[..count]),
                // Closed while bytes from here were on their way.
                Err(error) if is_reset(&error) => break,
                Err(error) => panic!("the server has not closed: {error}"),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What comes until this text has come.
    ///
    /// # Panics
    /// When it does not come.
    #[track_caller]
    pub fn until(&mut self, text: &str) -> String {
        let mut bytes = Vec::new();
        while !String::from_utf8_lossy(&bytes).contains(text) {
            let mut chunk = [0; 4096];
            let count = self.0.read(&mut chunk).expect("the server answers");
            let so_far = String::from_utf8_lossy(&bytes);
            assert_ne!(count, 0, "closed before {text:?}: {so_far}");
            bytes.extend_from_slice(&chunk[..count]);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The socket itself.
    pub fn into_inner(self) -> TcpStream {
        self.0
    }
}

impl From<TcpStream> for Raw {
    fn from(stream: TcpStream) -> Self {
        let own = "the socket is ours";
        stream.set_read_timeout(Some(PATIENCE)).expect(own);
        stream.set_write_timeout(Some(PATIENCE)).expect(own);
        stream.set_nodelay(true).expect(own);
        Self(stream)
    }
}

fn is_reset(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}
