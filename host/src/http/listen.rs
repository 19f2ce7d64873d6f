//! Where the server listens.

use std::net::SocketAddr;

use tokio::net::TcpListener;

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    #[error("port {port} of {host} is in use by another program")]
    Busy { host: String, port: u16 },
    #[error("none of the ports {ports:?} of {host} is free")]
    AllBusy { host: String, ports: Vec<u16> },
    #[error("{host}:{port} is no address to listen on")]
    Refused {
        host: String,
        port: u16,
        #[source]
        source: std::io::Error,
    },
}

/// Listens on the port, or on the first free one of `ports` where there are any.
pub(crate) async fn bind(host: &str, port: u16, ports: &[u16]) -> Result<TcpListener, BindError> {
    if ports.is_empty() {
        return bind_one(host, port).await;
    }
    for &port in ports {
        match bind_one(host, port).await {
            Err(BindError::Busy { .. }) => {
                tracing::warn!(host, port, "the port is in use; trying the next");
            }
            bound_or_refused => return bound_or_refused,
        }
    }
    Err(BindError::AllBusy {
        host: host.to_owned(),
        ports: ports.to_vec(),
    })
}

/// Listens on exactly this address.
pub(crate) async fn bind_address(address: SocketAddr) -> Result<TcpListener, BindError> {
    bind_one(&address.ip().to_string(), address.port()).await
}

async fn bind_one(host: &str, port: u16) -> Result<TcpListener, BindError> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let name = bare.unwrap_or(host);
    TcpListener::bind((name, port)).await.map_err(|source| {
        let host = host.to_owned();
        if source.kind() == std::io::ErrorKind::AddrInUse {
            BindError::Busy { host, port }
        } else {
            BindError::Refused { host, port, source }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_busy_port_is_named() {
        let taken = bind("127.0.0.1", 0, &[]).await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = bind("127.0.0.1", port, &[]).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("port {port} of 127.0.0.1 is in use by another program")
        );
        let next = bind("[127.0.0.1]", 1, &[port, 0]).await.unwrap();
        assert_ne!(next.local_addr().unwrap().port(), port);
        let error = bind("127.0.0.1", 0, &[port, port]).await.unwrap_err();
        assert!(matches!(error, BindError::AllBusy { .. }));
    }

    #[tokio::test]
    async fn an_address_of_others_is_refused() {
        let error = bind("192.0.2.1", 0, &[]).await.unwrap_err();
        assert!(matches!(error, BindError::Refused { .. }));
    }
}
