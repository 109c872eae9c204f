//! Compression codecs of record batches, by their number in the attributes.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::{FrameDecoder, FrameEncoder};

pub const NONE: i16 = 0;
pub const GZIP: i16 = 1;
pub const SNAPPY: i16 = 2;
pub const LZ4: i16 = 3;
pub const ZSTD: i16 = 4;

/// Header of snappy data framed by Java; librdkafka sends one block without framing.
const FRAMED: &[u8] = b"\x82SNAPPY\0";

pub fn name(codec: i16) -> &'static str {
    match codec {
        NONE => "none",
        GZIP => "gzip",
        SNAPPY => "snappy",
        LZ4 => "lz4",
        ZSTD => "zstd",
        _ => panic!("unknown codec {codec}"),
    }
}

pub fn compress(codec: i16, bytes: &[u8]) -> Vec<u8> {
    match codec {
        GZIP => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("gzip")
        }
        SNAPPY => snap::raw::Encoder::new().compress_vec(bytes).expect("snappy"),
        LZ4 => {
            let mut encoder = FrameEncoder::new(Vec::new());
            encoder.write_all(bytes).expect("lz4");
            encoder.finish().expect("lz4")
        }
        ZSTD => zstd::encode_all(bytes, 0).expect("zstd"),
        _ => bytes.to_vec(),
    }
}

pub fn decompress(codec: i16, bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match codec {
        GZIP => GzDecoder::new(bytes).read_to_end(&mut plain).map(drop).expect("gzip"),
        SNAPPY => plain = decompress_snappy(bytes),
        LZ4 => FrameDecoder::new(bytes).read_to_end(&mut plain).map(drop).expect("lz4"),
        ZSTD => plain = zstd::decode_all(bytes).expect("zstd"),
        _ => plain.extend(bytes),
    }
    plain
}

fn decompress_snappy(bytes: &[u8]) -> Vec<u8> {
    let block = |bytes: &[u8]| snap::raw::Decoder::new().decompress_vec(bytes).expect("snappy");
    let Some(framed) = bytes.strip_prefix(FRAMED) else { return block(bytes) };
    // Two versions, then blocks with their lengths.
    let (mut rest, mut plain) = (&framed[8..], Vec::new());
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).expect("a length");
        plain.extend(block(&behind[..length]));
        rest = &behind[length..];
    }
    plain
}
