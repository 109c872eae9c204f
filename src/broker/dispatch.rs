//! Request dispatch: decode a request, call the core, encode the response; and fault injection.

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

/// What the connection does after a request.
#[derive(Debug)]
pub enum RequestOutcome {
    /// Send this response.
    Respond(ResponseFrame),
    /// Send nothing, because of `acks=0`.
    NoResponse,
    /// Close the connection, for this reason.
    Close(String),
}

/// An encoded response.
#[derive(Debug)]
pub struct ResponseFrame {
    /// The frame, with its length in front.
    pub frame: BytesMut,
    /// Memory of a large response.
    _reservation: Option<Reservation>,
}

/// The header fields that the response needs.
#[derive(Debug, Clone, Copy)]
struct RequestInfo {
    api: ApiKey,
    version: i16,
    correlation_id: i32,
}

impl RequestInfo {
    fn encode<T: Encodable + HeaderVersion>(
        self,
        version: i16,
        response: &T,
        reservation: Option<Reservation>,
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
                RequestOutcome::Respond(ResponseFrame { frame, _reservation: reservation })
            }
            (Err(error), _) => self.close(format!("the response cannot be encoded: {error}")),
            (_, Err(_)) => self.close("the response is longer than a frame can be"),
        }
    }

    fn close(self, why: impl Display) -> RequestOutcome {
        RequestOutcome::Close(format!("{:?} version {}: {why}", self.api, self.version))
    }
}

/// Handles one request. `frame` is the request without its length field, and is not validated yet.
pub async fn serve(shared: &SharedCore, client: &mut Client, mut frame: Bytes) -> RequestOutcome {
    let (api, header) = match wire::read_header(&mut frame) {
        Ok(header) => header,
        Err(error) => return RequestOutcome::Close(error.to_string()),
    };
    let info = RequestInfo { api, version: header.request_api_version, correlation_id: header.correlation_id };
    // An unknown version of ApiVersions gets a response that every client can read (KIP-511).
    if api == ApiKey::ApiVersions && !apis::is_supported(api, info.version) {
        return info.encode(0, &apis::unknown_version(), None);
    }
    if let Err(error) = wire::validate(api, info.version, &frame, Limits::default()) {
        return info.close(error);
    }
    if let Some(id) = &header.client_id
        && client.id != id.as_str()
    {
        client.id = id.to_string();
    }
    let fault = shared.faults.next_fault(api, &client.id);
    match fault {
        Some(Fault::Cut) => return info.close("closed by an injected fault"),
        Some(Fault::Delay(time) | Fault::RefuseLate(_, time)) => tokio::time::sleep(time).await,
        _ => {}
    }
    let handler = RequestHandler { shared, client, info, fault };
    let outcome = handler.route(frame).await;
    if fault == Some(Fault::ApplyAndCut) { info.close("response dropped by an injected fault") } else { outcome }
}

/// Handles one request.
struct RequestHandler<'a> {
    shared: &'a SharedCore,
    client: &'a Client,
    info: RequestInfo,
    fault: Option<Fault>,
}

impl RequestHandler<'_> {
    fn context(&self, now: i64) -> RequestContext<'_> {
        RequestContext { version: self.info.version, now, client: self.client }
    }

    fn decode<R: Request + Decodable>(&self, mut body: Bytes) -> Result<R, RequestOutcome> {
        R::decode(&mut body, self.info.version).map_err(|error| self.info.close(error))
    }

    /// The error that a fault injects instead of applying the request.
    fn injected_error(&self) -> Option<ResponseError> {
        match self.fault {
            Some(Fault::Refuse(error) | Fault::RefuseLate(error, _)) => Some(error),
            _ => None,
        }
    }

    /// Encodes a response. A large one first waits for memory: clients may request much data and not read it.
    async fn respond<T: Encodable + HeaderVersion>(
        &self,
        response: T,
        reservation: Option<Reservation>,
    ) -> RequestOutcome {
        let size = response.compute_size(self.info.version).unwrap_or(0);
        if size > MAX_RESPONSE_BYTES {
            return self.info.close(format!("the response of {size} bytes is too large"));
        }
        let reservation = match reservation {
            None if size > SMALL_FRAME => match self.reserve(size).await {
                Ok(reservation) => Some(reservation),
                Err(outcome) => return outcome,
            },
            reservation => reservation,
        };
        self.info.encode(self.info.version, &response, reservation)
    }

    async fn reserve(&self, bytes: usize) -> Result<Reservation, RequestOutcome> {
        let timeout = self.shared.limits.memory_timeout;
        let reservation = self.shared.response_budget.reserve(bytes, timeout).await;
        reservation
            .ok_or_else(|| self.info.close(format!("no memory for a response of {bytes} bytes within {timeout:?}")))
    }

    async fn finish<R: ErrorResponse>(&self, mut response: R::Response) -> RequestOutcome {
        if let Some(Fault::ApplyAndRefuse(error)) = self.fault {
            R::set_error(&mut response, error.code());
        }
        self.respond(response, None).await
    }

    async fn refuse<R: ErrorResponse>(&self, mut response: R::Response, error: ResponseError) -> RequestOutcome {
        R::set_error(&mut response, error.code());
        self.respond(response, None).await
    }

    /// Handles a request whose response is ready at once.
    async fn handle<R: ErrorResponse + Decodable>(
        &self,
        body: Bytes,
        apply: impl FnOnce(&mut Core, R, &RequestContext<'_>) -> R::Response,
    ) -> RequestOutcome {
        let request = match self.decode::<R>(body) {
            Ok(request) => request,
            Err(outcome) => return outcome,
        };
        if let Some(error) = self.injected_error() {
            return self.refuse::<R>(request.empty_response(), error).await;
        }
        let response = self.shared.call(|core, now| apply(core, request, &self.context(now)));
        self.shared.wake_timer();
        self.finish::<R>(response).await
    }

    /// Handles a request whose response may be deferred.
    async fn handle_deferred<R: ErrorResponse + Decodable>(
        &self,
        body: Bytes,
        apply: impl FnOnce(&mut Core, R, &RequestContext<'_>) -> MaybeDeferred<R::Response>,
        unpack: impl FnOnce(DeferredResponse) -> Option<R::Response>,
    ) -> RequestOutcome {
        let request = match self.decode::<R>(body) {
            Ok(request) => request,
            Err(outcome) => return outcome,
        };
        if let Some(error) = self.injected_error() {
            return self.refuse::<R>(request.empty_response(), error).await;
        }
        let called = self.shared.call_or_wait(|core, now| apply(core, request, &self.context(now)));
        self.shared.wake_timer();
        let response = match called {
            CallResult::Now(response) => Some(response),
            CallResult::Later(receiver) => receiver.await.ok().and_then(unpack),
        };
        match response {
            Some(response) => self.finish::<R>(response).await,
            None => self.info.close("the broker dropped the deferred response"),
        }
    }

    async fn produce(&self, body: Bytes) -> RequestOutcome {
        let request = match self.decode::<ProduceRequest>(body) {
            Ok(request) => request,
            Err(outcome) => return outcome,
        };
        if let Some(error) = self.injected_error() {
            return self.refuse::<ProduceRequest>(request.empty_response(), error).await;
        }
        let checked = CheckedProduce::new(request, self.info.version);
        let needs_response = checked.needs_response();
        let response = self.shared.call(|core, now| core.produce(checked, &self.context(now)));
        if needs_response {
            return self.finish::<ProduceRequest>(response).await;
        }
        // With acks=0 the only way to report an error is to close the connection, as Apache Kafka does.
        let failed = response.responses.iter().flat_map(|topic| &topic.partition_responses).find(|p| p.error_code != 0);
        match failed {
            Some(partition) => self.info.close(format!("error {} with acks=0", partition.error_code)),
            None => RequestOutcome::NoResponse,
        }
    }

    async fn fetch(&self, body: Bytes) -> RequestOutcome {
        let is_large = body.len() > SMALL_FRAME;
        let mut request = match self.decode::<FetchRequest>(body) {
            Ok(request) => request,
            Err(outcome) => return outcome,
        };
        // A waiting fetch holds its request in memory; a large one would keep other requests from being read.
        request.max_wait_ms = if is_large { 0 } else { request.max_wait_ms };
        if let Some(error) = self.injected_error() {
            return self.refuse::<FetchRequest>(request.empty_response(), error).await;
        }
        let plan = match self.shared.call_or_wait(|core, now| core.fetch(&request, &self.context(now))) {
            CallResult::Now(plan) => plan,
            CallResult::Later(receiver) => {
                self.shared.wake_timer();
                if receiver.await.is_err() {
                    return self.info.close("the broker dropped the deferred response");
                }
                self.shared.call(|core, now| core.plan(&request, &self.context(now)))
            }
        };
        let reservation = match plan.size() {
            0..=SMALL_FRAME => None,
            bytes => match self.reserve(bytes).await {
                Ok(reservation) => Some(reservation),
                Err(outcome) => return outcome,
            },
        };
        match plan.read() {
            Ok(mut response) => {
                let corrupt = ResponseError::CorruptMessage.code();
                let mut partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
                if partitions.any(|partition| partition.error_code == corrupt) {
                    self.shared.call(|core, now| core.report_corrupt_batches(&request, &response, &self.context(now)));
                }
                if let Some(Fault::ApplyAndRefuse(error)) = self.fault {
                    FetchRequest::set_error(&mut response, error.code());
                }
                self.respond(response, reservation).await
            }
            Err(error) => self.info.close(format!("the log cannot be read: {error}")),
        }
    }

    async fn route(&self, body: Bytes) -> RequestOutcome {
        match self.info.api {
            ApiKey::Produce => self.produce(body).await,
            ApiKey::Fetch => self.fetch(body).await,
            ApiKey::ApiVersions => match self.decode::<ApiVersionsRequest>(body) {
                Ok(request) => self.respond(apis::api_versions(&request, self.info.version), None).await,
                Err(outcome) => outcome,
            },
            ApiKey::JoinGroup => {
                self.handle_deferred(
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
                self.handle_deferred(
                    body,
                    |core, request: SyncGroupRequest, context| core.sync_group(&request, context),
                    |deferred| match deferred {
                        DeferredResponse::Sync(response) => Some(response),
                        _ => None,
                    },
                )
                .await
            }
            ApiKey::ListOffsets => self.handle(body, Core::list_offsets).await,
            ApiKey::Metadata => self.handle(body, Core::metadata).await,
            ApiKey::OffsetCommit => {
                self.handle::<OffsetCommitRequest>(body, |core, request, context| core.offset_commit(&request, context))
                    .await
            }
            ApiKey::OffsetFetch => {
                self.handle::<OffsetFetchRequest>(body, |core, request, context| core.offset_fetch(&request, context))
                    .await
            }
            ApiKey::FindCoordinator => {
                self.handle::<FindCoordinatorRequest>(body, |core, request, context| {
                    core.find_coordinator(&request, context)
                })
                .await
            }
            ApiKey::Heartbeat => {
                self.handle::<HeartbeatRequest>(body, |core, request, context| core.heartbeat(&request, context)).await
            }
            ApiKey::LeaveGroup => {
                self.handle::<LeaveGroupRequest>(body, |core, request, context| core.leave_group(&request, context))
                    .await
            }
            ApiKey::DescribeGroups => {
                self.handle::<DescribeGroupsRequest>(body, |core, request, context| {
                    core.describe_groups(&request, context)
                })
                .await
            }
            ApiKey::ListGroups => {
                self.handle::<ListGroupsRequest>(body, |core, request, _| core.list_groups(&request)).await
            }
            ApiKey::CreateTopics => self.handle(body, Core::create_topics).await,
            ApiKey::DeleteTopics => self.handle(body, Core::delete_topics).await,
            ApiKey::DeleteRecords => self.handle(body, Core::delete_records).await,
            ApiKey::InitProducerId => self.handle(body, Core::init_producer_id).await,
            ApiKey::OffsetForLeaderEpoch => self.handle(body, Core::offset_for_leader_epoch).await,
            ApiKey::AddPartitionsToTxn => self.handle(body, Core::add_partitions_to_txn).await,
            ApiKey::AddOffsetsToTxn => self.handle(body, Core::add_offsets_to_txn).await,
            ApiKey::EndTxn => self.handle(body, Core::end_txn).await,
            ApiKey::WriteTxnMarkers => self.handle(body, Core::write_txn_markers).await,
            ApiKey::TxnOffsetCommit => {
                self.handle::<TxnOffsetCommitRequest>(body, |core, request, context| {
                    core.txn_offset_commit(&request, context)
                })
                .await
            }
            ApiKey::DescribeConfigs => self.handle(body, Core::describe_configs).await,
            ApiKey::AlterConfigs => self.handle(body, Core::alter_configs).await,
            ApiKey::CreatePartitions => self.handle(body, Core::create_partitions).await,
            ApiKey::DeleteGroups => {
                self.handle::<DeleteGroupsRequest>(body, |core, request, _| core.delete_groups(&request)).await
            }
            ApiKey::IncrementalAlterConfigs => self.handle(body, Core::incremental_alter_configs).await,
            ApiKey::OffsetDelete => {
                self.handle::<OffsetDeleteRequest>(body, |core, request, _| core.offset_delete(&request)).await
            }
            ApiKey::DescribeCluster => self.handle(body, Core::describe_cluster).await,
            ApiKey::DescribeProducers => self.handle(body, Core::describe_producers).await,
            ApiKey::DescribeTopicPartitions => self.handle(body, Core::describe_topic_partitions).await,
            ApiKey::DescribeTransactions => self.handle(body, Core::describe_transactions).await,
            ApiKey::ListTransactions => self.handle(body, Core::list_transactions).await,
            _ => self.info.close("is not offered"),
        }
    }
}
