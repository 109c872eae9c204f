//! Owns the way of one request: decoded, handed to the core, its answer encoded; and the faults that are done to it on the way.

use std::fmt::Display;

use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, DeleteGroupsRequest, DescribeGroupsRequest, FetchRequest, FindCoordinatorRequest,
    HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest,
    OffsetFetchRequest, ProduceRequest, ResponseHeader, SyncGroupRequest, TxnOffsetCommitRequest,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request};

use super::apis;
use super::connection_limits::{MAX_RESPONSE_BYTES, Reservation, SMALL_FRAME};
use super::core::Core;
use super::error_response::ErrorResponse;
use super::faults::Fault;
use super::produce::CheckedProduce;
use super::response::{Client, DeferredResponse, MaybeDeferred, RequestContext};
use super::shared_core::{CallResult, SharedCore};
use super::wire::{self, Limits};

/// What becomes of a request.
#[derive(Debug)]
pub enum RequestOutcome {
    /// This goes back.
    Respond(ResponseFrame),
    /// Nothing goes back, as the client wished.
    NoResponse,
    /// The connection is closed, and told why.
    Close(String),
}

/// What goes back to the client.
#[derive(Debug)]
pub struct ResponseFrame {
    /// The frame, its length in front.
    pub frame: BytesMut,
    /// What a long one takes.
    _room: Option<Reservation>,
}

/// A request's header, as far as answering needs it.
#[derive(Debug, Clone, Copy)]
struct Asked {
    api: ApiKey,
    version: i16,
    correlation_id: i32,
}

impl Asked {
    fn encode<T: Encodable + HeaderVersion>(
        self,
        version: i16,
        response: &T,
        room: Option<Reservation>,
    ) -> RequestOutcome {
        let mut frame = BytesMut::new();
        let encoded = response.compute_size(version).and_then(|size| {
            frame.reserve(size + 64);
            frame.extend_from_slice(&[0; 4]);
            let header = ResponseHeader::default().with_correlation_id(self.correlation_id);
            header.encode(&mut frame, T::header_version(version))?;
            response.encode(&mut frame, version)
        });
        let length = i32::try_from(frame.len().saturating_sub(4));
        match (encoded, length) {
            (Ok(()), Ok(length)) => {
                frame[..4].copy_from_slice(&length.to_be_bytes());
                RequestOutcome::Respond(ResponseFrame { frame, _room: room })
            }
            (Err(error), _) => self.close(format!("its answer cannot be encoded: {error}")),
            (_, Err(_)) => self.close("its answer is too long"),
        }
    }

    fn close(self, why: impl Display) -> RequestOutcome {
        RequestOutcome::Close(format!("{:?} version {}: {why}", self.api, self.version))
    }
}

/// Answers one request. `frame` is what stands behind the length on the wire; nothing of it is believed yet.
pub async fn serve(shared: &SharedCore, client: &mut Client, mut frame: Bytes) -> RequestOutcome {
    let (api, header) = match wire::read_header(&mut frame) {
        Ok(header) => header,
        Err(rubbish) => return RequestOutcome::Close(rubbish.to_string()),
    };
    let asked = Asked { api, version: header.request_api_version, correlation_id: header.correlation_id };
    // An unknown version of this one request is answered all the same, in the form that every client knows (KIP-511).
    if api == ApiKey::ApiVersions && !apis::is_answered(api, asked.version) {
        return asked.encode(0, &apis::unknown_version(), None);
    }
    if let Err(rubbish) = wire::validate(api, asked.version, &frame, Limits::default()) {
        return asked.close(rubbish);
    }
    if let Some(id) = &header.client_id
        && client.id != id.as_str()
    {
        client.id = id.to_string();
    }
    let fault = shared.faults.meet(api, &client.id);
    match fault {
        Some(Fault::Cut) => return asked.close("cut on demand"),
        Some(Fault::Delay(time) | Fault::RefuseLate(_, time)) => tokio::time::sleep(time).await,
        _ => {}
    }
    let passage = Passage { shared, client, asked, fault };
    let served = passage.route(frame).await;
    if fault == Some(Fault::ApplyAndCut) { asked.close("answer dropped on demand") } else { served }
}

/// One request on its way through the broker.
struct Passage<'a> {
    shared: &'a SharedCore,
    client: &'a Client,
    asked: Asked,
    fault: Option<Fault>,
}

impl Passage<'_> {
    fn context(&self, now: i64) -> RequestContext<'_> {
        RequestContext { version: self.asked.version, now, client: self.client }
    }

    fn decode<R: Request + Decodable>(&self, mut body: Bytes) -> Result<R, RequestOutcome> {
        R::decode(&mut body, self.asked.version).map_err(|error| self.asked.close(error))
    }

    /// The error that is answered in place of applying the request.
    fn refusal(&self) -> Option<ResponseError> {
        match self.fault {
            Some(Fault::Refuse(error) | Fault::RefuseLate(error, _)) => Some(error),
            _ => None,
        }
    }

    /// Encodes an answer, as soon as there is room for it: a short request may ask for much, and not read it.
    async fn reply<T: Encodable + HeaderVersion>(&self, response: T, room: Option<Reservation>) -> RequestOutcome {
        let size = response.compute_size(self.asked.version).unwrap_or(0);
        if size > MAX_RESPONSE_BYTES {
            return self.asked.close(format!("its answer has {size} bytes"));
        }
        let room = match room {
            None if size > SMALL_FRAME => match self.room(size).await {
                Ok(room) => Some(room),
                Err(served) => return served,
            },
            room => room,
        };
        self.asked.encode(self.asked.version, &response, room)
    }

    async fn room(&self, bytes: usize) -> Result<Reservation, RequestOutcome> {
        let bound = self.shared.limits.memory_timeout;
        let room = self.shared.response_budget.reserve(bytes, bound).await;
        room.ok_or_else(|| {
            self.asked.close(format!("there was no room for its answer of {bytes} bytes within {bound:?}"))
        })
    }

    async fn finish<R: ErrorResponse>(&self, mut response: R::Response) -> RequestOutcome {
        if let Some(Fault::ApplyAndRefuse(error)) = self.fault {
            R::set_error(&mut response, error.code());
        }
        self.reply(response, None).await
    }

    async fn refuse<R: ErrorResponse>(&self, mut response: R::Response, error: ResponseError) -> RequestOutcome {
        R::set_error(&mut response, error.code());
        self.reply(response, None).await
    }

    /// A request that is answered at once.
    async fn at_once<R: ErrorResponse + Decodable>(
        &self,
        body: Bytes,
        apply: impl FnOnce(&mut Core, R, &RequestContext<'_>) -> R::Response,
    ) -> RequestOutcome {
        let request = match self.decode::<R>(body) {
            Ok(request) => request,
            Err(served) => return served,
        };
        if let Some(error) = self.refusal() {
            return self.refuse::<R>(request.empty_response(), error).await;
        }
        let response = self.shared.call(|core, now| apply(core, request, &self.context(now)));
        self.shared.wake_timer();
        self.finish::<R>(response).await
    }

    /// A request whose answer may have to wait for others.
    async fn in_time<R: ErrorResponse + Decodable>(
        &self,
        body: Bytes,
        apply: impl FnOnce(&mut Core, R, &RequestContext<'_>) -> MaybeDeferred<R::Response>,
        unpack: impl FnOnce(DeferredResponse) -> Option<R::Response>,
    ) -> RequestOutcome {
        let request = match self.decode::<R>(body) {
            Ok(request) => request,
            Err(served) => return served,
        };
        if let Some(error) = self.refusal() {
            return self.refuse::<R>(request.empty_response(), error).await;
        }
        let called = self.shared.call_or_wait(|core, now| apply(core, request, &self.context(now)));
        self.shared.wake_timer();
        let response = match called {
            CallResult::Now(response) => Some(response),
            CallResult::Later(answer) => answer.await.ok().and_then(unpack),
        };
        match response {
            Some(response) => self.finish::<R>(response).await,
            None => self.asked.close("nobody answered it"),
        }
    }

    async fn produce(&self, body: Bytes) -> RequestOutcome {
        let request = match self.decode::<ProduceRequest>(body) {
            Ok(request) => request,
            Err(served) => return served,
        };
        if let Some(error) = self.refusal() {
            return self.refuse::<ProduceRequest>(request.empty_response(), error).await;
        }
        let checked = CheckedProduce::new(request, self.asked.version);
        let is_answered = checked.needs_response();
        let response = self.shared.call(|core, now| core.produce(checked, &self.context(now)));
        if is_answered {
            return self.finish::<ProduceRequest>(response).await;
        }
        // Who asked for no answer learns of an error by losing the connection.
        let failed = response.responses.iter().flat_map(|topic| &topic.partition_responses).find(|p| p.error_code != 0);
        match failed {
            Some(partition) => self.asked.close(format!("error {} with acks=0", partition.error_code)),
            None => RequestOutcome::NoResponse,
        }
    }

    async fn fetch(&self, body: Bytes) -> RequestOutcome {
        let is_long = body.len() > SMALL_FRAME;
        let mut request = match self.decode::<FetchRequest>(body) {
            Ok(request) => request,
            Err(served) => return served,
        };
        // What waits keeps its request, and a long one keeps others from being read.
        request.max_wait_ms = if is_long { 0 } else { request.max_wait_ms };
        if let Some(error) = self.refusal() {
            return self.refuse::<FetchRequest>(request.empty_response(), error).await;
        }
        let plan = match self.shared.call_or_wait(|core, now| core.fetch(&request, &self.context(now))) {
            CallResult::Now(plan) => plan,
            CallResult::Later(enough) => {
                self.shared.wake_timer();
                if enough.await.is_err() {
                    return self.asked.close("nobody answered it");
                }
                self.shared.call(|core, now| core.plan(&request, &self.context(now)))
            }
        };
        let room = match plan.size() {
            0..=SMALL_FRAME => None,
            bytes => match self.room(bytes).await {
                Ok(room) => Some(room),
                Err(served) => return served,
            },
        };
        match plan.read() {
            Ok(mut response) => {
                let corrupt = ResponseError::CorruptMessage.code();
                let mut answers = response.responses.iter().flat_map(|topic| &topic.partitions);
                if answers.any(|answer| answer.error_code == corrupt) {
                    self.shared.call(|core, now| core.report_corrupt_batches(&request, &response, &self.context(now)));
                }
                if let Some(Fault::ApplyAndRefuse(error)) = self.fault {
                    FetchRequest::set_error(&mut response, error.code());
                }
                self.reply(response, room).await
            }
            Err(error) => self.asked.close(format!("the log cannot be read: {error}")),
        }
    }

    async fn route(&self, body: Bytes) -> RequestOutcome {
        match self.asked.api {
            ApiKey::Produce => self.produce(body).await,
            ApiKey::Fetch => self.fetch(body).await,
            ApiKey::ApiVersions => match self.decode::<ApiVersionsRequest>(body) {
                Ok(request) => self.reply(apis::api_versions(&request, self.asked.version), None).await,
                Err(served) => served,
            },
            ApiKey::JoinGroup => {
                self.in_time(
                    body,
                    |core, request: JoinGroupRequest, context| core.join_group(&request, context),
                    |deferred| match deferred {
                        DeferredResponse::Join(response) => Some(response),
                        _ => None,
                    },
                )
                .await
            }
            ApiKey::SyncGroup => {
                self.in_time(
                    body,
                    |core, request: SyncGroupRequest, context| core.sync_group(&request, context),
                    |deferred| match deferred {
                        DeferredResponse::Sync(response) => Some(response),
                        _ => None,
                    },
                )
                .await
            }
            ApiKey::ListOffsets => self.at_once(body, Core::list_offsets).await,
            ApiKey::Metadata => self.at_once(body, Core::metadata).await,
            ApiKey::OffsetCommit => {
                self.at_once::<OffsetCommitRequest>(body, |core, request, context| {
                    core.offset_commit(&request, context)
                })
                .await
            }
            ApiKey::OffsetFetch => {
                self.at_once::<OffsetFetchRequest>(body, |core, request, context| core.offset_fetch(&request, context))
                    .await
            }
            ApiKey::FindCoordinator => {
                self.at_once::<FindCoordinatorRequest>(body, |core, request, context| {
                    core.find_coordinator(&request, context)
                })
                .await
            }
            ApiKey::Heartbeat => {
                self.at_once::<HeartbeatRequest>(body, |core, request, context| core.heartbeat(&request, context)).await
            }
            ApiKey::LeaveGroup => {
                self.at_once::<LeaveGroupRequest>(body, |core, request, context| core.leave_group(&request, context))
                    .await
            }
            ApiKey::DescribeGroups => {
                self.at_once::<DescribeGroupsRequest>(body, |core, request, context| {
                    core.describe_groups(&request, context)
                })
                .await
            }
            ApiKey::ListGroups => {
                self.at_once::<ListGroupsRequest>(body, |core, request, _| core.list_groups(&request)).await
            }
            ApiKey::CreateTopics => self.at_once(body, Core::create_topics).await,
            ApiKey::DeleteTopics => self.at_once(body, Core::delete_topics).await,
            ApiKey::DeleteRecords => self.at_once(body, Core::delete_records).await,
            ApiKey::InitProducerId => self.at_once(body, Core::init_producer_id).await,
            ApiKey::OffsetForLeaderEpoch => self.at_once(body, Core::offset_for_leader_epoch).await,
            ApiKey::AddPartitionsToTxn => self.at_once(body, Core::add_partitions_to_txn).await,
            ApiKey::AddOffsetsToTxn => self.at_once(body, Core::add_offsets_to_txn).await,
            ApiKey::EndTxn => self.at_once(body, Core::end_txn).await,
            ApiKey::WriteTxnMarkers => self.at_once(body, Core::write_txn_markers).await,
            ApiKey::TxnOffsetCommit => {
                self.at_once::<TxnOffsetCommitRequest>(body, |core, request, context| {
                    core.txn_offset_commit(&request, context)
                })
                .await
            }
            ApiKey::DescribeConfigs => self.at_once(body, Core::describe_configs).await,
            ApiKey::AlterConfigs => self.at_once(body, Core::alter_configs).await,
            ApiKey::CreatePartitions => self.at_once(body, Core::create_partitions).await,
            ApiKey::DeleteGroups => {
                self.at_once::<DeleteGroupsRequest>(body, |core, request, _| core.delete_groups(&request)).await
            }
            ApiKey::IncrementalAlterConfigs => self.at_once(body, Core::incremental_alter_configs).await,
            ApiKey::OffsetDelete => {
                self.at_once::<OffsetDeleteRequest>(body, |core, request, _| core.offset_delete(&request)).await
            }
            ApiKey::DescribeCluster => self.at_once(body, Core::describe_cluster).await,
            ApiKey::DescribeProducers => self.at_once(body, Core::describe_producers).await,
            ApiKey::DescribeTopicPartitions => self.at_once(body, Core::describe_topic_partitions).await,
            ApiKey::DescribeTransactions => self.at_once(body, Core::describe_transactions).await,
            ApiKey::ListTransactions => self.at_once(body, Core::list_transactions).await,
            _ => self.asked.close("is not offered"),
        }
    }
}
