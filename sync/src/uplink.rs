//! Ships records: at least once, in order, as fast as the gateway acknowledges them.
//!
//! The journal knows what was acknowledged; everything here can be forgotten. After a broken stream or a restart, shipping
//! starts again from there, and the gateway drops what it has by `(chain, seq)`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use meshguard_engine::audit::{AuditBatch, ChainId};
use meshguard_engine::{Digest, Engine};
use meshguard_proto::v1;
use tokio::sync::mpsc::{self, Sender};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;

use crate::backoff::Backoff;
use crate::client::Gateway;
use crate::shared::Shared;
use crate::wire::{self, Failure};

/// The largest batch.
const MAX_RECORDS: usize = 1024;
const MAX_BYTES: usize = 1024 * 1024;
/// Batches under way at once.
const WINDOW: usize = 4;
/// How long to wait for an acknowledgement, or for the stream to open.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest pause that the gateway may impose.
const LONGEST_TOLD: Duration = Duration::from_secs(300);
/// How seldom to try a gateway that takes no records.
const UNIMPLEMENTED: Duration = Duration::from_secs(600);

/// Ships one engine's records.
pub(crate) struct Uplink {
    pub(crate) engine: Arc<Engine>,
    pub(crate) gateway: Gateway,
    pub(crate) shared: Arc<Shared>,
    pub(crate) backoff: Backoff,
    /// How long a record waits at most.
    pub(crate) interval: Duration,
}

/// Why shipping stopped for now.
#[derive(Debug)]
enum End {
    Lost(String),
    Failed(tonic::Status),
}

impl Uplink {
    /// Ships forever.
    pub(crate) async fn run(mut self) {
        loop {
            self.rest(self.interval).await;
            if self.engine.journal().progress().pending == 0 {
                continue;
            }
            let end = self.ship().await;
            self.shared.update(|facts| facts.audit_connected = false);
            let wait = match &end {
                End::Failed(status) if wire::failure(status) == Failure::Unimplemented => {
                    tracing::warn!("the gateway takes no records; they are kept here");
                    UNIMPLEMENTED
                }
                End::Failed(status) => {
                    tracing::debug!(status = wire::words(status), "the stream of records is over");
                    self.backoff.next(None)
                }
                End::Lost(why) => {
                    tracing::debug!(why, "the stream of records is over");
                    self.backoff.next(None)
                }
            };
            sleep(self.backoff.floor()).await;
            self.rest(wait).await;
        }
    }

    async fn rest(&self, time: Duration) {
        tokio::select! {
            () = sleep(time) => {}
            () = self.shared.ship_now.notified() => {}
        }
    }

    /// One stream of batches and acknowledgements.
    async fn ship(&mut self) -> End {
        let (sender, batches) = mpsc::channel(WINDOW);
        let mut flight = Flight::new(sender, self.engine.tenant().to_owned());
        // The first batches go into the call: a gateway may wait for one before it answers at all.
        if let Err(end) = self.fill(&mut flight, true).await {
            return end;
        }
        let mut client = self.gateway.sync();
        let call = timeout(PATIENCE, client.ingest_audit(ReceiverStream::new(batches))).await;
        let mut acks = match call {
            Ok(Ok(response)) => response.into_inner(),
            Ok(Err(status)) => return End::Failed(status),
            Err(_) => return End::Lost("the gateway didn't open a stream in time".into()),
        };
        self.shared.update(|facts| facts.audit_connected = true);
        let mut due = Instant::now() + self.interval;
        loop {
            let step = tokio::select! {
                ack = acks.message() => match ack {
                    Ok(Some(ack)) => self.acknowledged(&mut flight, ack).await,
                    Ok(None) => Err(End::Lost("the gateway closed the stream".into())),
                    Err(status) => Err(End::Failed(status)),
                },
                () = sleep_until(flight.deadline()), if !flight.is_empty() => {
                    Err(End::Lost("records weren't acknowledged in time".into()))
                }
                () = sleep_until(due) => {
                    due = Instant::now() + self.interval;
                    self.fill(&mut flight, true).await
                }
                () = self.shared.ship_now.notified() => self.fill(&mut flight, true).await,
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Sends what the window has room for; unless it is time, only full batches.
    async fn fill(&self, flight: &mut Flight, is_due: bool) -> Result<(), End> {
        while flight.has_room() {
            let waiting = self.engine.journal().progress().pending.saturating_sub(flight.records());
            if waiting == 0 || (!is_due && waiting < MAX_RECORDS as u64) {
                return Ok(());
            }
            let (engine, after) = (Arc::clone(&self.engine), flight.position);
            let batch = blocking(move || engine.journal().batch_from(after, MAX_RECORDS, MAX_BYTES)).await?;
            match batch {
                Ok(Some(batch)) => flight.send(batch)?,
                Ok(None) => return Ok(()),
                Err(error) => return Err(End::Lost(error.to_string())),
            }
        }
        Ok(())
    }

    async fn acknowledged(&mut self, flight: &mut Flight, ack: v1::AuditAck) -> Result<(), End> {
        if ack.backoff_ms > 0 {
            flight.hold(wire::told(ack.backoff_ms, LONGEST_TOLD));
        }
        if !ack.rejects.is_empty() {
            tracing::warn!(count = ack.rejects.len(), "the gateway can't take some records");
        }
        let Some(chain) = Digest::from_slice(&ack.chain_id) else { return Ok(()) };
        if let Some(next_seq) = ack.acked_through.and_then(|next_seq| flight.believe(chain, next_seq)) {
            let engine = Arc::clone(&self.engine);
            blocking(move || engine.journal().ack(chain, next_seq)).await?.map_err(|e| End::Lost(e.to_string()))?;
            // An acknowledgement of nothing new is no sign that it works.
            if flight.acknowledged(chain, next_seq) {
                self.backoff.reset();
            }
            self.shared.update(|_| ());
        }
        if let Some(seq) = ack.need_from {
            flight.rewind(chain, seq)?;
        }
        self.fill(flight, ack.need_from.is_some()).await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, End> {
    tokio::task::spawn_blocking(work).await.map_err(|error| End::Lost(format!("internal: {error}")))
}

// === impl Flight ===

/// What is under way on one stream.
struct Flight {
    sender: Sender<v1::AuditBatch>,
    tenant: String,
    sent: VecDeque<Sent>,
    /// Where the next batch starts; none: at the oldest record not acknowledged.
    position: Option<(ChainId, u64)>,
    /// What was ever sent on this stream, by chain.
    sent_ever: HashMap<ChainId, Extent>,
    /// What the gateway asked to be sent again, and hasn't acknowledged since.
    asked_again: Option<(ChainId, u64)>,
    held_until: Instant,
    heard: Instant,
    batches: u64,
}

struct Sent {
    chain: ChainId,
    first: u64,
    end: u64,
}

struct Extent {
    /// Every lower number is acknowledged.
    acked: u64,
    end: u64,
}

impl Flight {
    fn new(sender: Sender<v1::AuditBatch>, tenant: String) -> Self {
        let now = Instant::now();
        Self {
            sender,
            tenant,
            sent: VecDeque::new(),
            position: None,
            sent_ever: HashMap::new(),
            asked_again: None,
            held_until: now,
            heard: now,
            batches: 0,
        }
    }

    fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    fn has_room(&self) -> bool {
        self.sent.len() < WINDOW && Instant::now() >= self.held_until
    }

    /// Records under way.
    fn records(&self) -> u64 {
        self.sent.iter().map(|sent| sent.end - sent.first).sum()
    }

    /// When to give up on what is under way.
    fn deadline(&self) -> Instant {
        self.heard.max(self.held_until) + PATIENCE
    }

    fn send(&mut self, batch: AuditBatch) -> Result<(), End> {
        let (chain, first) = (batch.chain, batch.first_seq);
        let end = first + batch.records.len() as u64;
        self.batches += 1;
        let message = wire::audit_batch(batch, &self.tenant, self.batches.to_string());
        // The channel is as wide as the window; it is full only if the gateway acknowledges what it hasn't read.
        self.sender.try_send(message).map_err(|_| End::Lost("the stream takes no more batches".into()))?;
        if self.sent.is_empty() {
            self.heard = Instant::now();
        }
        self.position = Some((chain, end));
        let extent = self.sent_ever.entry(chain).or_insert(Extent { acked: first, end });
        extent.end = end.max(extent.end);
        self.sent.push_back(Sent { chain, first, end });
        Ok(())
    }

    /// As much of an acknowledgement as is about what this stream sent. The gateway may rightly know more, from earlier
    /// streams; trimmed is only what it was seen to be sent.
    fn believe(&self, chain: ChainId, next_seq: u64) -> Option<u64> {
        self.sent_ever.get(&chain).map(|extent| next_seq.min(extent.end))
    }

    /// Says whether that is more than was acknowledged before.
    fn acknowledged(&mut self, chain: ChainId, next_seq: u64) -> bool {
        self.sent.retain(|sent| sent.chain != chain || sent.end > next_seq);
        self.heard = Instant::now();
        if self.asked_again.is_some_and(|(asked, seq)| asked == chain && next_seq > seq) {
            self.asked_again = None;
        }
        let Some(extent) = self.sent_ever.get_mut(&chain) else { return false };
        let is_progress = next_seq > extent.acked;
        extent.acked = extent.acked.max(next_seq);
        is_progress
    }

    /// There is a gap at the gateway: everything from there again. Twice the same one means it can't be closed.
    fn rewind(&mut self, chain: ChainId, seq: u64) -> Result<(), End> {
        if self.asked_again.replace((chain, seq)) == Some((chain, seq)) {
            return Err(End::Lost(format!("the gateway asks for record {seq} again and again")));
        }
        self.sent.clear();
        self.position = Some((chain, seq));
        Ok(())
    }

    fn hold(&mut self, time: Duration) {
        self.held_until = Instant::now() + time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(first_seq: u64, count: usize) -> AuditBatch {
        AuditBatch { chain: Digest::of(b"chain"), first_seq, records: vec![b"{}".to_vec(); count] }
    }

    fn flight() -> (Flight, mpsc::Receiver<v1::AuditBatch>) {
        let (sender, receiver) = mpsc::channel(WINDOW);
        (Flight::new(sender, "acme".into()), receiver)
    }

    #[tokio::test(start_paused = true)]
    async fn the_window_is_four_batches() {
        let (mut flight, mut receiver) = flight();
        for at in 0..WINDOW as u64 {
            assert!(flight.has_room());
            flight.send(batch(at * 10, 10)).unwrap();
        }
        assert!(!flight.has_room());
        assert_eq!((flight.records(), flight.position), (40, Some((Digest::of(b"chain"), 40))));
        flight.acknowledged(Digest::of(b"chain"), 15);
        assert_eq!(flight.records(), 30, "half a batch is no batch");
        flight.acknowledged(Digest::of(b"other"), 99);
        assert_eq!(flight.records(), 30);
        assert!(flight.has_room());
        assert_eq!(receiver.try_recv().unwrap().first_seq, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_the_gateway_asks_for_is_kept() {
        let (mut flight, _receiver) = flight();
        flight.send(batch(0, 1)).unwrap();
        flight.hold(Duration::from_secs(60));
        assert!(!flight.has_room());
        assert_eq!(flight.deadline(), Instant::now() + Duration::from_secs(60) + PATIENCE);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(flight.has_room());
    }

    #[tokio::test(start_paused = true)]
    async fn a_gap_is_sent_again_once() {
        let (mut flight, _receiver) = flight();
        let chain = Digest::of(b"chain");
        flight.send(batch(5, 5)).unwrap();
        flight.rewind(chain, 2).unwrap();
        assert!(flight.is_empty());
        assert_eq!(flight.position, Some((chain, 2)));
        assert!(flight.rewind(chain, 2).is_err(), "a gap that can't be closed");
        flight.acknowledged(chain, 4);
        flight.rewind(chain, 2).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_new_is_progress() {
        let (mut flight, _receiver) = flight();
        let chain = Digest::of(b"chain");
        assert!(!flight.acknowledged(chain, 9), "nothing was sent");
        flight.send(batch(5, 10)).unwrap();
        let progress = [0, 5, 7, 7, 6, 15, 15].map(|next_seq| flight.acknowledged(chain, next_seq));
        assert_eq!(progress, [false, false, true, false, false, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_never_sent_is_not_acknowledged() {
        let (mut flight, _receiver) = flight();
        let chain = Digest::of(b"chain");
        flight.send(batch(0, 5)).unwrap();
        assert_eq!(flight.believe(chain, 4), Some(4));
        assert_eq!(flight.believe(chain, u64::MAX), Some(5));
        assert_eq!(flight.believe(Digest::of(b"other"), 1), None);
    }
}
