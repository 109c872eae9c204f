//! The core's part of a graceful stop: every wait is ended, and none begins.
//!
//! Apache Kafka's controlled shutdown gives up the coordinators first: joins and syncs that wait are answered with
//! `NOT_COORDINATOR`, and later requests of members with `COORDINATOR_NOT_AVAILABLE`, which clients retry. Delayed fetches
//! end, there because another broker leads from now on. Here none does, so they are answered with what there is.
//! Commits, ends of transactions and departures are applied until the last connection is closed.

use kafka_protocol::error::ResponseError;

use super::core::Core;
use super::error_response::ErrorResponse;

impl Core {
    /// Answers every request that waits, and lets no other wait from now on. The timer must not run any more: members
    /// whose join was ended here would count as missing in a rebalance that it completes.
    pub fn end_waiting_requests(&mut self, now: i64) {
        self.stopping = true;
        self.release_fetches();
        self.groups.end_waiting_requests(now, &mut self.outbox);
    }
}

/// The answer of a coordinator that is being stopped.
pub(super) fn refuse<R: ErrorResponse>(request: &R) -> R::Response {
    let mut response = request.empty_response();
    R::set_error(&mut response, ResponseError::CoordinatorNotAvailable.code());
    response
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
    use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
    use kafka_protocol::messages::{
        FetchRequest, FindCoordinatorRequest, GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse,
        SyncGroupRequest,
    };

    use super::super::response::{Client, DeferredResponse, MaybeDeferred, RequestContext};
    use super::super::topics::test_support::{NOW, append, broker, make, name, text};
    use super::*;

    /// Calls the core in a version.
    fn with_call<T>(version: i16, work: impl FnOnce(&RequestContext<'_>) -> T) -> T {
        let client = Client { connection: 1, id: "test".to_owned(), host: "/127.0.0.1".to_owned() };
        work(&RequestContext { version, now: NOW, client: &client })
    }

    fn fetch(offset: i64) -> FetchRequest {
        let partition = FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(1 << 20);
        let topic = FetchTopic::default().with_topic(name("t")).with_partitions(vec![partition]);
        FetchRequest::default()
            .with_max_wait_ms(60_000)
            .with_min_bytes(1 << 20)
            .with_max_bytes(1 << 20)
            .with_session_epoch(-1)
            .with_topics(vec![topic])
    }

    fn join(member: &str) -> JoinGroupRequest {
        let protocol = JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(Bytes::new());
        JoinGroupRequest::default()
            .with_group_id(GroupId(text("g")))
            .with_session_timeout_ms(10_000)
            .with_rebalance_timeout_ms(60_000)
            .with_member_id(text(member))
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol])
    }

    /// Joins in a version in which an id is not asked for first.
    fn joined(core: &mut Core) -> MaybeDeferred<JoinGroupResponse> {
        with_call(3, |context| core.join_group(&join(""), context))
    }

    fn now<T>(answer: MaybeDeferred<T>) -> T {
        match answer {
            MaybeDeferred::Now(answer) => answer,
            MaybeDeferred::Later(_) => panic!("it waits"),
        }
    }

    #[test]
    fn a_waiting_fetch_gets_what_there_is() {
        let mut core = broker();
        make(&mut core, "t", 1, &[]);
        append(&mut core, "t", "k", "v", NOW);
        let MaybeDeferred::Later(ticket) = with_call(12, |context| core.fetch(&fetch(0), context)) else {
            panic!("it waits")
        };
        core.end_waiting_requests(NOW);
        assert!(matches!(core.take_ready()[..], [(ready, DeferredResponse::Fetch)] if ready == ticket));
        // And one that comes later does not wait.
        let plan = now(with_call(12, |context| core.fetch(&fetch(0), context)));
        let records = plan.read().expect("read").responses[0].partitions[0].records.clone();
        assert!(!records.expect("records").is_empty());
    }

    #[test]
    fn members_that_wait_are_told_and_no_generation_is_made() {
        let mut core = broker();
        let leader = now(joined(&mut core)).member_id.to_string();
        let MaybeDeferred::Later(_) = joined(&mut core) else { panic!("it waits for the first to join again") };
        let leader_again = now(with_call(3, |context| core.join_group(&join(&leader), context)));
        let follower = core.take_ready().into_iter().find_map(|(_, deferred)| match deferred {
            DeferredResponse::Join(answer) => Some(answer),
            _ => None,
        });
        let follower = follower.expect("the rebalance is through");
        assert_eq!((leader_again.generation_id, follower.generation_id), (2, 2));
        // It waits for the leader's assignment.
        let sync = SyncGroupRequest::default()
            .with_group_id(GroupId(text("g")))
            .with_generation_id(2)
            .with_member_id(follower.member_id);
        let MaybeDeferred::Later(_) = with_call(3, |context| core.sync_group(&sync, context)) else {
            panic!("it waits")
        };
        let before = core.groups.snapshot();
        core.end_waiting_requests(NOW);
        let told = core.take_ready();
        let [(_, DeferredResponse::Sync(synced))] = &told[..] else { panic!("{told:?}") };
        assert_eq!(synced.error_code, ResponseError::NotCoordinator.code());
        assert_eq!(core.groups.snapshot(), before);

        let mut core = broker();
        now(joined(&mut core));
        let MaybeDeferred::Later(_) = joined(&mut core) else { panic!("it waits") };
        core.end_waiting_requests(NOW);
        let told = core.take_ready();
        let [(_, DeferredResponse::Join(joining))] = &told[..] else { panic!("{told:?}") };
        assert_eq!(joining.error_code, ResponseError::NotCoordinator.code());
        assert!(joining.protocol_name.is_some(), "before version 7 it is never null");
        assert_eq!(core.groups.summary().map(|(_, _, members)| members).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn members_that_come_later_are_told_to_look_for_another_coordinator() {
        let mut core = broker();
        let member = now(joined(&mut core)).member_id;
        core.end_waiting_requests(NOW);
        let refused = ResponseError::CoordinatorNotAvailable.code();
        assert_eq!(now(joined(&mut core)).error_code, refused);
        let heartbeat = HeartbeatRequest::default()
            .with_group_id(GroupId(text("g")))
            .with_generation_id(1)
            .with_member_id(member.clone());
        assert_eq!(with_call(4, |context| core.heartbeat(&heartbeat, context)).error_code, refused);
        let sync =
            SyncGroupRequest::default().with_group_id(GroupId(text("g"))).with_generation_id(1).with_member_id(member);
        assert_eq!(now(with_call(3, |context| core.sync_group(&sync, context))).error_code, refused);
        let find = FindCoordinatorRequest::default().with_key(text("g")).with_coordinator_keys(vec![text("g")]);
        assert_eq!(with_call(3, |context| core.find_coordinator(&find, context)).error_code, refused);
        assert_eq!(with_call(4, |context| core.find_coordinator(&find, context)).coordinators[0].error_code, refused);
    }
}
