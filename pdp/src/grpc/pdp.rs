//! `MeshGuardPDP`: asking, and being kept current.

use std::sync::Arc;

use meshguard_proto::v1;
use meshguard_proto::v1::mesh_guard_pdp_server::MeshGuardPdp;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::{agent, caller};
use crate::evaluate::{Caller, evaluate};
use crate::failure::Failure;
use crate::feed;
use crate::limits::Open;
use crate::state::State;
use crate::wire;

pub(super) struct Pdp(pub(super) Arc<State>);

type Answer = Result<v1::PolicyResponse, Status>;

#[async_trait]
impl MeshGuardPdp for Pdp {
    async fn evaluate(&self, request: Request<v1::PolicyRequest>) -> Result<Response<v1::PolicyResponse>, Status> {
        let caller = caller(&self.0, request.metadata())?;
        let request = wire::request(request.into_inner())?;
        Ok(Response::new(evaluate(&self.0, &caller, request).await?))
    }

    type EvaluateStreamStream = ReceiverStream<Answer>;

    async fn evaluate_stream(
        &self,
        requests: Request<Streaming<v1::PolicyRequest>>,
    ) -> Result<Response<Self::EvaluateStreamStream>, Status> {
        let caller = caller(&self.0, requests.metadata())?;
        let open = self.0.streams.open(caller.identity.tenant())?;
        let (answers, receiver) = mpsc::channel(self.0.limits.evaluations_per_stream.max(1));
        let stream = EvaluateStream { state: Arc::clone(&self.0), caller, answers };
        tokio::spawn(stream.run(requests.into_inner(), open));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    type SubscribeStream = ReceiverStream<Result<v1::PolicyChangeEvent, Status>>;

    async fn subscribe(
        &self,
        request: Request<v1::PolicySubscription>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let identity = agent(&self.0, request.metadata())?;
        let events = feed::subscribe(&self.0, &identity, request.into_inner()).await?;
        Ok(Response::new(ReceiverStream::new(events)))
    }
}

// === impl EvaluateStream ===

/// One stream of requests. So many are decided at once; the next one isn't read before one of them is answered.
struct EvaluateStream {
    state: Arc<State>,
    caller: Caller,
    answers: mpsc::Sender<Answer>,
}

impl EvaluateStream {
    async fn run(self, mut requests: Streaming<v1::PolicyRequest>, _open: Open) {
        let this = Arc::new(self);
        let turns = Arc::new(Semaphore::new(this.state.limits.evaluations_per_stream.max(1)));
        let ended = loop {
            let Ok(turn) = Arc::clone(&turns).acquire_owned().await else { break None };
            let message = tokio::select! {
                message = requests.message() => message,
                () = this.answers.closed() => break None,
                () = this.state.stopped() => {
                    break Some(Failure::unavailable("stopping", "the server is stopping").into());
                }
            };
            let request = match message {
                Ok(Some(request)) => request,
                Ok(None) => break None,
                Err(status) => break Some(status),
            };
            if let Err(expired) = this.state.auth.still(&this.caller.identity) {
                break Some(expired.into());
            }
            if request.request_id.is_empty() {
                break Some(Failure::bad_input("`request_id` must be named: it says which answer is whose").into());
            }
            let this = Arc::clone(&this);
            tokio::spawn(async move {
                let _turn = turn;
                let answer = this.answer(request).await;
                // Nobody reads it any more: then nobody acts on it.
                let _ = this.answers.send(Ok(answer)).await;
            });
        };
        if let Some(status) = ended {
            let _ = this.answers.send(Err(status)).await;
        }
    }

    /// One bad request doesn't end the stream of the others.
    async fn answer(&self, message: v1::PolicyRequest) -> v1::PolicyResponse {
        let request_id = message.request_id.clone();
        let answer = match wire::request(message) {
            Ok(request) => evaluate(&self.state, &self.caller, request).await,
            Err(failure) => Err(failure),
        };
        answer.unwrap_or_else(|failure| {
            wire::error(request_id, failure.code(), failure.message().to_owned(), failure.is_retryable())
        })
    }
}
