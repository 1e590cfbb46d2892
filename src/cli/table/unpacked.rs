//! What an XLSX file unpacks to, looked at before it is read as one: a few packed bytes may be many.

use std::io::{Cursor, Read as _};

use anyhow::{Context as _, Result, ensure};
use zip::ZipArchive;

/// How much there may be.
struct Limits {
    /// Bytes of the packed file.
    packed: usize,
    /// Bytes of all parts together.
    unpacked: usize,
    /// Texts that cells share, in one part.
    texts: u64,
}

const LIMITS: Limits = Limits {
    packed: 32 << 20,
    unpacked: 256 << 20,
    texts: 4_000_000,
};

/// Refuses what unpacks to more than can be read.
pub(super) fn check(bytes: &[u8]) -> Result<()> {
    check_within(bytes, &LIMITS)
}

fn check_within(bytes: &[u8], limits: &Limits) -> Result<()> {
    let (size, most) = (bytes.len(), limits.packed);
    ensure!(
        size <= most,
        "the file has {size} bytes; give at most {most} as XLSX, or a CSV"
    );
    let unsound = "it is no sound XLSX file";
    let mut archive = ZipArchive::new(Cursor::new(bytes)).context(unsound)?;
    let (mut total, mut block) = (0, vec![0; 64 << 10]);
    for number in 0..archive.len() {
        let mut part = archive.by_index(number).context(unsound)?;
        let mut texts = TextCounter::default();
        loop {
            // What its directory says of the length is not believed.
            let length = part.read(&mut block).context(unsound)?;
            if length == 0 {
                break;
            }
            total += length;
            ensure!(
                total <= limits.unpacked,
                "unpacked, the file has more than {} bytes; give the rest in further files",
                limits.unpacked
            );
            let read = block.get(..length).unwrap_or_default();
            read.iter().for_each(|byte| texts.read(*byte));
            ensure!(
                texts.seen.max(texts.claimed) <= limits.texts,
                "the file has more than {} texts, or says so; give the rest in further files",
                limits.texts
            );
        }
    }
    Ok(())
}

/// How many texts a part has, and how many it says it has: room is made for as many.
#[derive(Default)]
struct TextCounter {
    seen: u64,
    claimed: u64,
    last: [u8; 2],
    /// How many letters of the attribute's name were just read.
    matched: usize,
    claim: Claim,
}

#[derive(Default, PartialEq, Eq)]
enum Claim {
    #[default]
    None,
    /// The name was read.
    AfterName,
    /// And the sign after it.
    AfterEquals,
    /// And the first quote.
    Digits(u64),
}

/// The attribute in which a part says how many texts it has.
const ATTRIBUTE: &[u8] = b"uniqueCount";

impl TextCounter {
    fn read(&mut self, byte: u8) {
        if matches!(self.last, [b'<' | b':', b's']) && byte == b'i' {
            self.seen += 1;
        }
        let [_, before] = self.last;
        self.last = [before, byte];
        self.claim = match std::mem::take(&mut self.claim) {
            Claim::AfterName if byte == b'=' => Claim::AfterEquals,
            Claim::AfterEquals if matches!(byte, b'"' | b'\'') => Claim::Digits(0),
            Claim::Digits(number) if byte.is_ascii_digit() => {
                let number = number
                    .saturating_mul(10)
                    .saturating_add(u64::from(byte - b'0'));
                self.claimed = self.claimed.max(number);
                Claim::Digits(number)
            }
            claim @ (Claim::AfterName | Claim::AfterEquals) if byte.is_ascii_whitespace() => claim,
            _ => Claim::None,
        };
        self.matched = match ATTRIBUTE.get(self.matched) {
            Some(next) if *next == byte => self.matched + 1,
            _ => usize::from(byte == b'u'),
        };
        if self.matched == ATTRIBUTE.len() {
            (self.matched, self.claim) = (0, Claim::AfterName);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn packed(parts: &[&[u8]]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (number, part) in parts.iter().enumerate() {
            let name = format!("xl/{number}.xml");
            writer
                .start_file(name, SimpleFileOptions::default())
                .unwrap();
            writer.write_all(part).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    const SMALL: Limits = Limits {
        packed: 10_000,
        unpacked: 100_000,
        texts: 4_000,
    };

    fn refused(parts: &[&[u8]]) -> String {
        let refused = check_within(&packed(parts), &SMALL);
        refused.unwrap_err().to_string()
    }

    #[test]
    fn what_unpacks_to_too_much_is_refused_before_it_is_read() {
        check_within(
            &packed(&[
                b"<sst count=\"9\" uniqueCount=\"4000\"><si/></sst>",
                b"<x/>",
            ]),
            &SMALL,
        )
        .unwrap();
        let much = vec![b' '; 50_001];
        assert!(refused(&[&much, &much]).contains("unpacked"));
        let texts = "<x:si/>".repeat(4_001);
        assert!(refused(&[texts.as_bytes()]).contains("texts"));
        for claim in [
            "uniqueCount=\"4001\"",
            "uuniqueCount \n= '04000000000000000000000000001",
        ] {
            assert!(refused(&[claim.as_bytes()]).contains("texts"), "{claim}");
        }
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        assert!(check(b"PK\x03\x04").is_err());
        let mut cut = packed(&[b"<x/>"]);
        cut.truncate(cut.len() - 9);
        assert!(check(&cut).is_err());
    }
}
