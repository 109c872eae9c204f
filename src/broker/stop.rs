//! The core's part of a graceful stop: every wait is ended, and none begins.
//!
//! Apache Kafka's controlled shutdown gives up the coordinators first: joins and syncs that wait are answered with
//! `NOT_COORDINATOR`, and later requests of members with `COORDINATOR_NOT_AVAILABLE`, which clients retry. Delayed fetches
//! end, there because another broker leads from now on. Here none does, so they are answered with what there is.
//! Commits, ends of transactions and departures are applied until the last connection is closed.

use kafka_protocol::error::ResponseError;

use super::core::Core;
use super::refusals::Refusable;

impl Core {
    /// Answers every request that waits, and lets no other wait from now on. The timer must not run any more: members
    /// whose join was ended here would count as missing in a rebalance that it completes.
    pub fn end_waits(&mut self, now: i64) {
        self.stopping = true;
        self.release_fetches();
        self.groups.end_waits(now, &mut self.outbox);
    }
}

/// The answer of a coordinator that is being stopped.
pub(super) fn refuse<R: Refusable>(request: &R) -> R::Response {
    let mut response = request.unanswered();
    R::blame(&mut response, ResponseError::CoordinatorNotAvailable.code());
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

    use super::super::answer::{Answer, Call, Client, Deferred};
    use super::super::topics::fixture::{NOW, append, broker, make, name, text};
    use super::*;

    /// Calls the core in a version.
    fn with_call<T>(version: i16, work: impl FnOnce(&Call<'_>) -> T) -> T {
        let client = Client { connection: 1, id: "test".to_owned(), host: "/127.0.0.1".to_owned() };
        work(&Call { version, now: NOW, client: &client })
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
    fn joined(core: &mut Core) -> Answer<JoinGroupResponse> {
        with_call(3, |call| core.join_group(&join(""), call))
    }

    fn now<T>(answer: Answer<T>) -> T {
        match answer {
            Answer::Now(answer) => answer,
            Answer::Later(_) => panic!("it waits"),
        }
    }

    #[test]
    fn a_waiting_fetch_gets_what_there_is() {
        let mut core = broker();
        make(&mut core, "t", 1, &[]);
        append(&mut core, "t", "k", "v", NOW);
        let Answer::Later(ticket) = with_call(12, |call| core.fetch(&fetch(0), call)) else { panic!("it waits") };
        core.end_waits(NOW);
        assert!(matches!(core.take_ready()[..], [(ready, Deferred::Fetch)] if ready == ticket));
        // And one that comes later does not wait.
        let plan = now(with_call(12, |call| core.fetch(&fetch(0), call)));
        let records = plan.read().expect("read").responses[0].partitions[0].records.clone();
        assert!(!records.expect("records").is_empty());
    }

    #[test]
    fn members_that_wait_are_told_and_no_generation_is_made() {
        let mut core = broker();
        let leader = now(joined(&mut core)).member_id.to_string();
        let Answer::Later(_) = joined(&mut core) else { panic!("it waits for the first to join again") };
        let leader_again = now(with_call(3, |call| core.join_group(&join(&leader), call)));
        let follower = core.take_ready().into_iter().find_map(|(_, deferred)| match deferred {
            Deferred::Join(answer) => Some(answer),
            _ => None,
        });
        let follower = follower.expect("the rebalance is through");
        assert_eq!((leader_again.generation_id, follower.generation_id), (2, 2));
        // It waits for the leader's assignment.
        let sync = SyncGroupRequest::default()
            .with_group_id(GroupId(text("g")))
            .with_generation_id(2)
            .with_member_id(follower.member_id);
        let Answer::Later(_) = with_call(3, |call| core.sync_group(&sync, call)) else { panic!("it waits") };
        let before = core.groups.snapshot();
        core.end_waits(NOW);
        let told = core.take_ready();
        let [(_, Deferred::Sync(synced))] = &told[..] else { panic!("{told:?}") };
        assert_eq!(synced.error_code, ResponseError::NotCoordinator.code());
        assert_eq!(core.groups.snapshot(), before);

        let mut core = broker();
        now(joined(&mut core));
        let Answer::Later(_) = joined(&mut core) else { panic!("it waits") };
        core.end_waits(NOW);
        let told = core.take_ready();
        let [(_, Deferred::Join(joining))] = &told[..] else { panic!("{told:?}") };
        assert_eq!(joining.error_code, ResponseError::NotCoordinator.code());
        assert!(joining.protocol_name.is_some(), "before version 7 it is never null");
        assert_eq!(core.groups.summary().map(|(_, _, members)| members).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn members_that_come_later_are_told_to_look_for_another_coordinator() {
        let mut core = broker();
        let member = now(joined(&mut core)).member_id;
        core.end_waits(NOW);
        let refused = ResponseError::CoordinatorNotAvailable.code();
        assert_eq!(now(joined(&mut core)).error_code, refused);
        let heartbeat = HeartbeatRequest::default()
            .with_group_id(GroupId(text("g")))
            .with_generation_id(1)
            .with_member_id(member.clone());
        assert_eq!(with_call(4, |call| core.heartbeat(&heartbeat, call)).error_code, refused);
        let sync =
            SyncGroupRequest::default().with_group_id(GroupId(text("g"))).with_generation_id(1).with_member_id(member);
        assert_eq!(now(with_call(3, |call| core.sync_group(&sync, call))).error_code, refused);
        let find = FindCoordinatorRequest::default().with_key(text("g")).with_coordinator_keys(vec![text("g")]);
        assert_eq!(with_call(3, |call| core.find_coordinator(&find, call)).error_code, refused);
        assert_eq!(with_call(4, |call| core.find_coordinator(&find, call)).coordinators[0].error_code, refused);
    }
}
