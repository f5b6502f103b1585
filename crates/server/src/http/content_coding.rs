//! Content codings: which a client accepts, and compressing for it. It knows no reply.

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentCoding {
    Brotli,
    Gzip,
}

/// How much work a content is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressionEffort {
    /// It is compressed for one reply.
    Once,
    /// It is kept.
    Kept,
}

/// Bits of brotli's window: 256 KiB, more than nearly all replies have.
const BROTLI_WINDOW_BITS: u32 = 18;
/// Bytes of brotli's output buffer.
const BROTLI_BUFFER_LEN: usize = 4096;

impl ContentCoding {
    /// The coding that an `Accept-Encoding` weighs most; brotli where it weighs both alike.
    #[must_use]
    pub fn preferred(accept: &str) -> Option<Self> {
        let (brotli, gzip) = (Self::Brotli.weight(accept), Self::Gzip.weight(accept));
        if brotli > 0.0 && brotli >= gzip { Some(Self::Brotli) } else { (gzip > 0.0).then_some(Self::Gzip) }
    }

    /// Whether an `Accept-Encoding` allows the coding.
    #[must_use]
    pub fn is_accepted(self, accept: &str) -> bool {
        self.weight(accept) > 0.0
    }

    /// Its name in `Content-Encoding`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// The weight of the coding: that of its name, else that of `*`, else 0.
    fn weight(self, accept: &str) -> f32 {
        let mut of_any = 0.0;
        for item in accept.split(',') {
            let mut parts = item.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            let weight = weight.map_or(1.0, |weight| weight.trim().parse::<f32>().unwrap_or(0.0));
            if name.eq_ignore_ascii_case(self.name()) {
                return weight;
            }
            if name == "*" {
                of_any = weight;
            }
        }
        of_any
    }

    /// The content in this coding.
    #[must_use]
    pub fn compress(self, content: &[u8], effort: CompressionEffort) -> Bytes {
        let mut out = Vec::with_capacity(content.len() / 3);
        // Writing into memory cannot fail.
        match self {
            Self::Brotli => {
                let quality = if effort == CompressionEffort::Kept { 9 } else { 4 };
                let mut writer =
                    brotli::CompressorWriter::new(&mut out, BROTLI_BUFFER_LEN, quality, BROTLI_WINDOW_BITS);
                let _ = writer.write_all(content);
            }
            Self::Gzip => {
                let level = if effort == CompressionEffort::Kept { 9 } else { 4 };
                let mut writer = GzEncoder::new(&mut out, Compression::new(level));
                let _ = writer.write_all(content);
                let _ = writer.finish();
            }
        }
        out.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn the_heaviest_coding_is_sent_and_one_that_is_ruled_out_is_not() {
        use ContentCoding::{Brotli, Gzip};
        for (accept, preferred) in [
            ("gzip, deflate, br, zstd", Some(Brotli)),
            ("gzip;q=1.0, br;q=0", Some(Gzip)),
            ("gzip;q=1.0, br;q=0.5", Some(Gzip)),
            ("BR", Some(Brotli)),
            ("identity", None),
            ("brotli", None),
            ("*", Some(Brotli)),
            ("*, br;q=0", Some(Gzip)),
            ("gzip;q=0, *;q=0.1", Some(Brotli)),
            ("*;q=0", None),
            ("gzip; q=x", None),
            ("", None),
        ] {
            assert_eq!(ContentCoding::preferred(accept), preferred, "{accept}");
        }
    }

    #[test]
    fn what_is_compressed_is_the_same_content() {
        let content = br#"{"items":[{"name":"lamp"}]}"#.repeat(100);
        for effort in [CompressionEffort::Once, CompressionEffort::Kept] {
            let gzip = ContentCoding::Gzip.compress(&content, effort);
            let mut read = Vec::new();
            flate2::read::GzDecoder::new(gzip.as_ref()).read_to_end(&mut read).unwrap();
            assert_eq!(read, content);
            let brotli = ContentCoding::Brotli.compress(&content, effort);
            let mut read = Vec::new();
            brotli::Decompressor::new(brotli.as_ref(), BROTLI_BUFFER_LEN).read_to_end(&mut read).unwrap();
            assert_eq!(read, content);
            assert!(gzip.len() < content.len() / 5 && brotli.len() < content.len() / 5);
        }
    }
}
