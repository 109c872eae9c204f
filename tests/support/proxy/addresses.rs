//! Rewriting of broker addresses in replies, so that clients connect through the proxies.
//!
//! `Metadata`, `FindCoordinator` and `DescribeCluster` always contain addresses. `Produce` and `Fetch` contain one when
//! a leader has moved (KIP-951) and are decoded only then. All other replies pass as bytes.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiKey, DescribeClusterResponse, FetchResponse, FindCoordinatorResponse, MetadataResponse,
    OffsetForLeaderEpochResponse, ProduceResponse, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

/// Names of the loopback interface: a broker may be reached by one and advertise another.
const LOOPBACK: [&str; 3] = ["127.0.0.1", "localhost", "::1"];

/// Broker addresses, and the ports of their proxies on 127.0.0.1.
pub struct Routes(BTreeMap<(String, i32), u16>);

impl Routes {
    pub fn new<'a>(pairs: impl Iterator<Item = (&'a str, u16)>) -> Self {
        let route = |(broker, proxy): (&str, u16)| {
            let (host, port) = broker.rsplit_once(':').expect("host:port");
            ((one_name(host).to_owned(), port.parse().expect("a port")), proxy)
        };
        Self(pairs.map(route).collect())
    }

    /// Replaces a broker's address with its proxy's.
    fn replace(&self, host: &mut StrBytes, port: &mut i32) -> Result<(), String> {
        // An error reply has no address.
        if host.is_empty() {
            return Ok(());
        }
        let Some(proxy) = self.0.get(&(one_name(host).to_owned(), *port)) else {
            return Err(format!("a reply names {}:{port}, which has no proxy", host.as_str()));
        };
        (*host, *port) = (StrBytes::from_static_str(LOOPBACK[0]), i32::from(*proxy));
        Ok(())
    }

    /// Whether a frame contains one of the addresses. The host precedes the port in every version.
    fn is_in(&self, frame: &[u8]) -> bool {
        self.0.keys().any(|(host, port)| {
            let names: &[&str] = if host == LOOPBACK[0] { &LOOPBACK } else { &[host] };
            let address = |name: &&str| [name.as_bytes(), &port.to_be_bytes()].concat();
            names.iter().map(address).any(|address| memchr::memmem::find(frame, &address).is_some())
        })
    }

    /// The frame of a reply, without its length prefix, with proxy addresses.
    pub fn rewrite(&self, api: ApiKey, version: i16, frame: Bytes) -> Result<Bytes, String> {
        match api {
            ApiKey::Metadata => self.replace_in(api, version, frame, |routes, reply: &mut MetadataResponse| {
                reply.brokers.iter_mut().try_for_each(|broker| routes.replace(&mut broker.host, &mut broker.port))
            }),
            ApiKey::FindCoordinator => {
                self.replace_in(api, version, frame, |routes, reply: &mut FindCoordinatorResponse| {
                    routes.replace(&mut reply.host, &mut reply.port)?;
                    reply.coordinators.iter_mut().try_for_each(|found| routes.replace(&mut found.host, &mut found.port))
                })
            }
            ApiKey::DescribeCluster => {
                self.replace_in(api, version, frame, |routes, reply: &mut DescribeClusterResponse| {
                    reply.brokers.iter_mut().try_for_each(|broker| routes.replace(&mut broker.host, &mut broker.port))
                })
            }
            ApiKey::Produce if self.is_in(&frame) => {
                self.replace_in(api, version, frame, |routes, reply: &mut ProduceResponse| {
                    reply.node_endpoints.iter_mut().try_for_each(|node| routes.replace(&mut node.host, &mut node.port))
                })
            }
            ApiKey::Fetch if self.is_in(&frame) => {
                self.replace_in(api, version, frame, |routes, reply: &mut FetchResponse| {
                    reply.node_endpoints.iter_mut().try_for_each(|node| routes.replace(&mut node.host, &mut node.port))
                })
            }
            _ => Ok(frame),
        }
    }

    /// A reply to `OffsetForLeaderEpoch` for a log of one record.
    pub fn truncate(&self, api: ApiKey, version: i16, frame: Bytes) -> Result<Bytes, String> {
        self.replace_in(api, version, frame, |_, reply: &mut OffsetForLeaderEpochResponse| {
            let partitions = reply.topics.iter_mut().flat_map(|topic| topic.partitions.iter_mut());
            partitions.filter(|partition| partition.end_offset > 1).for_each(|partition| partition.end_offset = 1);
            Ok(())
        })
    }

    fn replace_in<T: Decodable + Encodable>(
        &self,
        api: ApiKey,
        version: i16,
        mut frame: Bytes,
        replace: impl FnOnce(&Self, &mut T) -> Result<(), String>,
    ) -> Result<Bytes, String> {
        let context = |error| format!("{api:?} version {version}: {error}");
        let header_version = api.response_header_version(version);
        let header = ResponseHeader::decode(&mut frame, header_version).map_err(context)?;
        let mut reply = T::decode(&mut frame, version).map_err(context)?;
        if !frame.is_empty() {
            return Err(format!("{api:?} version {version}: {} bytes too many", frame.len()));
        }
        replace(self, &mut reply)?;
        let mut written = BytesMut::new();
        header.encode(&mut written, header_version).map_err(context)?;
        reply.encode(&mut written, version).map_err(context)?;
        Ok(written.freeze())
    }
}

fn one_name(host: &str) -> &str {
    if LOOPBACK.contains(&host.trim_matches(['[', ']'])) { LOOPBACK[0] } else { host }
}
