//! Distinguishes a torn write from corruption: no whole batch can follow a torn write.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::header::{HEADER, Header, crc_agrees};

const READ_SIZE: u64 = 1 << 20;
/// Position and value of the magic byte in a header.
const MAGIC_AT: usize = 16;
const MAGIC: u8 = 2;

/// Position of the first whole batch in a range of a file, at any offset.
pub fn find_whole_batch(file: &File, from: u64, to: u64) -> io::Result<Option<u64>> {
    let mut at = from;
    while at + HEADER as u64 <= to {
        let size = usize::try_from((to - at).min(READ_SIZE)).map_err(io::Error::other)?;
        let mut bytes = vec![0; size];
        file.read_exact_at(&mut bytes, at)?;
        let fronts = size - HEADER + 1;
        for start in memchr::memchr_iter(MAGIC, &bytes[MAGIC_AT..MAGIC_AT + fronts]) {
            let position = at + start as u64;
            let Some(header) = Header::read(&bytes[start..]) else { continue };
            if position + header.size as u64 > to {
                continue;
            }
            let mut batch = vec![0; header.size];
            file.read_exact_at(&mut batch, position)?;
            if crc_agrees(&batch) {
                return Ok(Some(position));
            }
        }
        at += fronts as u64;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use kafka_protocol::records::Compression;

    use super::super::test_support::*;
    use super::*;

    #[test]
    fn finds_whole_batches_only() {
        let batch = encode(NO_PRODUCER, &[row("a", &"v".repeat(300), NOW)], Compression::None);
        for lead in [1, 60, 61, 5_000, (1 << 20) - 70, (1 << 20) - 30, (1 << 20) + 5] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&vec![2; lead]).unwrap();
            file.write_all(&batch).unwrap();
            let length = (lead + batch.len()) as u64;
            assert_eq!(find_whole_batch(&file, 1, length).unwrap(), Some(lead as u64), "behind {lead}");
            assert_eq!(find_whole_batch(&file, 1, length - 1).unwrap(), None, "behind {lead}");
        }
    }
}
