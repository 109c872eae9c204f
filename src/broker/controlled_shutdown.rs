//! Controlled shutdown of the core: every waiting request is answered, and no new one waits.
//!
//! Like Apache Kafka, the broker gives up the coordinators first: waiting joins and syncs get `NOT_COORDINATOR`, and
//! later requests of members get `COORDINATOR_NOT_AVAILABLE`, which clients retry. Waiting fetches end. In Apache Kafka
//! another broker leads the partitions from then on; here none exists, so a fetch returns the records so far.
//! Commits, ends of transactions and `LeaveGroup` are applied until the last connection is closed.

use kafka_protocol::error::ResponseError;

use super::core::Core;
use super::error_response::ErrorResponse;

impl Core {
    /// Answers every waiting request; from now on none waits. The timer must have stopped: if it completed a rebalance,
    /// the members whose joins end here would count as missing.
    pub fn end_waiting_requests(&mut self, now: i64) {
        self.stopping = true;
        self.release_fetches();
        self.groups.end_waiting_requests(now, &mut self.outbox);
    }
}

/// The response of a coordinator that is shutting down.
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

    /// Calls the core with a request context of this version.
    fn with_context<T>(version: i16, work: impl FnOnce(&RequestContext<'_>) -> T) -> T {
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

    /// Joins at a version that does not require a member id.
    fn joined(core: &mut Core) -> MaybeDeferred<JoinGroupResponse> {
        with_context(3, |context| core.join_group(&join(""), context))
    }

    fn now<T>(response: MaybeDeferred<T>) -> T {
        match response {
            MaybeDeferred::Now(response) => response,
            MaybeDeferred::Later(_) => panic!("deferred"),
        }
    }

    #[test]
    fn a_waiting_fetch_returns_its_records() {
        let mut core = broker();
        make(&mut core, "t", 1, &[]);
        append(&mut core, "t", "k", "v", NOW);
        let MaybeDeferred::Later(ticket) = with_context(12, |context| core.fetch(&fetch(0), context)) else {
            panic!("deferred")
        };
        core.end_waiting_requests(NOW);
        assert!(matches!(core.take_ready()[..], [(ready, DeferredResponse::Fetch)] if ready == ticket));
        // A later fetch does not wait.
        let plan = now(with_context(12, |context| core.fetch(&fetch(0), context)));
        let records = plan.read().expect("read").responses[0].partitions[0].records.clone();
        assert!(!records.expect("records").is_empty());
    }

    #[test]
    fn waiting_members_get_not_coordinator() {
        let mut core = broker();
        let leader = now(joined(&mut core)).member_id.to_string();
        let MaybeDeferred::Later(_) = joined(&mut core) else { panic!("not deferred until the first member rejoins") };
        let leader_again = now(with_context(3, |context| core.join_group(&join(&leader), context)));
        let follower = core.take_ready().into_iter().find_map(|(_, deferred)| match deferred {
            DeferredResponse::Join(response) => Some(response),
            _ => None,
        });
        let follower = follower.expect("the rebalance completed");
        assert_eq!((leader_again.generation_id, follower.generation_id), (2, 2));
        // The sync waits for the leader's assignments.
        let sync = SyncGroupRequest::default()
            .with_group_id(GroupId(text("g")))
            .with_generation_id(2)
            .with_member_id(follower.member_id);
        let MaybeDeferred::Later(_) = with_context(3, |context| core.sync_group(&sync, context)) else {
            panic!("deferred")
        };
        let before = core.groups.snapshot();
        core.end_waiting_requests(NOW);
        let ready = core.take_ready();
        let [(_, DeferredResponse::Sync(synced))] = &ready[..] else { panic!("{ready:?}") };
        assert_eq!(synced.error_code, ResponseError::NotCoordinator.code());
        assert_eq!(core.groups.snapshot(), before);

        let mut core = broker();
        now(joined(&mut core));
        let MaybeDeferred::Later(_) = joined(&mut core) else { panic!("not deferred") };
        core.end_waiting_requests(NOW);
        let ready = core.take_ready();
        let [(_, DeferredResponse::Join(joining))] = &ready[..] else { panic!("{ready:?}") };
        assert_eq!(joining.error_code, ResponseError::NotCoordinator.code());
        assert!(joining.protocol_name.is_some(), "not nullable before version 7");
        assert_eq!(core.groups.summary().map(|(_, _, members)| members).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn later_members_get_coordinator_not_available() {
        let mut core = broker();
        let member = now(joined(&mut core)).member_id;
        core.end_waiting_requests(NOW);
        let refused = ResponseError::CoordinatorNotAvailable.code();
        assert_eq!(now(joined(&mut core)).error_code, refused);
        let heartbeat = HeartbeatRequest::default()
            .with_group_id(GroupId(text("g")))
            .with_generation_id(1)
            .with_member_id(member.clone());
        assert_eq!(with_context(4, |context| core.heartbeat(&heartbeat, context)).error_code, refused);
        let sync =
            SyncGroupRequest::default().with_group_id(GroupId(text("g"))).with_generation_id(1).with_member_id(member);
        assert_eq!(now(with_context(3, |context| core.sync_group(&sync, context))).error_code, refused);
        let find = FindCoordinatorRequest::default().with_key(text("g")).with_coordinator_keys(vec![text("g")]);
        assert_eq!(with_context(3, |context| core.find_coordinator(&find, context)).error_code, refused);
        assert_eq!(
            with_context(4, |context| core.find_coordinator(&find, context)).coordinators[0].error_code,
            refused
        );
    }
}
