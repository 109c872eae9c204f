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

use super::answer::{Answer, Call, Client, Deferred};
use super::apis;
use super::core::Core;
use super::faults::Fault;
use super::hall::{Called, Hall};
use super::produce::CheckedProduce;
use super::refusals::Refusable;
use super::wire::{self, Limits};

/// What becomes of a request.
#[derive(Debug)]
pub enum Served {
    /// This frame goes back, its length in front.
    Reply(BytesMut),
    /// Nothing goes back, as the client wished.
    Silence,
    /// The connection is closed, and told why.
    Close(String),
}

/// A request's header, as far as answering needs it.
#[derive(Debug, Clone, Copy)]
struct Asked {
    api: ApiKey,
    version: i16,
    correlation_id: i32,
}

impl Asked {
    fn reply<T: Encodable + HeaderVersion>(self, response: &T) -> Served {
        self.encode(self.version, response)
    }

    fn encode<T: Encodable + HeaderVersion>(self, version: i16, response: &T) -> Served {
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
                Served::Reply(frame)
            }
            (Err(error), _) => self.close(format!("its answer cannot be encoded: {error}")),
            (_, Err(_)) => self.close("its answer is too long"),
        }
    }

    fn close(self, why: impl Display) -> Served {
        Served::Close(format!("{:?} version {}: {why}", self.api, self.version))
    }
}

/// Answers one request. `frame` is what stands behind the length on the wire; nothing of it is believed yet.
pub async fn serve(hall: &Hall, client: &mut Client, mut frame: Bytes) -> Served {
    let (api, header) = match wire::header(&mut frame) {
        Ok(header) => header,
        Err(rubbish) => return Served::Close(rubbish.to_string()),
    };
    let asked = Asked { api, version: header.request_api_version, correlation_id: header.correlation_id };
    // An unknown version of this one request is answered all the same, in the form that every client knows (KIP-511).
    if api == ApiKey::ApiVersions && !apis::is_answered(api, asked.version) {
        return asked.encode(0, &apis::unknown_version());
    }
    if let Err(rubbish) = wire::check(api, asked.version, &frame, Limits::default()) {
        return asked.close(rubbish);
    }
    if let Some(id) = &header.client_id
        && client.id != id.as_str()
    {
        client.id = id.to_string();
    }
    let fault = hall.faults.meet(api, &client.id);
    match fault {
        Some(Fault::Cut) => return asked.close("cut on demand"),
        Some(Fault::Delay(time) | Fault::RefuseLate(_, time)) => tokio::time::sleep(time).await,
        _ => {}
    }
    let passage = Passage { hall, client, asked, fault };
    let served = passage.route(frame).await;
    if fault == Some(Fault::ApplyAndCut) { asked.close("answer dropped on demand") } else { served }
}

/// One request on its way through the broker.
struct Passage<'a> {
    hall: &'a Hall,
    client: &'a Client,
    asked: Asked,
    fault: Option<Fault>,
}

impl Passage<'_> {
    fn call(&self, now: i64) -> Call<'_> {
        Call { version: self.asked.version, now, client: self.client }
    }

    fn decode<R: Request + Decodable>(&self, mut body: Bytes) -> Result<R, Served> {
        R::decode(&mut body, self.asked.version).map_err(|error| self.asked.close(error))
    }

    /// The error that is answered in place of applying the request.
    fn refusal(&self) -> Option<ResponseError> {
        match self.fault {
            Some(Fault::Refuse(error) | Fault::RefuseLate(error, _)) => Some(error),
            _ => None,
        }
    }

    fn finish<R: Refusable>(&self, mut response: R::Response) -> Served {
        if let Some(Fault::ApplyAndRefuse(error)) = self.fault {
            R::blame(&mut response, error.code());
        }
        self.asked.reply(&response)
    }

    fn refuse<R: Refusable>(&self, request: &R, error: ResponseError) -> Served {
        let mut response = request.unanswered();
        R::blame(&mut response, error.code());
        self.asked.reply(&response)
    }

    /// A request that is answered at once.
    fn at_once<R: Refusable + Decodable>(
        &self,
        body: Bytes,
        apply: impl FnOnce(&mut Core, R, &Call<'_>) -> R::Response,
    ) -> Served {
        let request = match self.decode::<R>(body) {
            Ok(request) => request,
            Err(served) => return served,
        };
        if let Some(error) = self.refusal() {
            return self.refuse(&request, error);
        }
        let response = self.hall.tell(|core, now| apply(core, request, &self.call(now)));
        self.hall.rouse();
        self.finish::<R>(response)
    }

    /// A request whose answer may have to wait for others.
    async fn in_time<R: Refusable + Decodable>(
        &self,
        body: Bytes,
        apply: impl FnOnce(&mut Core, R, &Call<'_>) -> Answer<R::Response>,
        unpack: impl FnOnce(Deferred) -> Option<R::Response>,
    ) -> Served {
        let request = match self.decode::<R>(body) {
            Ok(request) => request,
            Err(served) => return served,
        };
        if let Some(error) = self.refusal() {
            return self.refuse(&request, error);
        }
        let called = self.hall.ask(|core, now| apply(core, request, &self.call(now)));
        self.hall.rouse();
        let response = match called {
            Called::Now(response) => Some(response),
            Called::Later(answer) => answer.await.ok().and_then(unpack),
        };
        match response {
            Some(response) => self.finish::<R>(response),
            None => self.asked.close("nobody answered it"),
        }
    }

    fn produce(&self, body: Bytes) -> Served {
        let request = match self.decode::<ProduceRequest>(body) {
            Ok(request) => request,
            Err(served) => return served,
        };
        if let Some(error) = self.refusal() {
            return self.refuse(&request, error);
        }
        let checked = CheckedProduce::new(request, self.asked.version);
        let is_answered = checked.is_answered();
        let response = self.hall.tell(|core, now| core.produce(checked, &self.call(now)));
        if is_answered {
            return self.finish::<ProduceRequest>(response);
        }
        // Who asked for no answer learns of an error by losing the connection.
        let failed = response.responses.iter().flat_map(|topic| &topic.partition_responses).find(|p| p.error_code != 0);
        match failed {
            Some(partition) => self.asked.close(format!("error {} with acks=0", partition.error_code)),
            None => Served::Silence,
        }
    }

    async fn fetch(&self, body: Bytes) -> Served {
        let request = match self.decode::<FetchRequest>(body) {
            Ok(request) => request,
            Err(served) => return served,
        };
        if let Some(error) = self.refusal() {
            return self.refuse(&request, error);
        }
        let plan = match self.hall.ask(|core, now| core.fetch(&request, &self.call(now))) {
            Called::Now(plan) => plan,
            Called::Later(enough) => {
                self.hall.rouse();
                if enough.await.is_err() {
                    return self.asked.close("nobody answered it");
                }
                self.hall.tell(|core, now| core.plan(&request, &self.call(now)))
            }
        };
        match plan.read() {
            Ok(response) => self.finish::<FetchRequest>(response),
            Err(error) => self.asked.close(format!("the log cannot be read: {error}")),
        }
    }

    async fn route(&self, body: Bytes) -> Served {
        match self.asked.api {
            ApiKey::Produce => self.produce(body),
            ApiKey::Fetch => self.fetch(body).await,
            ApiKey::ApiVersions => match self.decode::<ApiVersionsRequest>(body) {
                Ok(request) => self.asked.reply(&apis::api_versions(&request, self.asked.version)),
                Err(served) => served,
            },
            ApiKey::JoinGroup => {
                self.in_time(
                    body,
                    |core, request: JoinGroupRequest, call| core.join_group(&request, call),
                    |deferred| match deferred {
                        Deferred::Join(response) => Some(response),
                        _ => None,
                    },
                )
                .await
            }
            ApiKey::SyncGroup => {
                self.in_time(
                    body,
                    |core, request: SyncGroupRequest, call| core.sync_group(&request, call),
                    |deferred| match deferred {
                        Deferred::Sync(response) => Some(response),
                        _ => None,
                    },
                )
                .await
            }
            ApiKey::ListOffsets => self.at_once(body, Core::list_offsets),
            ApiKey::Metadata => self.at_once(body, Core::metadata),
            ApiKey::OffsetCommit => {
                self.at_once::<OffsetCommitRequest>(body, |core, request, call| core.offset_commit(&request, call))
            }
            ApiKey::OffsetFetch => {
                self.at_once::<OffsetFetchRequest>(body, |core, request, call| core.offset_fetch(&request, call))
            }
            ApiKey::FindCoordinator => self
                .at_once::<FindCoordinatorRequest>(body, |core, request, call| core.find_coordinator(&request, call)),
            ApiKey::Heartbeat => {
                self.at_once::<HeartbeatRequest>(body, |core, request, call| core.heartbeat(&request, call))
            }
            ApiKey::LeaveGroup => {
                self.at_once::<LeaveGroupRequest>(body, |core, request, call| core.leave_group(&request, call))
            }
            ApiKey::DescribeGroups => {
                self.at_once::<DescribeGroupsRequest>(body, |core, request, call| core.describe_groups(&request, call))
            }
            ApiKey::ListGroups => {
                self.at_once::<ListGroupsRequest>(body, |core, request, _| core.list_groups(&request))
            }
            ApiKey::CreateTopics => self.at_once(body, Core::create_topics),
            ApiKey::DeleteTopics => self.at_once(body, Core::delete_topics),
            ApiKey::DeleteRecords => self.at_once(body, Core::delete_records),
            ApiKey::InitProducerId => self.at_once(body, Core::init_producer_id),
            ApiKey::OffsetForLeaderEpoch => self.at_once(body, Core::offset_for_leader_epoch),
            ApiKey::AddPartitionsToTxn => self.at_once(body, Core::add_partitions_to_txn),
            ApiKey::AddOffsetsToTxn => self.at_once(body, Core::add_offsets_to_txn),
            ApiKey::EndTxn => self.at_once(body, Core::end_txn),
            ApiKey::WriteTxnMarkers => self.at_once(body, Core::write_txn_markers),
            ApiKey::TxnOffsetCommit => self
                .at_once::<TxnOffsetCommitRequest>(body, |core, request, call| core.txn_offset_commit(&request, call)),
            ApiKey::DescribeConfigs => self.at_once(body, Core::describe_configs),
            ApiKey::AlterConfigs => self.at_once(body, Core::alter_configs),
            ApiKey::CreatePartitions => self.at_once(body, Core::create_partitions),
            ApiKey::DeleteGroups => {
                self.at_once::<DeleteGroupsRequest>(body, |core, request, _| core.delete_groups(&request))
            }
            ApiKey::IncrementalAlterConfigs => self.at_once(body, Core::incremental_alter_configs),
            ApiKey::OffsetDelete => {
                self.at_once::<OffsetDeleteRequest>(body, |core, request, _| core.offset_delete(&request))
            }
            ApiKey::DescribeCluster => self.at_once(body, Core::describe_cluster),
            ApiKey::DescribeProducers => self.at_once(body, Core::describe_producers),
            ApiKey::DescribeTopicPartitions => self.at_once(body, Core::describe_topic_partitions),
            ApiKey::DescribeTransactions => self.at_once(body, Core::describe_transactions),
            ApiKey::ListTransactions => self.at_once(body, Core::list_transactions),
            _ => self.asked.close("is not offered"),
        }
    }
}
