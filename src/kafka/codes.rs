//! Table of every error code of librdkafka and of Kafka's protocol: its kind, and what Kafka's Java client does with it.
//!
//! Sources: the exceptions that `org.apache.kafka.common.protocol.Errors` (4.1) maps codes to, where a subclass of
//! `RetriableException` is sent again and one of `InvalidMetadataException` after a look at the metadata; the producer's and
//! consumer's handling of transactions (KIP-98, KIP-360, KIP-447, KIP-588) and of members (KIP-345, KIP-394); for codes
//! below zero, which no broker sends, librdkafka's `rdkafka.h`.

use rdkafka::error::RDKafkaErrorCode as Rd;

/// What an error means for the caller. Control flow asks for the kind, never for a text or an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The same request succeeds later: a broker is busy, starts, or waits for its replicas.
    Passing,
    /// The partition's leader moved: refresh the metadata, then send the request again.
    LeaderMoved,
    /// The coordinator of a group or transactional id moved: look it up, then send the request again.
    CoordinatorMoved,
    /// No answer: no connection, or none in time.
    Unreachable,
    /// A limit of this machine: open files, memory, disk.
    Exhausted,
    /// Authentication or an ACL refused.
    Denied,
    /// The topic, partition or group does not exist.
    Missing,
    /// What is to be made exists, or what is to be deleted is in use.
    Conflict,
    /// The next record to read is not in the log: deleted, or the log was truncated.
    OutOfRange,
    /// The member's generation is over: abort the transaction and wait for the next assignment.
    StaleMember,
    /// Another process has the transactional id or the instance id; or the broker gave up on the transaction.
    Fenced,
    /// The transaction can only be aborted; its records may be processed again.
    Abortable,
    /// Whether the request took effect is unknown: do not reuse the producer.
    UnknownOutcome,
    /// A record or batch is refused for good: too large or invalid.
    BadRecord,
    /// Bytes that cannot be read: a damaged log or a broken broker.
    Corrupt,
    /// A property, a name or a request that this cluster does not take.
    Misconfigured,
    /// The broker is too old for the request, or built without the feature.
    Unsupported,
    /// A signal asked this process to stop.
    Stopped,
    /// Nothing that the table foresees for a request of this program.
    Unexpected,
}

impl Kind {
    /// Whether the same request may succeed by itself: sent again, after a look at the metadata or the coordinator.
    #[must_use]
    pub const fn passes(self) -> bool {
        matches!(self, Self::Passing | Self::LeaderMoved | Self::CoordinatorMoved | Self::Unreachable)
    }

    /// Whether an error of a partition that is read is about the bytes that came, or that a broker could not send: they may be
    /// whole when they are fetched again, and are damaged or beyond this client if not.
    pub(super) const fn is_of_bytes(self) -> bool {
        matches!(self, Self::Corrupt | Self::BadRecord | Self::Unsupported | Self::Exhausted | Self::Unexpected)
    }
}

/// What Kafka's Java client does with a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Java {
    /// Sends the request again after `retry.backoff.ms`.
    Retry,
    /// Refreshes its metadata first.
    Refresh,
    /// Looks the coordinator up first.
    FindCoordinator,
    /// Joins the group again.
    Rejoin,
    /// Leaves it to the application to abort the transaction.
    Abort,
    /// Starts from `auto.offset.reset`, or throws where there is none.
    Reset,
    /// Throws: the application cannot continue with this client or this request.
    Throw,
    /// It has no such code.
    Nothing,
}

/// A row: the code, its kind, what the Java client does, and the exception or document that says so.
pub(super) struct Row {
    pub code: Rd,
    pub kind: Kind,
    #[cfg_attr(not(test), expect(dead_code, reason = "documentation that a test holds together with the kind"))]
    pub java: Java,
    #[cfg_attr(not(test), expect(dead_code, reason = "documentation that a test requires of each row"))]
    pub source: &'static str,
}

const fn row(code: Rd, kind: Kind, java: Java, source: &'static str) -> Row {
    Row { code, kind, java, source }
}

const LIBRARY: &str = "rdkafka.h";

/// One row for each code.
#[rustfmt::skip]
pub(super) const TABLE: &[Row] = &[
    // librdkafka's own, from -199 on.
    row(Rd::BadMessage, Kind::Corrupt, Java::Nothing, LIBRARY),
    row(Rd::BadCompression, Kind::Corrupt, Java::Nothing, LIBRARY),
    row(Rd::BrokerDestroy, Kind::LeaderMoved, Java::Nothing, LIBRARY),
    row(Rd::Fail, Kind::Unexpected, Java::Nothing, LIBRARY),
    row(Rd::BrokerTransportFailure, Kind::Unreachable, Java::Retry, "DisconnectException"),
    row(Rd::CriticalSystemResource, Kind::Exhausted, Java::Nothing, LIBRARY),
    row(Rd::Resolve, Kind::Unreachable, Java::Retry, "ClientUtils.resolve; a bootstrap address is refused when the client is made"),
    row(Rd::MessageTimedOut, Kind::Unreachable, Java::Throw, "delivery.timeout.ms: TimeoutException"),
    row(Rd::PartitionEOF, Kind::Unexpected, Java::Nothing, LIBRARY),
    row(Rd::UnknownPartition, Kind::Missing, Java::Refresh, "UnknownTopicOrPartitionException"),
    row(Rd::FileSystem, Kind::Exhausted, Java::Nothing, LIBRARY),
    row(Rd::UnknownTopic, Kind::Missing, Java::Refresh, "UnknownTopicOrPartitionException"),
    row(Rd::AllBrokersDown, Kind::Unreachable, Java::Retry, "NetworkClient.leastLoadedNode"),
    row(Rd::InvalidArgument, Kind::Misconfigured, Java::Throw, "ConfigException"),
    row(Rd::OperationTimedOut, Kind::Unreachable, Java::Retry, "TimeoutException"),
    row(Rd::QueueFull, Kind::Passing, Java::Retry, "buffer.memory: KafkaProducer.send waits for max.block.ms"),
    row(Rd::ISRInsufficient, Kind::Passing, Java::Retry, "NotEnoughReplicasException"),
    row(Rd::NodeUpdate, Kind::Passing, Java::Nothing, LIBRARY),
    row(Rd::SSL, Kind::Unreachable, Java::Throw, "SslAuthenticationException"),
    row(Rd::WaitingForCoordinator, Kind::CoordinatorMoved, Java::FindCoordinator, "AbstractCoordinator.ensureCoordinatorReady"),
    row(Rd::UnknownGroup, Kind::Missing, Java::Nothing, LIBRARY),
    row(Rd::InProgress, Kind::Passing, Java::Nothing, LIBRARY),
    row(Rd::PreviousInProgress, Kind::Passing, Java::Nothing, LIBRARY),
    row(Rd::ExistingSubscription, Kind::Misconfigured, Java::Throw, "IllegalStateException"),
    row(Rd::AssignPartitions, Kind::Unexpected, Java::Nothing, LIBRARY),
    row(Rd::RevokePartitions, Kind::Unexpected, Java::Nothing, LIBRARY),
    row(Rd::Conflict, Kind::Unexpected, Java::Throw, "IllegalStateException"),
    row(Rd::State, Kind::Abortable, Java::Abort, "KIP-98: a failed transaction can only be aborted"),
    row(Rd::UnknownProtocol, Kind::Unsupported, Java::Throw, "UnsupportedVersionException"),
    row(Rd::NotImplemented, Kind::Unsupported, Java::Throw, "UnsupportedOperationException"),
    row(Rd::Authentication, Kind::Denied, Java::Throw, "AuthenticationException"),
    row(Rd::NoOffset, Kind::OutOfRange, Java::Reset, "NoOffsetForPartitionException"),
    row(Rd::Outdated, Kind::Passing, Java::Nothing, LIBRARY),
    row(Rd::TimedOutQueue, Kind::Unreachable, Java::Retry, "request.timeout.ms"),
    row(Rd::UnsupportedFeature, Kind::Unsupported, Java::Throw, "UnsupportedVersionException"),
    row(Rd::WaitCache, Kind::LeaderMoved, Java::Refresh, "KafkaProducer.waitOnMetadata"),
    row(Rd::Interrupted, Kind::Passing, Java::Nothing, LIBRARY),
    row(Rd::KeySerialization, Kind::Unexpected, Java::Throw, "SerializationException"),
    row(Rd::ValueSerialization, Kind::Unexpected, Java::Throw, "SerializationException"),
    row(Rd::KeyDeserialization, Kind::Unexpected, Java::Throw, "RecordDeserializationException"),
    row(Rd::ValueDeserialization, Kind::Unexpected, Java::Throw, "RecordDeserializationException"),
    row(Rd::Partial, Kind::Passing, Java::Nothing, LIBRARY),
    row(Rd::ReadOnly, Kind::Unexpected, Java::Nothing, LIBRARY),
    row(Rd::NoEnt, Kind::Missing, Java::Nothing, LIBRARY),
    row(Rd::Underflow, Kind::Corrupt, Java::Throw, "SchemaException"),
    row(Rd::InvalidType, Kind::Misconfigured, Java::Throw, "ConfigException"),
    row(Rd::Retry, Kind::Passing, Java::Retry, "RetriableException"),
    row(Rd::PurgeQueue, Kind::Abortable, Java::Abort, "TransactionAbortedException"),
    row(Rd::PurgeInflight, Kind::Abortable, Java::Abort, "TransactionAbortedException"),
    row(Rd::Fatal, Kind::UnknownOutcome, Java::Throw, "KIP-98: the producer must be closed"),
    row(Rd::Inconsistent, Kind::UnknownOutcome, Java::Nothing, LIBRARY),
    row(Rd::GaplessGuarantee, Kind::UnknownOutcome, Java::Nothing, LIBRARY),
    row(Rd::PollExceeded, Kind::StaleMember, Java::Rejoin, "max.poll.interval.ms (KIP-62)"),
    row(Rd::UnknownBroker, Kind::LeaderMoved, Java::Refresh, "StaleMetadataException"),
    row(Rd::NotConfigured, Kind::Misconfigured, Java::Throw, "IllegalStateException"),
    row(Rd::Fenced, Kind::Fenced, Java::Throw, "ProducerFencedException"),
    row(Rd::Application, Kind::Unexpected, Java::Nothing, LIBRARY),
    row(Rd::AssignmentLost, Kind::StaleMember, Java::Rejoin, "ConsumerRebalanceListener.onPartitionsLost"),
    row(Rd::Noop, Kind::Unexpected, Java::Nothing, LIBRARY),
    row(Rd::AutoOffsetReset, Kind::OutOfRange, Java::Reset, "OffsetOutOfRangeException"),
    row(Rd::LogTruncation, Kind::OutOfRange, Java::Reset, "LogTruncationException (KIP-320)"),
    row(Rd::InvalidDifferentRecord, Kind::BadRecord, Java::Throw, "KIP-467"),
    row(Rd::DestroyBroker, Kind::LeaderMoved, Java::Refresh, "the node left the metadata: DisconnectException"),
    // Kafka's protocol.
    row(Rd::Unknown, Kind::Unexpected, Java::Throw, "UnknownServerException"),
    row(Rd::OffsetOutOfRange, Kind::OutOfRange, Java::Reset, "OffsetOutOfRangeException"),
    row(Rd::InvalidMessage, Kind::Corrupt, Java::Throw, "CorruptRecordException; a produce is sent again, a poll throws"),
    row(Rd::UnknownTopicOrPartition, Kind::Missing, Java::Refresh, "UnknownTopicOrPartitionException"),
    row(Rd::InvalidMessageSize, Kind::Misconfigured, Java::Throw, "InvalidFetchSizeException"),
    row(Rd::LeaderNotAvailable, Kind::LeaderMoved, Java::Refresh, "LeaderNotAvailableException"),
    row(Rd::NotLeaderForPartition, Kind::LeaderMoved, Java::Refresh, "NotLeaderOrFollowerException"),
    row(Rd::RequestTimedOut, Kind::Passing, Java::Retry, "TimeoutException"),
    row(Rd::BrokerNotAvailable, Kind::Passing, Java::Throw, "BrokerNotAvailableException; no broker of today sends it"),
    row(Rd::ReplicaNotAvailable, Kind::LeaderMoved, Java::Refresh, "ReplicaNotAvailableException"),
    row(Rd::MessageSizeTooLarge, Kind::BadRecord, Java::Throw, "RecordTooLargeException"),
    row(Rd::StaleControllerEpoch, Kind::Unexpected, Java::Throw, "ControllerMovedException; between brokers"),
    row(Rd::OffsetMetadataTooLarge, Kind::Unexpected, Java::Throw, "OffsetMetadataTooLarge"),
    row(Rd::NetworkException, Kind::LeaderMoved, Java::Refresh, "NetworkException"),
    row(Rd::CoordinatorLoadInProgress, Kind::Passing, Java::Retry, "CoordinatorLoadInProgressException"),
    row(Rd::CoordinatorNotAvailable, Kind::CoordinatorMoved, Java::FindCoordinator, "CoordinatorNotAvailableException"),
    row(Rd::NotCoordinator, Kind::CoordinatorMoved, Java::FindCoordinator, "NotCoordinatorException"),
    row(Rd::InvalidTopic, Kind::Misconfigured, Java::Throw, "InvalidTopicException"),
    row(Rd::MessageBatchTooLarge, Kind::BadRecord, Java::Throw, "RecordBatchTooLargeException"),
    row(Rd::NotEnoughReplicas, Kind::Passing, Java::Retry, "NotEnoughReplicasException"),
    row(Rd::NotEnoughReplicasAfterAppend, Kind::Passing, Java::Retry, "NotEnoughReplicasAfterAppendException"),
    row(Rd::InvalidRequiredAcks, Kind::Misconfigured, Java::Throw, "InvalidRequiredAcksException"),
    row(Rd::IllegalGeneration, Kind::StaleMember, Java::Rejoin, "IllegalGenerationException"),
    row(Rd::InconsistentGroupProtocol, Kind::Misconfigured, Java::Throw, "InconsistentGroupProtocolException"),
    row(Rd::InvalidGroupId, Kind::Misconfigured, Java::Throw, "InvalidGroupIdException"),
    row(Rd::UnknownMemberId, Kind::StaleMember, Java::Rejoin, "UnknownMemberIdException"),
    row(Rd::InvalidSessionTimeout, Kind::Misconfigured, Java::Throw, "InvalidSessionTimeoutException"),
    row(Rd::RebalanceInProgress, Kind::StaleMember, Java::Rejoin, "RebalanceInProgressException"),
    row(Rd::InvalidCommitOffsetSize, Kind::Unexpected, Java::Throw, "InvalidCommitOffsetSizeException"),
    row(Rd::TopicAuthorizationFailed, Kind::Denied, Java::Throw, "TopicAuthorizationException"),
    row(Rd::GroupAuthorizationFailed, Kind::Denied, Java::Throw, "GroupAuthorizationException"),
    row(Rd::ClusterAuthorizationFailed, Kind::Denied, Java::Throw, "ClusterAuthorizationException"),
    row(Rd::InvalidTimestamp, Kind::BadRecord, Java::Throw, "InvalidTimestampException"),
    row(Rd::UnsupportedSASLMechanism, Kind::Denied, Java::Throw, "UnsupportedSaslMechanismException"),
    row(Rd::IllegalSASLState, Kind::Denied, Java::Throw, "IllegalSaslStateException"),
    row(Rd::UnsupportedVersion, Kind::Unsupported, Java::Throw, "UnsupportedVersionException"),
    row(Rd::TopicAlreadyExists, Kind::Conflict, Java::Throw, "TopicExistsException"),
    row(Rd::InvalidPartitions, Kind::Misconfigured, Java::Throw, "InvalidPartitionsException"),
    row(Rd::InvalidReplicationFactor, Kind::Misconfigured, Java::Throw, "InvalidReplicationFactorException"),
    row(Rd::InvalidReplicaAssignment, Kind::Misconfigured, Java::Throw, "InvalidReplicaAssignmentException"),
    row(Rd::InvalidConfig, Kind::Misconfigured, Java::Throw, "InvalidConfigurationException"),
    row(Rd::NotController, Kind::Passing, Java::Retry, "NotControllerException"),
    row(Rd::InvalidRequest, Kind::Unexpected, Java::Throw, "InvalidRequestException"),
    row(Rd::UnsupportedForMessageFormat, Kind::Unsupported, Java::Throw, "UnsupportedForMessageFormatException"),
    row(Rd::PolicyViolation, Kind::Misconfigured, Java::Throw, "PolicyViolationException"),
    row(Rd::OutOfOrderSequenceNumber, Kind::Abortable, Java::Abort, "OutOfOrderSequenceException (KIP-360)"),
    row(Rd::DuplicateSequenceNumber, Kind::Unexpected, Java::Nothing, "DuplicateSequenceException; counts as acknowledged"),
    row(Rd::InvalidProducerEpoch, Kind::Fenced, Java::Abort, "InvalidProducerEpochException (KIP-588)"),
    row(Rd::InvalidTransactionalState, Kind::UnknownOutcome, Java::Throw, "InvalidTxnStateException"),
    row(Rd::InvalidProducerIdMapping, Kind::UnknownOutcome, Java::Abort, "InvalidPidMappingException (KIP-360)"),
    row(Rd::InvalidTransactionTimeout, Kind::Misconfigured, Java::Throw, "InvalidTxnTimeoutException"),
    row(Rd::ConcurrentTransactions, Kind::Passing, Java::Retry, "ConcurrentTransactionsException"),
    row(Rd::TransactionCoordinatorFenced, Kind::CoordinatorMoved, Java::Throw, "TransactionCoordinatorFencedException; between brokers"),
    row(Rd::TransactionalIdAuthorizationFailed, Kind::Denied, Java::Throw, "TransactionalIdAuthorizationException"),
    row(Rd::SecurityDisabled, Kind::Denied, Java::Throw, "SecurityDisabledException"),
    row(Rd::OperationNotAttempted, Kind::Abortable, Java::Abort, "OperationNotAttemptedException"),
    row(Rd::KafkaStorageError, Kind::LeaderMoved, Java::Refresh, "KafkaStorageException"),
    row(Rd::LogDirNotFound, Kind::Misconfigured, Java::Throw, "LogDirNotFoundException"),
    row(Rd::SaslAuthenticationFailed, Kind::Denied, Java::Throw, "SaslAuthenticationException"),
    row(Rd::UnknownProducerId, Kind::Abortable, Java::Abort, "UnknownProducerIdException (KIP-360)"),
    row(Rd::ReassignmentInProgress, Kind::Passing, Java::Throw, "ReassignmentInProgressException"),
    row(Rd::DelegationTokenAuthDisabled, Kind::Denied, Java::Throw, "DelegationTokenDisabledException"),
    row(Rd::DelegationTokenNotFound, Kind::Denied, Java::Throw, "DelegationTokenNotFoundException"),
    row(Rd::DelegationTokenOwnerMismatch, Kind::Denied, Java::Throw, "DelegationTokenOwnerMismatchException"),
    row(Rd::DelegationTokenRequestNotAllowed, Kind::Denied, Java::Throw, "UnsupportedByAuthenticationException"),
    row(Rd::DelegationTokenAuthorizationFailed, Kind::Denied, Java::Throw, "DelegationTokenAuthorizationException"),
    row(Rd::DelegationTokenExpired, Kind::Denied, Java::Throw, "DelegationTokenExpiredException"),
    row(Rd::InvalidPrincipalType, Kind::Misconfigured, Java::Throw, "InvalidPrincipalTypeException"),
    row(Rd::NonEmptyGroup, Kind::Conflict, Java::Throw, "GroupNotEmptyException"),
    row(Rd::GroupIdNotFound, Kind::Missing, Java::Throw, "GroupIdNotFoundException"),
    row(Rd::FetchSessionIdNotFound, Kind::Passing, Java::Retry, "FetchSessionIdNotFoundException"),
    row(Rd::InvalidFetchSessionEpoch, Kind::Passing, Java::Retry, "InvalidFetchSessionEpochException"),
    row(Rd::ListenerNotFound, Kind::LeaderMoved, Java::Refresh, "ListenerNotFoundException"),
    row(Rd::TopicDeletionDisabled, Kind::Conflict, Java::Throw, "TopicDeletionDisabledException"),
    row(Rd::FencedLeaderEpoch, Kind::LeaderMoved, Java::Refresh, "FencedLeaderEpochException"),
    row(Rd::UnknownLeaderEpoch, Kind::Passing, Java::Retry, "UnknownLeaderEpochException"),
    row(Rd::UnsupportedCompressionType, Kind::Unsupported, Java::Throw, "UnsupportedCompressionTypeException"),
    row(Rd::StaleBrokerEpoch, Kind::Unexpected, Java::Throw, "StaleBrokerEpochException; between brokers"),
    row(Rd::OffsetNotAvailable, Kind::Passing, Java::Retry, "OffsetNotAvailableException (KIP-207)"),
    row(Rd::MemberIdRequired, Kind::StaleMember, Java::Rejoin, "MemberIdRequiredException (KIP-394)"),
    row(Rd::PreferredLeaderNotAvailable, Kind::LeaderMoved, Java::Refresh, "PreferredLeaderNotAvailableException"),
    row(Rd::GroupMaxSizeReached, Kind::Misconfigured, Java::Throw, "GroupMaxSizeReachedException"),
    row(Rd::FencedInstanceId, Kind::Fenced, Java::Throw, "FencedInstanceIdException (KIP-345)"),
    row(Rd::EligibleLeadersNotAvailable, Kind::LeaderMoved, Java::Refresh, "EligibleLeadersNotAvailableException"),
    row(Rd::ElectionNotNeeded, Kind::LeaderMoved, Java::Refresh, "ElectionNotNeededException"),
    row(Rd::NoReassignmentInProgress, Kind::Unexpected, Java::Throw, "NoReassignmentInProgressException"),
    row(Rd::GroupSubscribedToTopic, Kind::Conflict, Java::Throw, "GroupSubscribedToTopicException"),
    row(Rd::InvalidRecord, Kind::BadRecord, Java::Throw, "InvalidRecordException"),
    row(Rd::UnstableOffsetCommit, Kind::Passing, Java::Retry, "UnstableOffsetCommitException (KIP-447)"),
    row(Rd::ThrottlingQuotaExceeded, Kind::Passing, Java::Retry, "ThrottlingQuotaExceededException (KIP-599)"),
    row(Rd::ProducerFenced, Kind::Fenced, Java::Throw, "ProducerFencedException"),
    row(Rd::ResourceNotFound, Kind::Missing, Java::Throw, "ResourceNotFoundException"),
    row(Rd::DuplicateResource, Kind::Conflict, Java::Throw, "DuplicateResourceException"),
    row(Rd::UnacceptableCredential, Kind::Denied, Java::Throw, "UnacceptableCredentialException"),
    row(Rd::InconsistentVoterSet, Kind::Unexpected, Java::Throw, "InconsistentVoterSetException; between brokers"),
    row(Rd::InvalidUpdateVersion, Kind::Unexpected, Java::Throw, "InvalidUpdateVersionException; between brokers"),
    row(Rd::FeatureUpdateFailed, Kind::Unexpected, Java::Throw, "FeatureUpdateFailedException"),
    row(Rd::PrincipalDeserializationFailure, Kind::Denied, Java::Throw, "PrincipalDeserializationException"),
    row(Rd::UnknownTopicId, Kind::LeaderMoved, Java::Refresh, "UnknownTopicIdException"),
    row(Rd::FencedMemberEpoch, Kind::StaleMember, Java::Rejoin, "FencedMemberEpochException (KIP-848)"),
    row(Rd::UnreleasedInstanceId, Kind::Fenced, Java::Throw, "UnreleasedInstanceIdException (KIP-848)"),
    row(Rd::UnsupportedAssignor, Kind::Misconfigured, Java::Throw, "UnsupportedAssignorException (KIP-848)"),
    row(Rd::StaleMemberEpoch, Kind::StaleMember, Java::Rejoin, "StaleMemberEpochException (KIP-848)"),
    row(Rd::UnknownSubscriptionId, Kind::Passing, Java::Retry, "UnknownSubscriptionIdException (KIP-714)"),
    row(Rd::TelemetryTooLarge, Kind::Unexpected, Java::Throw, "TelemetryTooLargeException (KIP-714)"),
    row(Rd::RebootstrapRequired, Kind::Unreachable, Java::Refresh, "RebootstrapRequiredException (KIP-1102)"),
];

/// The kind of an error code.
pub(super) fn kind_of(code: Rd) -> Kind {
    TABLE.iter().find(|row| row.code == code).map_or(Kind::Unexpected, |row| row.kind)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::kafka::native;

    #[test]
    fn every_code_of_the_library_has_one_row() {
        let classified: BTreeSet<i32> = TABLE.iter().map(|row| row.code as i32).collect();
        assert_eq!(classified.len(), TABLE.len(), "a code has two rows");
        let known: BTreeSet<i32> = native::error_codes().into_iter().filter(|code| *code != 0).collect();
        assert!(known.len() > 150, "{known:?}");
        let missing: Vec<&i32> = known.difference(&classified).collect();
        assert!(missing.is_empty(), "codes without a row: {missing:?}");
    }

    /// What the Java client sends again must not end a command here, and what it throws must not be repeated until a timeout.
    #[test]
    fn a_kind_agrees_with_what_the_java_client_does() {
        for Row { code, kind, java, source } in TABLE {
            assert!(!source.is_empty(), "{code:?}");
            let agrees = match java {
                Java::Retry => kind.passes(),
                Java::Refresh => kind.passes() || *kind == Kind::Missing,
                Java::FindCoordinator => *kind == Kind::CoordinatorMoved,
                Java::Rejoin => *kind == Kind::StaleMember,
                Java::Abort => matches!(kind, Kind::Abortable | Kind::UnknownOutcome | Kind::Fenced),
                Java::Reset => *kind == Kind::OutOfRange,
                Java::Throw => !kind.passes() || THROWN_AND_PASSING.contains(code),
                Java::Nothing => true,
            };
            assert!(agrees, "{code:?} is {kind:?}, and the Java client does {java:?} with it");
        }
    }

    /// What the Java client throws and this program lives through, each for its reason.
    const THROWN_AND_PASSING: &[Rd] = &[
        // The record's own bound, which is this program's --timeout.
        Rd::MessageTimedOut,
        // Handshakes fail for a moment when a broker stops; what stays is told by `connection_fault`.
        Rd::SSL,
        // Of brokers older or other than the Java client's.
        Rd::BrokerNotAvailable,
        Rd::TransactionCoordinatorFenced,
        // Over as soon as the replicas have moved.
        Rd::ReassignmentInProgress,
    ];
}
