//! Rewrites a list in the body of a response, as it passes.

use bytes::{Bytes, BytesMut};

use crate::mcp::ListRewrite;

/// The bytes that are kept of a body, or of one event of a stream. What is longer passes unchanged.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The rewriting of one body.
#[derive(Debug)]
pub(crate) struct ListBody {
    list: ListRewrite,
    is_event_stream: bool,
    buffer: BytesMut,
    /// The bytes of the buffer in which no event ends.
    scanned: usize,
    /// Whether the rest passes unchanged.
    is_passing: bool,
}

impl ListBody {
    pub(crate) fn new(list: ListRewrite, is_event_stream: bool) -> Self {
        let buffer = BytesMut::new();
        Self { list, is_event_stream, buffer, scanned: 0, is_passing: false }
    }

    /// Takes what arrived of the body. Returns what is sent on.
    pub(super) fn push(&mut self, data: Bytes) -> Bytes {
        if self.is_passing {
            return data;
        }
        self.buffer.extend_from_slice(&data);
        let mut ready = BytesMut::new();
        while self.is_event_stream
            && let Some(end) = event_end(&self.buffer, self.scanned)
        {
            if end > MAX_BYTES {
                self.is_passing = true;
                break;
            }
            let event = self.buffer.split_to(end);
            self.scanned = 0;
            match self.rewrite_event(&event) {
                Some(rewritten) => ready.extend_from_slice(rewritten.as_bytes()),
                None => ready.unsplit(event),
            }
        }
        // The longest end of an event has four bytes.
        self.scanned = self.buffer.len().saturating_sub(3);
        self.is_passing |= self.buffer.len() > MAX_BYTES;
        if self.is_passing {
            ready.unsplit(self.buffer.split());
        }
        ready.freeze()
    }

    /// Returns what is left at the end of the body.
    pub(super) fn finish(&mut self) -> Bytes {
        let rest = self.buffer.split().freeze();
        // A client drops an event that has no end.
        if self.is_event_stream || self.is_passing {
            return rest;
        }
        let rewritten = std::str::from_utf8(&rest).ok().and_then(|text| self.list.rewrite(text));
        rewritten.map_or(rest, Bytes::from)
    }

    /// Rewrites an event whose data is on one line, as servers write it.
    fn rewrite_event(&self, event: &[u8]) -> Option<String> {
        let event = std::str::from_utf8(event).ok()?;
        let (mut start, mut data) = (0, None);
        for line in event.split(['\n', '\r']) {
            if line == "data" || line.starts_with("data:") {
                let is_second = data.replace(start..start + line.len()).is_some();
                if is_second {
                    return None;
                }
            }
            start += line.len() + 1;
        }
        let data = data?;
        let json = event.get(data.start + "data:".len()..data.end)?;
        let rewritten = self.list.rewrite(json)?;
        let (before, after) = (event.get(..data.start)?, event.get(data.end..)?);
        Some(format!("{before}data:{rewritten}{after}"))
    }
}

/// Returns the end of the first event (HTML standard, section "Parsing an event stream"): an empty
/// line, at the earliest from this byte on. Each line may end in its own way.
fn event_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let rest = bytes.get(at..)?;
        at += rest.iter().position(|b| matches!(b, b'\n' | b'\r'))?;
        at += line_end(bytes.get(at..)?)?;
        if let Some(second) = line_end(bytes.get(at..)?) {
            return Some(at + second);
        }
    }
}

/// Returns the length of the end of a line, if the bytes begin with one.
fn line_end(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'\r', b'\n', ..] => Some(2),
        [b'\r' | b'\n', ..] => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_empty_line_after_an_event() {
        let rows: [(&[u8], Option<usize>); 13] = [
            (b"", None),
            (b"data: a", None),
            (b"data: a\n", None),
            (b"data: a\r\n", None),
            (b"a\n\nb\n\n", Some(3)),
            (b"a\r\n\r\nb", Some(5)),
            (b"a\r\rb", Some(3)),
            (b"a\n\r\nb", Some(4)),
            (b"a\r\n\rb", Some(4)),
            (b"a\r\n\nb", Some(4)),
            (b"a\n\rb", Some(3)),
            (b"a\r\nb\r\n", None),
            (b"\n\n", Some(2)),
        ];
        for (bytes, expected) in rows {
            assert_eq!(event_end(bytes, 0), expected, "{bytes:?}");
        }
    }
}
