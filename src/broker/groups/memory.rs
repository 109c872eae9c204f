//! Memory limits of group members: their ids, protocol metadata and assignments.

use kafka_protocol::messages::{JoinGroupRequest, SyncGroupRequest};

use super::Groups;
use super::group::Group;
use super::member::Member;
use crate::broker::response::Client;

/// Estimated memory of a member without its strings and metadata.
const MEMBER_OVERHEAD_BYTES: usize = 512;

/// Limit for the members of one group. Kafka stores a generation as one record, which has at most 1 MiB by default; the
/// metadata of a hundred members that each subscribe to a thousand topics is three times as much.
const MAX_GROUP_BYTES: usize = 16 << 20;

/// Limit for the members of all groups.
const MAX_TOTAL_BYTES: usize = 64 << 20;

/// Requests up to this size have a higher total limit, so that ordinary members can join when large ones have used up
/// the other.
const SMALL_REQUEST_BYTES: usize = 16 << 10;
const MAX_TOTAL_BYTES_FOR_SMALL: usize = MAX_TOTAL_BYTES + MAX_TOTAL_BYTES / 2;

impl Member {
    fn bytes_without_assignment(&self) -> usize {
        let protocols: usize = self.protocols.iter().map(|(name, metadata)| name.len() + metadata.len()).sum();
        let names = self.id.len() + self.instance.as_ref().map_or(0, String::len) + self.client_id.len();
        protocols + names + self.client_host.len() + MEMBER_OVERHEAD_BYTES
    }
}

impl Group {
    fn bytes_without_assignments(&self) -> usize {
        let members: usize = self.members.values().map(Member::bytes_without_assignment).sum();
        let pending: usize = self.pending_members.iter().map(|id| id.len() + MEMBER_OVERHEAD_BYTES).sum();
        self.id.len() + members + pending
    }

    fn memory_bytes(&self) -> usize {
        let assignments: usize = self.members.values().map(|member| member.assignment.len()).sum();
        self.bytes_without_assignments() + assignments
    }
}

impl Groups {
    /// Whether a join fits into the limits. It replaces the metadata of an earlier join of the member.
    pub(super) fn fits_join(&self, request: &JoinGroupRequest, client: &Client) -> bool {
        let protocols: usize =
            request.protocols.iter().map(|protocol| protocol.name.len() + protocol.metadata.len()).sum();
        let instance = request.group_instance_id.as_deref();
        // Counted twice: the member id contains the client id or the instance id.
        let names = 2 * client.id.len() + 2 * instance.map_or(0, str::len) + client.host.len();
        let group = self.by_id.get(request.group_id.as_str());
        let known = group.and_then(|group| {
            let of_instance = instance.and_then(|instance| group.member_of_instance(instance));
            of_instance.or_else(|| group.members.get(request.member_id.as_str()))
        });
        let before = known.map_or(0, Member::bytes_without_assignment);
        self.fits(group, request.group_id.len() + protocols + names + MEMBER_OVERHEAD_BYTES, before)
    }

    /// Whether the leader's assignments fit into the limits. They replace the current ones.
    pub(super) fn fits_assignments(&self, group: &Group, request: &SyncGroupRequest) -> bool {
        let assignments = request.assignments.iter().map(|assigned| assigned.assignment.len()).sum();
        self.fits(Some(group), assignments, group.memory_bytes() - group.bytes_without_assignments())
    }

    fn fits(&self, group: Option<&Group>, added: usize, removed: usize) -> bool {
        let after = |bytes: usize| (bytes + added).saturating_sub(removed);
        let max_total = if added <= SMALL_REQUEST_BYTES { MAX_TOTAL_BYTES_FOR_SMALL } else { MAX_TOTAL_BYTES };
        after(group.map_or(0, Group::memory_bytes)) <= MAX_GROUP_BYTES && after(self.memory_bytes()) <= max_total
    }

    /// Memory of the members of all groups.
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

    /// Sends a join with this much metadata. Returns the error code and the member id; the code is 0 if the join waits.
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
    fn large_joins_are_refused() {
        let mut coordinator = TestCoordinator::default();
        for _ in 0..12 {
            assert_eq!(join(&mut coordinator, "g", 30 << 20).0, FULL);
        }
        assert_eq!(coordinator.groups.memory_bytes(), 0, "the group was not created");
        for _ in 0..3 {
            assert_eq!(join(&mut coordinator, "g", 5 << 20).0, 0);
        }
        assert_eq!(join(&mut coordinator, "g", 5 << 20).0, FULL);
        assert_eq!(join(&mut coordinator, "g", 100_000).0, 0, "an ordinary member fits");
        assert!(coordinator.groups.memory_bytes() <= MAX_GROUP_BYTES);
        coordinator.advance(i64::from(SESSION_MS) + 5 * 60 * 1000);
        assert!(coordinator.groups.memory_bytes() < 1_000, "a removed member uses no memory");
        assert_eq!(join(&mut coordinator, "g", 5 << 20).0, 0);
    }

    #[test]
    fn small_joins_fit_beyond_the_total_limit() {
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
    fn a_rejoin_replaces_the_earlier_metadata() {
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
    fn large_assignments_are_refused_as_by_kafka() {
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
