//! Bodies by digest, each fetch taken up again where it broke off.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use meshguard_engine::bundle::FileEntry;
use meshguard_engine::{Digest, Refusal, Stage};
use meshguard_proto::v1;
use tokio::time::{sleep, timeout};

use crate::backoff::Backoff;
use crate::client::Gateway;
use crate::wire::{self, Failure};

/// Attempts without any progress before the update is left for the next stream.
const MAX_IDLE_ATTEMPTS: u32 = 4;

/// How long to wait for the next chunk.
const CHUNK_PATIENCE: Duration = Duration::from_secs(15);

/// Why a body isn't here.
#[derive(Debug)]
pub(crate) enum FetchError {
    /// The gateway has no such body, or another one.
    Refused(Refusal),
    /// It can't be reached at the moment.
    Unavailable(String),
}

/// Fetches one body and checks that it is the one asked for.
pub(crate) async fn fetch(
    gateway: &Gateway,
    tenant: &str,
    file: &FileEntry,
    backoff: &mut Backoff,
) -> Result<Bytes, FetchError> {
    let mut body = Body { file, bytes: BytesMut::new() };
    let mut idle = 0;
    loop {
        let had = body.bytes.len();
        match attempt(gateway, tenant, &mut body).await {
            Ok(()) => return body.finish(),
            Err(FetchError::Unavailable(why)) => {
                idle = if body.bytes.len() > had { 0 } else { idle + 1 };
                if idle >= MAX_IDLE_ATTEMPTS {
                    return Err(FetchError::Unavailable(why));
                }
                tracing::debug!(path = file.path, have = body.bytes.len(), why, "a fetch broke off and is resumed");
                sleep(backoff.next(None)).await;
            }
            Err(refused) => return Err(refused),
        }
    }
}

/// One call, from where the last one broke off. Returns when the body is whole.
async fn attempt(gateway: &Gateway, tenant: &str, body: &mut Body<'_>) -> Result<(), FetchError> {
    if body.is_whole() {
        return Ok(());
    }
    let request = v1::FetchRequest {
        tenant_id: tenant.to_owned(),
        digest: body.file.digest.as_bytes().to_vec(),
        offset: body.bytes.len() as u64,
    };
    let mut client = gateway.sync();
    let call = timeout(CHUNK_PATIENCE, client.fetch(request)).await;
    let mut chunks = call.map_err(|_| silent())?.map_err(|status| body.failed(&status))?.into_inner();
    while !body.is_whole() {
        let chunk = timeout(CHUNK_PATIENCE, chunks.message()).await.map_err(|_| silent())?;
        match chunk.map_err(|status| body.failed(&status))? {
            Some(chunk) => body.add(chunk)?,
            None => return Err(FetchError::Unavailable("the gateway ended the body early".into())),
        }
    }
    Ok(())
}

fn silent() -> FetchError {
    FetchError::Unavailable("the gateway stopped sending".into())
}

/// A body on its way in.
struct Body<'a> {
    file: &'a FileEntry,
    bytes: BytesMut,
}

impl Body<'_> {
    fn is_whole(&self) -> bool {
        self.bytes.len() as u64 == self.file.size
    }

    /// Never grows beyond what was signed.
    fn add(&mut self, chunk: v1::Chunk) -> Result<(), FetchError> {
        let end = self.bytes.len().saturating_add(chunk.data.len()) as u64;
        if Digest::from_slice(&chunk.digest) != Some(self.file.digest)
            || chunk.offset != self.bytes.len() as u64
            || chunk.total_size != self.file.size
            || end > self.file.size
        {
            return Err(self.refused("chunk", "the gateway sent another piece than the one asked for"));
        }
        if chunk.data.is_empty() {
            return Err(FetchError::Unavailable("the gateway sent an empty piece".into()));
        }
        self.bytes.extend_from_slice(&chunk.data);
        Ok(())
    }

    fn finish(self) -> Result<Bytes, FetchError> {
        let bytes = self.bytes.freeze();
        if Digest::of(&bytes) == self.file.digest {
            return Ok(bytes);
        }
        let detail = "the body fetched isn't what was signed";
        Err(FetchError::Refused(wire::refusal(Stage::Digest, "digest", Some(&self.file.path), detail)))
    }

    fn failed(&self, status: &tonic::Status) -> FetchError {
        match wire::failure(status) {
            Failure::Unimplemented => self.refused("missing", "the gateway doesn't send bodies by digest"),
            Failure::Other if status.code() == tonic::Code::NotFound => {
                self.refused("missing", "the gateway has no such body")
            }
            _ => FetchError::Unavailable(wire::words(status)),
        }
    }

    fn refused(&self, code: &str, detail: &str) -> FetchError {
        FetchError::Refused(wire::refusal(Stage::Digest, code, Some(&self.file.path), detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"package meshguard\n";

    fn file() -> FileEntry {
        FileEntry { path: "a.rego".into(), size: BODY.len() as u64, digest: Digest::of(BODY) }
    }

    fn chunk(offset: u64, data: &'static [u8]) -> v1::Chunk {
        v1::Chunk {
            digest: Digest::of(BODY).as_bytes().to_vec(),
            offset,
            total_size: BODY.len() as u64,
            data: Bytes::from_static(data),
        }
    }

    #[test]
    fn pieces_in_order_make_the_body() {
        let file = file();
        let mut body = Body { file: &file, bytes: BytesMut::new() };
        body.add(chunk(0, &BODY[..7])).unwrap();
        body.add(chunk(7, &BODY[7..])).unwrap();
        assert!(body.is_whole());
        assert_eq!(body.finish().unwrap(), BODY);
    }

    #[test]
    fn other_pieces_are_refused_and_nothing_grows_beyond_the_size() {
        let file = file();
        let fresh = || Body { file: &file, bytes: BytesMut::new() };
        let cases = [
            v1::Chunk { offset: 1, ..chunk(0, b"p") },
            v1::Chunk { total_size: 5, ..chunk(0, b"p") },
            v1::Chunk { digest: vec![0; 32], ..chunk(0, b"p") },
            chunk(0, b"package meshguard\n and more"),
        ];
        for piece in cases {
            let mut body = fresh();
            assert!(matches!(body.add(piece), Err(FetchError::Refused(_))));
            assert!(body.bytes.is_empty());
        }
        assert!(matches!(fresh().add(chunk(0, b"")), Err(FetchError::Unavailable(_))));
        let mut wrong = fresh();
        wrong.add(chunk(0, b"package meshguarD\n")).unwrap();
        assert!(matches!(wrong.finish(), Err(FetchError::Refused(_))));
    }
}
