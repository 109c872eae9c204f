//! Owns how much the members of groups may have the broker keep: what they say of themselves stays for as long as they are members.

use kafka_protocol::messages::{JoinGroupRequest, SyncGroupRequest};

use super::Groups;
use super::group::Group;
use super::member::Member;
use crate::broker::response::Client;

/// What a member takes beside its bytes.
const MEMBER_OVERHEAD_BYTES: usize = 512;

/// Bytes of a group's members. Apache keeps a generation as one record, of a megabyte at most unless told otherwise; a hundred
/// members that read a thousand topics each say three times as much.
const MAX_GROUP_BYTES: usize = 16 << 20;

/// Bytes of the members of all groups.
const MAX_TOTAL_BYTES: usize = 64 << 20;

/// A member that says little may still join when others have taken all of it: half as much again is kept for these.
const SMALL_REQUEST_BYTES: usize = 16 << 10;
const MAX_TOTAL_BYTES_FOR_SMALL: usize = MAX_TOTAL_BYTES + MAX_TOTAL_BYTES / 2;

impl Member {
    fn bytes_without_assignment(&self) -> usize {
        let said: usize = self.protocols.iter().map(|(name, metadata)| name.len() + metadata.len()).sum();
        let named = self.id.len() + self.instance.as_ref().map_or(0, String::len) + self.client_id.len();
        said + named + self.client_host.len() + MEMBER_OVERHEAD_BYTES
    }
}

impl Group {
    fn bytes_without_assignments(&self) -> usize {
        let members: usize = self.members.values().map(Member::bytes_without_assignment).sum();
        let pending: usize = self.pending_members.iter().map(|id| id.len() + MEMBER_OVERHEAD_BYTES).sum();
        self.id.len() + members + pending
    }

    fn memory_bytes(&self) -> usize {
        let given: usize = self.members.values().map(|member| member.assignment.len()).sum();
        self.bytes_without_assignments() + given
    }
}

impl Groups {
    /// Whether there is room for what one says who options. What it said before is forgotten for it.
    pub(super) fn fits_join(&self, request: &JoinGroupRequest, client: &Client) -> bool {
        let said: usize = request.protocols.iter().map(|protocol| protocol.name.len() + protocol.metadata.len()).sum();
        let instance = request.group_instance_id.as_deref();
        // Its id is made of its name.
        let named = 2 * client.id.len() + 2 * instance.map_or(0, str::len) + client.host.len();
        let group = self.by_id.get(request.group_id.as_str());
        let known = group.and_then(|group| {
            let of_instance = instance.and_then(|instance| group.member_of_instance(instance));
            of_instance.or_else(|| group.members.get(request.member_id.as_str()))
        });
        let before = known.map_or(0, Member::bytes_without_assignment);
        self.fits(group, request.group_id.len() + said + named + MEMBER_OVERHEAD_BYTES, before)
    }

    /// Whether there is room for what the leader gives everybody.
    pub(super) fn fits_assignments(&self, group: &Group, request: &SyncGroupRequest) -> bool {
        let given = request.assignments.iter().map(|given| given.assignment.len()).sum();
        self.fits(Some(group), given, group.memory_bytes() - group.bytes_without_assignments())
    }

    fn fits(&self, group: Option<&Group>, more: usize, less: usize) -> bool {
        let after = |weight: usize| (weight + more).saturating_sub(less);
        let most = if more <= SMALL_REQUEST_BYTES { MAX_TOTAL_BYTES_FOR_SMALL } else { MAX_TOTAL_BYTES };
        after(group.map_or(0, Group::memory_bytes)) <= MAX_GROUP_BYTES && after(self.memory_bytes()) <= most
    }

    /// Bytes that the members of all groups have the broker keep.
    pub(super) fn memory_bytes(&self) -> usize {
        self.by_id.values().map(Group::memory_bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kafka_protocol::messages::JoinGroupResponse;
    use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;

    use super::*;
    use crate::broker::ResponseError;
    use crate::broker::groups::str_bytes;
    use crate::broker::groups::test_support::{SESSION_MS, TestCoordinator};
    use crate::broker::response::MaybeDeferred;

    /// A member that knows no better says so much, and its join is answered with this; 0 also where it has to wait.
    fn join(coordinator: &mut TestCoordinator, group: &str, bytes: usize) -> (i16, String) {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(str_bytes("range"))
            .with_metadata(Bytes::from(vec![0; bytes]));
        let request = JoinGroupRequest::default()
            .with_group_id(str_bytes(group).into())
            .with_session_timeout_ms(SESSION_MS)
            .with_rebalance_timeout_ms(SESSION_MS)
            .with_protocol_type(str_bytes("consumer"))
            .with_protocols(vec![protocol]);
        match coordinator.context(3, |groups, broker, context| groups.join(broker, &request, context)) {
            MaybeDeferred::Now(JoinGroupResponse { error_code, member_id, .. }) => (error_code, member_id.to_string()),
            MaybeDeferred::Later(_) => (0, String::new()),
        }
    }

    /// `GROUP_MAX_SIZE_REACHED`
    const FULL: i16 = 81;

    #[test]
    fn members_that_say_too_much_are_refused_and_those_before_stay() {
        let mut coordinator = TestCoordinator::default();
        for _ in 0..12 {
            assert_eq!(join(&mut coordinator, "g", 30 << 20).0, FULL);
        }
        assert_eq!(coordinator.groups.memory_bytes(), 0, "not even the group was made");
        for _ in 0..3 {
            assert_eq!(join(&mut coordinator, "g", 5 << 20).0, 0);
        }
        assert_eq!(join(&mut coordinator, "g", 5 << 20).0, FULL);
        assert_eq!(join(&mut coordinator, "g", 100_000).0, 0, "there is room for one that says as much as clients do");
        assert!(coordinator.groups.memory_bytes() <= MAX_GROUP_BYTES);
        coordinator.advance(i64::from(SESSION_MS) + 5 * 60 * 1000);
        assert!(coordinator.groups.memory_bytes() < 1_000, "who is gone takes nothing");
        assert_eq!(join(&mut coordinator, "g", 5 << 20).0, 0);
    }

    #[test]
    fn all_groups_have_a_bound_and_who_says_little_joins_all_the_same() {
        let mut coordinator = TestCoordinator::default();
        let taken =
            (0..100).take_while(|number| join(&mut coordinator, &format!("g{number}"), 15 << 20).0 == 0).count();
        assert_eq!(taken, 4);
        assert_eq!(join(&mut coordinator, "h", 15 << 20).0, FULL);
        assert_eq!(join(&mut coordinator, "ours", 1_000).0, 0);
        let small =
            (0..100_000).take_while(|number| join(&mut coordinator, &format!("s{number}"), 10_000).0 == 0).count();
        assert!((3_000..4_000).contains(&small), "{small}");
        assert!(coordinator.groups.memory_bytes() <= MAX_TOTAL_BYTES_FOR_SMALL);
    }

    #[test]
    fn a_member_that_says_something_else_takes_no_more_than_that() {
        let mut coordinator = TestCoordinator::default();
        let (code, member) = join(&mut coordinator, "g", 12 << 20);
        assert_eq!(code, 0);
        let request = |bytes: usize| {
            let protocol = JoinGroupRequestProtocol::default()
                .with_name(str_bytes("range"))
                .with_metadata(Bytes::from(vec![1; bytes]));
            JoinGroupRequest::default()
                .with_group_id(str_bytes("g").into())
                .with_member_id(str_bytes(&member))
                .with_protocols(vec![protocol])
        };
        let client = Client { connection: 1, id: String::new(), host: String::new() };
        assert!(coordinator.groups.fits_join(&request(15 << 20), &client));
        assert!(!coordinator.groups.fits_join(&request(17 << 20), &client));
    }

    #[test]
    fn an_assignment_beyond_it_is_refused_as_apache_refuses_it() {
        let mut coordinator = TestCoordinator::default();
        let member = coordinator.stable_of_one();
        let leader =
            coordinator.join_now(super::super::test_support::JoinOptions { member: &member, ..Default::default() });
        let huge: &str = "x".repeat(MAX_GROUP_BYTES).leak();
        let refused = coordinator.sync_now(&member, leader.generation_id, &[(&member, huge)]);
        assert_eq!(refused.error_code, ResponseError::UnknownServerError.code());
        assert!(coordinator.groups.memory_bytes() < 100_000);
        let joined =
            coordinator.join_now(super::super::test_support::JoinOptions { member: &member, ..Default::default() });
        assert_eq!(coordinator.sync_now(&member, joined.generation_id, &[(&member, "all")]).error_code, 0);
    }
}
