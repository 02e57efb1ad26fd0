//! Patterns of resource URIs.

/// A pattern: text, and what stands for other text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UriPattern {
    pieces: Vec<Piece>,
    /// How many bytes of text there are: the more, the closer is the pattern to what it matches.
    literal: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    /// `{id}`, which RFC 6570 section 3.2.2 expands to text without `/`, `?` and `#`: at least one byte of it.
    Segment,
    /// `*`, or an expression of RFC 6570 with an operator: any text, or none.
    Any,
}

impl UriPattern {
    /// What a URI without `*` and braces means is no pattern.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find(['*', '{']) {
            let (literal, wild) = rest.split_at(start);
            let (piece, length) = wildcard(wild);
            pieces.extend((!literal.is_empty()).then(|| Piece::Literal(literal.to_owned())));
            pieces.push(piece);
            rest = wild.get(length..).unwrap_or_default();
        }
        let is_pattern = !pieces.is_empty();
        pieces.extend((!rest.is_empty()).then(|| Piece::Literal(rest.to_owned())));
        let literal = pieces.iter().map(Piece::literal_bytes).sum();
        is_pattern.then_some(Self { pieces, literal })
    }

    pub(super) fn literal_bytes(&self) -> usize {
        self.literal
    }

    /// Whether this is the pattern of all of `uri`. Takes a time that grows with the product of both lengths at most.
    pub(super) fn matches(&self, uri: &str) -> bool {
        let mut ends = vec![0];
        for piece in &self.pieces {
            ends = piece.ends(uri.as_bytes(), &ends);
        }
        ends.last() == Some(&uri.len())
    }
}

impl Piece {
    fn literal_bytes(&self) -> usize {
        match self {
            Self::Literal(text) => text.len(),
            Self::Segment | Self::Any => 0,
        }
    }

    /// Where this piece can end if it can start at each of `starts`; both are in order.
    fn ends(&self, uri: &[u8], starts: &[usize]) -> Vec<usize> {
        let rest = |start: usize| uri.get(start..).unwrap_or_default();
        match self {
            Self::Literal(text) => {
                let matching =
                    starts.iter().filter(|start| rest(**start).starts_with(text.as_bytes()));
                matching.map(|start| start + text.len()).collect()
            }
            Self::Any => {
                starts.first().map_or_else(Vec::new, |first| (*first..=uri.len()).collect())
            }
            Self::Segment => {
                let mut ends = Vec::new();
                for start in starts {
                    let length =
                        rest(*start).iter().take_while(|byte| !b"/?#".contains(byte)).count();
                    let from = ends.last().map_or(0, |last| last + 1).max(start + 1);
                    ends.extend(from..=start + length);
                }
                ends
            }
        }
    }
}

/// The wildcard at the start of a text, and its length.
fn wildcard(text: &str) -> (Piece, usize) {
    let inside = text.strip_prefix('{').and_then(|inside| inside.split_once('}'));
    match inside {
        Some((name, _)) if name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') => {
            (Piece::Segment, name.len() + 2)
        }
        Some((expression, _)) => (Piece::Any, expression.len() + 2),
        // No URI has a brace, so whatever is meant by one that is not closed is matched.
        None if text.starts_with('{') => (Piece::Any, text.len()),
        None => (Piece::Any, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_what_a_server_means_by_it() {
        let rows = [
            ("*", "", true),
            ("*", "file:///a?b#c", true),
            ("file:///*", "file:///", true),
            ("file:///*", "file:///a/b", true),
            ("file:///*", "file://", false),
            ("file:///*.md", "file:///a/b.md", true),
            ("file:///*.md", "file:///a.md/b", false),
            ("file:///*.md", "file:///a.md.md", true),
            ("*a*a", "aa", true),
            ("*a*a", "a", false),
            ("users://{id}/profile", "users://1/profile", true),
            ("users://{id}/profile", "users://1%2F2/profile", true),
            ("users://{id}/profile", "users:///profile", false),
            ("users://{id}/profile", "users://1/2/profile", false),
            ("users://{id}/profile", "users://1/profile/x", false),
            ("users://{id}/profile", "users://1/profile?x", false),
            ("u:{a}{b}", "u:12", true),
            ("u:{a}{b}", "u:1", false),
            ("u:{a}-{b}", "u:1-2-3", true),
            ("u:{a}*", "u:1/2", true),
            ("u:*{a}", "u:1/2", true),
            ("u:*{a}", "u:1/", false),
            ("repo://{owner}/contents{/path*}", "repo://o/contents/a/b", true),
            ("repo://{owner}/contents{/path*}", "repo://o/contents", true),
            ("file:///{+path}", "file:///a/b", true),
            ("search://{?q,lang}", "search://?q=a&lang=b", true),
            ("u:{a", "u:anything", true),
            ("\u{e4}:{a}", "\u{e4}:\u{f6}", true),
        ];
        for (pattern, uri, expected) in rows {
            let pattern = UriPattern::parse(pattern).unwrap();
            assert_eq!(pattern.matches(uri), expected, "{pattern:?} {uri}");
        }
    }

    #[test]
    fn a_uri_is_no_pattern() {
        for uri in ["", "file:///a", "urn:a:b", "a}b"] {
            assert_eq!(UriPattern::parse(uri), None, "{uri}");
        }
    }

    #[test]
    fn more_text_is_closer() {
        let literal = |text| UriPattern::parse(text).unwrap().literal_bytes();
        assert_eq!([literal("*"), literal("file:///*"), literal("file:///{a}/b{?c}")], [0, 8, 10]);
    }
}
