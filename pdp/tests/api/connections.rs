//! Connections that mean no good.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::common::{DEADLINE, World, until};

#[test]
fn who_says_nothing_is_sent_away() {
    let world = World::with(|config| config.limits.patience = Duration::from_millis(200));
    for said in
        [&b""[..], b"PRI * HTTP/2.0", b"GET / HTTP/1.1\r\nHost: x\r\n", b"POST /api/v1/pdp/evaluate HTTP/1.1\r\n"]
    {
        let mut stream = TcpStream::connect(world.server().addr()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(said).unwrap();
        // Closed by the server, with or without a word of HTTP.
        let mut answer = vec![];
        stream.read_to_end(&mut answer).unwrap();
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    }
}

#[test]
fn a_body_that_never_ends_is_given_up() {
    let world = World::with(|config| config.limits.patience = Duration::from_millis(200));
    let mut stream = TcpStream::connect(world.server().addr()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let token = world.token("acme", "agent-7");
    let head = format!(
        "POST /api/v1/pdp/evaluate HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 9\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 400");
}

#[test]
fn connections_are_bounded() {
    let world = World::with(|config| config.limits.connections = 1);
    let addr = world.server().addr();
    let mut held = TcpStream::connect(addr).unwrap();
    held.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    held.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let mut refused = TcpStream::connect(addr).unwrap();
    refused.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(refused.read(&mut [0; 1]).unwrap_or(0), 0);
    drop(held);
    until("there is room again", || {
        let mut next = TcpStream::connect(addr).unwrap();
        next.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").is_ok() && next.read(&mut [0; 1]).unwrap_or(0) == 1
    });
}

#[test]
fn an_idle_connection_is_closed() {
    let world = World::with(|config| config.limits.patience = Duration::from_millis(200));
    let mut stream = TcpStream::connect(world.server().addr()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: meshguard\r\n\r\n").unwrap();
    let mut answer = vec![];
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}
