//! Compression codecs of record batches, with a bound on the decompressed size.

use std::borrow::Cow;
use std::io::{self, Read, Write};

/// Largest decompressed size of one batch, against decompression bombs.
const LARGEST: usize = 64 << 20;
/// Magic bytes of snappy-java's framing. Two version numbers follow.
const XERIAL: &[u8] = b"\x82SNAPPY\0";
const XERIAL_VERSIONS: &[u8] = &[0, 0, 0, 1, 0, 0, 0, 1];
const XERIAL_BLOCK: usize = 32 << 10;

const GZIP: i16 = 1;
const SNAPPY: i16 = 2;
const LZ4: i16 = 3;
/// Codec of zstd, which old versions of produce and fetch do not allow.
pub const ZSTD: i16 = 4;

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

pub fn decompress(codec: i16, bytes: &[u8]) -> io::Result<Cow<'_, [u8]>> {
    match codec {
        0 => Ok(Cow::Borrowed(bytes)),
        GZIP => bounded(flate2::read::MultiGzDecoder::new(bytes)),
        SNAPPY => snappy(bytes),
        LZ4 => bounded(lz4_flex::frame::FrameDecoder::new(bytes)),
        ZSTD => bounded(zstd::stream::read::Decoder::with_buffer(bytes)?),
        _ => Err(bad("unknown compression codec")),
    }
}

fn bounded(from: impl Read) -> io::Result<Cow<'static, [u8]>> {
    let mut out = Vec::new();
    from.take(LARGEST as u64 + 1).read_to_end(&mut out)?;
    if out.len() > LARGEST { Err(bad("the records are too large")) } else { Ok(Cow::Owned(out)) }
}

fn snappy(bytes: &[u8]) -> io::Result<Cow<'_, [u8]>> {
    let mut out = Vec::new();
    let Some(mut rest) = bytes.strip_prefix(XERIAL).and_then(|rest| rest.get(XERIAL_VERSIONS.len()..)) else {
        snappy_block(bytes, &mut out)?;
        return Ok(Cow::Owned(out));
    };
    while let Some((size, behind)) = rest.split_first_chunk::<4>() {
        let size = u32::from_be_bytes(*size) as usize;
        let (block, behind) = behind.split_at_checked(size).ok_or_else(|| bad("a snappy block is cut short"))?;
        snappy_block(block, &mut out)?;
        rest = behind;
    }
    if rest.is_empty() { Ok(Cow::Owned(out)) } else { Err(bad("a snappy block is cut short")) }
}

fn snappy_block(block: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let size = snap::raw::decompress_len(block)?;
    let before = out.len();
    if before + size > LARGEST {
        return Err(bad("the records are too large"));
    }
    out.resize(before + size, 0);
    let written = snap::raw::Decoder::new().decompress(block, &mut out[before..])?;
    out.truncate(before + written);
    Ok(())
}

pub fn compress(codec: i16, records: &[u8]) -> io::Result<Cow<'_, [u8]>> {
    let out = match codec {
        0 => return Ok(Cow::Borrowed(records)),
        GZIP => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(records)?;
            encoder.finish()?
        }
        SNAPPY => {
            let mut out = [XERIAL, XERIAL_VERSIONS].concat();
            for block in records.chunks(XERIAL_BLOCK) {
                let block = snap::raw::Encoder::new().compress_vec(block)?;
                out.extend_from_slice(&u32::try_from(block.len()).map_err(io::Error::other)?.to_be_bytes());
                out.extend_from_slice(&block);
            }
            out
        }
        LZ4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(records)?;
            encoder.finish()?
        }
        ZSTD => zstd::stream::encode_all(records, zstd::DEFAULT_COMPRESSION_LEVEL)?,
        _ => return Err(bad("unknown compression codec")),
    };
    Ok(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_every_codec_up_to_the_limit() {
        for codec in [0, GZIP, SNAPPY, LZ4, ZSTD] {
            let records = vec![7; XERIAL_BLOCK * 2 + 5];
            let there = compress(codec, &records).unwrap();
            assert_eq!(decompress(codec, &there).unwrap(), records);
            assert!(codec == 0 || there.len() < 10_000);
        }
        let bomb = vec![0; LARGEST + 1];
        for codec in [GZIP, SNAPPY, LZ4, ZSTD] {
            assert!(decompress(codec, &compress(codec, &bomb).unwrap()).is_err(), "codec {codec}");
        }
    }

    #[test]
    fn snappy_without_framing_and_false_sizes() {
        let raw = snap::raw::Encoder::new().compress_vec(b"records").unwrap();
        assert_eq!(decompress(SNAPPY, &raw).unwrap(), &b"records"[..]);
        // A block that claims 4 GiB.
        assert!(decompress(SNAPPY, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0]).is_err());
        let framed = compress(SNAPPY, b"records").unwrap();
        for cut in XERIAL.len() + XERIAL_VERSIONS.len() + 1..framed.len() {
            assert!(decompress(SNAPPY, &framed[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn garbage_is_an_error() {
        for codec in [GZIP, SNAPPY, LZ4, ZSTD, 5, 7] {
            assert!(decompress(codec, b"garbage that no codec wrote").is_err(), "codec {codec}");
        }
    }
}
