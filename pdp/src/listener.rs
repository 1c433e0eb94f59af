//! Connections: accepted, counted, bounded, and ended with grace.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::http;
use crate::metrics::Counted;
use crate::state::State;

/// How long to wait after the system refused to accept, e.g. for want of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// How often an idle HTTP/2 client is asked whether it lives, and how long it may take to say so.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// Bytes of HTTP/2's connection preface. Fewer than these don't say which protocol is spoken.
const PREFACE: usize = 24;

/// Bytes of a request's head.
const MAX_HEAD: usize = 64 * 1024;

/// What accepts connections.
pub(crate) struct Listener {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    state: Arc<State>,
    router: axum::Router,
    connections: Arc<Semaphore>,
}

impl Listener {
    pub(crate) fn new(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) -> Self {
        let router = http::router(&state);
        let connections = Arc::new(Semaphore::new(state.limits.connections));
        Self { listener, tls, state, router, connections }
    }

    /// Accepts until the server stops; then gives what is under way `drain` to end.
    pub(crate) async fn run(self, drain: Duration) {
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                () = self.state.stopped() => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => self.take(stream, graceful.watcher()),
                Err(error) => {
                    tracing::warn!(%error, "a connection can't be accepted");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
        drop(self.listener);
        if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
            tracing::warn!("some calls didn't end in time");
        }
    }

    /// Serves a connection on a task of its own: a slow handshake holds nobody up.
    fn take(&self, stream: TcpStream, watcher: Watcher) {
        let Ok(place) = Arc::clone(&self.connections).try_acquire_owned() else {
            self.state.metrics.connections_refused.add(1);
            return;
        };
        let (tls, router, state) = (self.tls.clone(), self.router.clone(), Arc::clone(&self.state));
        tokio::spawn(async move {
            let _place = place;
            let _counted = Counted::new(&state.metrics, |metrics| &metrics.connections);
            // Small answers shouldn't wait for more of them.
            let _ = stream.set_nodelay(true);
            match tls {
                None => serve(stream, router, &state, watcher).await,
                Some(tls) => match tokio::time::timeout(state.limits.patience, tls.accept(stream)).await {
                    Ok(Ok(stream)) => serve(stream, router, &state, watcher).await,
                    Ok(Err(error)) => tracing::debug!(%error, "a handshake failed"),
                    Err(_) => tracing::debug!("a handshake took too long"),
                },
            }
        });
    }
}

async fn serve<S>(stream: S, router: axum::Router, state: &State, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(state.limits.patience)
        .max_buf_size(MAX_HEAD)
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .max_concurrent_streams(state.limits.calls_per_connection)
        .max_header_list_size(16 * 1024)
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024);
    let received = Arc::new(AtomicUsize::new(0));
    let stream = Counting { stream, received: Arc::clone(&received) };
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let connection = watcher.watch(connection.into_owned());
    tokio::pin!(connection);
    // Until it is known which protocol is spoken, none of that protocol's own timeouts runs.
    let result = match tokio::time::timeout(state.limits.patience, &mut connection).await {
        Ok(result) => result,
        Err(_) if received.load(Ordering::Relaxed) < PREFACE => return,
        Err(_) => connection.await,
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection broke off");
    }
}

// === impl Counting ===

/// A connection that counts what it receives.
struct Counting<S> {
    stream: S,
    received: Arc<AtomicUsize>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counting<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buf);
        self.received.fetch_add(buf.filled().len() - before, Ordering::Relaxed);
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counting<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
