//! Ports for servers of tests.

use std::net::TcpListener;

/// A port of this address that nobody listens on, nor on the one 10,000 above it, where some servers open another.
pub fn free_port(address: &str) -> u16 {
    loop {
        let port = TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port();
        if port < 55_000 && TcpListener::bind((address, port + 10_000)).is_ok() {
            return port;
        }
    }
}
