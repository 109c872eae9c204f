//! Property tests of request validation, for every request in every version.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::{Encodable, StrBytes};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::samples::{self, Sample, is_decoded, sample, understood, with_null};
use super::*;
use crate::broker::apis;

const LIMITS: Limits = Limits { elements: 100_000 };

/// Any request in any version.
fn any_version() -> impl Strategy<Value = (ApiKey, i16)> {
    select(samples::versions().collect::<Vec<_>>())
}

/// Any sample of any request; every other one is full.
fn any_sample() -> impl Strategy<Value = (ApiKey, i16, Sample)> {
    (any_version(), vec(any::<u8>(), 0..200), any::<bool>())
        .prop_map(|((api, version), choices, full)| (api, version, sample(api, version, &choices, full)))
}

/// Enough choices for the largest sample.
fn all_choices() -> Vec<u8> {
    (0..=u8::MAX).cycle().take(2_000).collect()
}

fn is_past_end(result: Result<(), InvalidRequest>) -> bool {
    matches!(result, Err(InvalidRequest::PastEnd { .. } | InvalidRequest::CountTooLarge { .. }))
}

/// Validates, and decodes a valid request, which must not panic.
fn check_and_decode(api: ApiKey, version: i16, bytes: &[u8]) -> Result<Option<Vec<u8>>, InvalidRequest> {
    validate(api, version, bytes, LIMITS)?;
    Ok(understood(api, version, &mut Bytes::copy_from_slice(bytes)))
}

/// Validation and decoding both read the sample to its last byte, and the crate encodes it to the same bytes.
fn assert_round_trip(api: ApiKey, version: i16, sample: &Sample) -> Result<(), TestCaseError> {
    prop_assert_eq!(validate_prefix(api, version, &sample.bytes, LIMITS), Ok(&[][..]));
    let mut body = Bytes::copy_from_slice(&sample.bytes);
    let understood = understood(api, version, &mut body);
    prop_assert_eq!(understood.as_deref(), Some(&sample.bytes[..]));
    prop_assert!(body.is_empty(), "the crate leaves {} bytes", body.len());
    Ok(())
}

#[test]
fn schemas_agree_with_the_crate_in_every_version() {
    let choices = all_choices();
    let versions = samples::versions().inspect(|&(api, version)| {
        let sample = sample(api, version, &choices, true);
        assert_round_trip(api, version, &sample).unwrap_or_else(|failure| panic!("{api:?} {version}: {failure}"));
    });
    assert_eq!(versions.count(), 193);
}

#[test]
fn supported_requests_have_a_schema() {
    let answered =
        apis::APIS.iter().flat_map(|(api, versions)| (versions.min..=versions.max).map(|v| (*api as i16, v)));
    let shaped = samples::versions().map(|(api, version)| (api as i16, version));
    assert_eq!(answered.collect::<BTreeSet<_>>(), shaped.collect::<BTreeSet<_>>());
}

#[test]
fn rejects_every_truncated_request() {
    let choices = all_choices();
    for (api, version) in samples::versions() {
        let bytes = sample(api, version, &choices, true).bytes;
        for end in 0..bytes.len() {
            let result = validate(api, version, &bytes[..end], LIMITS);
            assert!(is_past_end(result), "{api:?} {version} at {end}: {result:?}");
        }
    }
}

#[test]
fn rejects_every_oversized_length_and_count() {
    let choices = all_choices();
    for (api, version) in samples::versions() {
        let sample = sample(api, version, &choices, true);
        for &length in &sample.lengths {
            let result = validate(api, version, &sample.blown_up(length), LIMITS);
            assert!(is_past_end(result), "{api:?} {version}: {result:?}");
        }
    }
}

/// The crate decodes null for a field that is nullable in any version. Kafka does not, and validation does not either.
const ONLY_LATER_NULLABLE: &[(ApiKey, std::ops::RangeInclusive<i16>)] =
    &[(ApiKey::Metadata, 0..=9), (ApiKey::OffsetFetch, 1..=1)];

#[test]
fn accepts_null_where_the_crate_decodes_it() {
    let choices = all_choices();
    let mut passed = 0;
    for (api, version) in samples::versions() {
        let nulls = (0..).map_while(|place| with_null(api, version, &choices, place));
        for (place, sample) in nulls.enumerate() {
            let result = validate(api, version, &sample.bytes, LIMITS);
            let decoded = is_decoded(api, version, &mut Bytes::copy_from_slice(&sample.bytes));
            let excused = ONLY_LATER_NULLABLE.iter().any(|(of, versions)| *of == api && versions.contains(&version));
            match result {
                Ok(()) => assert!(decoded, "{api:?} {version}: null at {place} is not decoded"),
                Err(InvalidRequest::NullOrNegative { field }) => {
                    assert!(!decoded || excused, "{api:?} {version}: {field} may be null");
                }
                Err(refusal) => panic!("{api:?} {version}: {refusal}"),
            }
            passed += usize::from(result.is_ok());
        }
    }
    assert!(passed > 100, "{passed}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn reads_a_request_to_its_last_byte((api, version, sample) in any_sample()) {
        assert_round_trip(api, version, &sample)?;
    }

    #[test]
    fn ignores_bytes_after_a_request((api, version, sample) in any_sample(), more in vec(any::<u8>(), 0..9)) {
        let bytes = [&sample.bytes[..], &more].concat();
        prop_assert_eq!(validate_prefix(api, version, &bytes, LIMITS), Ok(&more[..]));
    }

    #[test]
    fn rejects_or_decodes_a_modified_request(
        (api, version, sample) in any_sample(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = sample.bytes;
        prop_assume!(!bytes.is_empty());
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        drop(check_and_decode(api, version, &bytes));
    }

    #[test]
    fn rejects_or_decodes_random_bytes((api, version) in any_version(), bytes in vec(any::<u8>(), 0..300)) {
        drop(check_and_decode(api, version, &bytes));
    }

    #[test]
    fn higher_limit_accepts_more(
        (api, version, sample) in any_sample(),
        elements in 0_usize..20,
    ) {
        let passes = |elements| validate(api, version, &sample.bytes, Limits { elements }).is_ok();
        prop_assert!(!passes(elements) || passes(elements + 1));
        prop_assert!(passes(sample.bytes.len()), "an element has at least a byte");
    }

    #[test]
    fn header_leaves_the_body(
        (api, version, sample) in any_sample(),
        correlation in any::<i32>(),
        client in proptest::option::of("[a-zé]{0,5}"),
        tag in proptest::option::of(vec(any::<u8>(), 0..5)),
        cut in any::<prop::sample::Index>(),
    ) {
        let header_version = api.request_header_version(version);
        let mut sent = RequestHeader::default()
            .with_request_api_key(api as i16)
            .with_request_api_version(version)
            .with_correlation_id(correlation)
            .with_client_id(client.map(StrBytes::from_string));
        if let Some(tag) = tag.filter(|_| header_version >= 2) {
            sent = sent.with_unknown_tagged_field(9, tag.into());
        }
        let mut frame = BytesMut::new();
        sent.encode(&mut frame, header_version).unwrap();
        let end = cut.index(frame.len());
        let cut = read_header(&mut Bytes::copy_from_slice(&frame[..end]));
        prop_assert!(is_past_end(cut.clone().map(drop)), "{cut:?}");
        frame.put_slice(&sample.bytes);
        let mut frame = frame.freeze();
        prop_assert_eq!(read_header(&mut frame), Ok((api, sent)));
        prop_assert_eq!(&frame[..], &sample.bytes[..]);
    }

    #[test]
    fn reads_or_rejects_any_header(bytes in vec(any::<u8>(), 0..60)) {
        drop(read_header(&mut Bytes::from(bytes)));
    }
}

/// Random bytes rarely name a request.
#[test]
fn reads_the_header_of_a_future_version() {
    let frame = [0, 18, 0, 99, 0, 0, 0, 7, 0, 1, b'x', 0, 0xff];
    let mut bytes = Bytes::copy_from_slice(&frame);
    let (api, header) = read_header(&mut bytes).unwrap();
    assert_eq!((api, header.request_api_version, header.correlation_id), (ApiKey::ApiVersions, 99, 7));
    assert_eq!(&bytes[..], [0xff]);
    let result = validate(api, 99, &bytes, LIMITS);
    assert_eq!(result, Err(InvalidRequest::UnknownVersion { api: ApiKey::ApiVersions, version: 99 }));
}

#[test]
fn counts_tagged_fields_of_a_header() {
    let header = |count: u32| {
        let mut frame = BytesMut::from(&[0, 18, 0, 3, 0, 0, 0, 7, 0, 0][..]);
        frame.extend(
            [0x80 | (count & 0x7f), 0x80 | (count >> 7 & 0x7f), count >> 14].map(|byte| u8::try_from(byte).unwrap()),
        );
        frame.put_bytes(0, 2 * count as usize);
        read_header(&mut frame.freeze()).map(|(api, _)| api)
    };
    assert_eq!(header(100_000), Ok(ApiKey::ApiVersions));
    assert_eq!(header(100_001), Err(InvalidRequest::TooManyElements { limit: 100_000 }));
}

#[test]
fn rejects_an_unsupported_api_key() {
    let frame = [0, 17, 0, 1, 0, 0, 0, 7, 0, 1, b'x'];
    assert_eq!(read_header(&mut Bytes::copy_from_slice(&frame)), Err(InvalidRequest::UnknownApi(17)));
    assert_eq!(validate(ApiKey::SaslHandshake, 1, &[], LIMITS), Err(InvalidRequest::UnknownApi(17)));
    let frame = [0x7f, 0xff, 0, 1, 0, 0, 0, 7, 0, 1, b'x'];
    assert_eq!(read_header(&mut Bytes::copy_from_slice(&frame)), Err(InvalidRequest::UnknownApi(0x7fff)));
}

#[test]
fn rejects_a_count_of_four_billion_in_thirty_bytes() {
    let body = [0x7f, 0xff, 0xff, 0xff];
    let error = InvalidRequest::CountTooLarge { field: "topics", count: 0x7fff_ffff, left: 0 };
    assert_eq!(validate(ApiKey::Metadata, 1, &body, LIMITS), Err(error));
    let body = [0xff, 0xff, 0xff, 0xff, 0x0f, 0];
    let error = InvalidRequest::CountTooLarge { field: "topics", count: 0xffff_fffe, left: 1 };
    assert_eq!(validate(ApiKey::Metadata, 12, &body, LIMITS), Err(error));
}

#[test]
fn counts_elements_over_all_arrays() {
    let limits = Limits { elements: 10 };
    let topic = |partitions: u8| {
        let mut topic = vec![2, b't', partitions + 1];
        topic.extend(vec![0; 4 * usize::from(partitions)]);
        topic.push(0);
        topic
    };
    // DescribeProducers version 0 has an array of topics with arrays of partitions.
    let body = |partitions| [vec![3], topic(partitions), topic(4), vec![0]].concat();
    assert_eq!(validate(ApiKey::DescribeProducers, 0, &body(4), limits), Ok(()));
    let error = InvalidRequest::TooManyElements { limit: 10 };
    assert_eq!(validate(ApiKey::DescribeProducers, 0, &body(5), limits), Err(error));
}

#[test]
fn counts_tagged_fields_as_elements() {
    let mut body = vec![2, b'a', 2, b'b', 11];
    (0..11).for_each(|tag| body.extend([tag, 0]));
    assert_eq!(validate(ApiKey::ApiVersions, 3, &body, Limits { elements: 11 }), Ok(()));
    let error = InvalidRequest::TooManyElements { limit: 10 };
    assert_eq!(validate(ApiKey::ApiVersions, 3, &body, Limits { elements: 10 }), Err(error));
}

#[test]
fn rejects_a_tagged_field_before_its_version() {
    let fetch = |version| sample(ApiKey::Fetch, version, &[], false).bytes;
    let mut body = fetch(14);
    assert_eq!(body.pop(), Some(0), "no tagged fields");
    body.extend([1, 1, 0]);
    let error = InvalidRequest::TagNotInVersion { field: "replica_state" };
    assert_eq!(validate(ApiKey::Fetch, 14, &body, LIMITS), Err(error));
}

#[test]
fn rejects_null_where_it_is_not_nullable() {
    let null = [0xff, 0xff, 0xff, 0xff];
    assert_eq!(validate(ApiKey::Metadata, 0, &null, LIMITS), Err(InvalidRequest::NullOrNegative { field: "topics" }));
    assert_eq!(validate(ApiKey::Metadata, 1, &null, LIMITS), Ok(()));
    let less = [0xff, 0xff, 0xff, 0xfe];
    assert_eq!(validate(ApiKey::Metadata, 1, &less, LIMITS), Err(InvalidRequest::NullOrNegative { field: "topics" }));
}

#[test]
fn varint_has_at_most_five_bytes() {
    let names = |length: &[u8]| [length, &[b'a', 2, b'b', 0]].concat();
    let check = |length| validate(ApiKey::ApiVersions, 3, &names(length), LIMITS);
    assert_eq!(check(&[2]), Ok(()));
    assert_eq!(check(&[0x82, 0x80, 0x80, 0x80, 0x10]), Ok(()));
    let error = InvalidRequest::VarintTooLong { field: "client_software_name" };
    assert_eq!(check(&[0x82, 0x80, 0x80, 0x80, 0x80, 0]), Err(error));
}

#[test]
fn invalid_utf8_is_left_to_the_crate() {
    let body = [0, 0, 0, 1, 0, 1, 0xff];
    assert_eq!(check_and_decode(ApiKey::Metadata, 1, &body), Ok(None));
}
