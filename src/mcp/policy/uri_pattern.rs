//! Patterns of resource URIs: wildcards and URI templates (RFC 6570).

use std::fmt;

use super::budget::{BudgetSpent, MatchBudget};

/// The steps of an attempt to match, and of each piece that is compared, besides what depends on
/// the length of the URI.
const STEPS_PER_ATTEMPT: usize = 4;
const STEPS_PER_PIECE: usize = 16;

/// The number of bytes that are compared in one step.
const BYTES_PER_STEP: usize = 16;

/// A pattern with at least one wildcard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UriPattern {
    pieces: Vec<Piece>,
    /// The number of literal bytes. Of two matching patterns, the one with more is more specific.
    literal_bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    /// `{id}`: one byte or more. RFC 6570 section 3.2.2 expands it to a string without `/`, `?` and
    /// `#`; servers match it with more.
    Variable {
        /// `{a,b}` and the like, which some servers match with any string.
        is_list: bool,
    },
    /// `*`, or an expression of RFC 6570 with an operator: any string, also the empty one.
    Any,
}

/// How a server matches `{id}` in a URI template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TemplateRule {
    /// As RFC 6570 section 3.2.2 expands it: without `/`, `?` and `#`.
    Rfc6570,
    /// As the most lenient of the MCP servers does: without `/`, and `{a,b}` as any string.
    Lenient,
}

/// Why a string is not a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PatternError {
    UnclosedBrace,
    EmptyExpression,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnclosedBrace => {
                "in which a \"{\" is not closed: write \"}\" after the variable's name, or %7B for \
                 a brace in the URI"
            }
            Self::EmptyExpression => {
                "in which \"{}\" names no variable: write {id} for one segment, or * for any string"
            }
        })
    }
}

impl UriPattern {
    /// Parses a pattern. Returns `None` for a URI without wildcards.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, PatternError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find(['*', '{']) {
            let (literal, wildcard) = rest.split_at(start);
            let (piece, length) = parse_wildcard(wildcard)?;
            pieces.extend((!literal.is_empty()).then(|| Piece::Literal(literal.to_owned())));
            pieces.push(piece);
            rest = wildcard.get(length..).unwrap_or_default();
        }
        let is_pattern = !pieces.is_empty();
        pieces.extend((!rest.is_empty()).then(|| Piece::Literal(rest.to_owned())));
        let literal_bytes = pieces.iter().map(Piece::literal_bytes).sum();
        Ok(is_pattern.then_some(Self { pieces, literal_bytes }))
    }

    pub(super) fn literal_bytes(&self) -> usize {
        self.literal_bytes
    }

    /// Returns a URI that the pattern matches, with `x` for each wildcard.
    pub(super) fn sample(&self) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Literal(text) => text.clone(),
            Piece::Variable { .. } | Piece::Any => "x".to_owned(),
        };
        self.pieces.iter().map(piece).collect()
    }

    /// Returns whether the pattern matches whatever a URI is.
    pub(super) fn matches_every_uri(&self) -> bool {
        self.pieces.iter().all(|piece| *piece == Piece::Any)
    }

    /// Returns whether the pattern matches all of `uri`. The time is at most proportional to the
    /// product of both lengths.
    pub(super) fn matches(
        &self,
        uri: &str,
        rule: TemplateRule,
        budget: &mut MatchBudget,
    ) -> Result<bool, BudgetSpent> {
        budget.spend(STEPS_PER_ATTEMPT)?;
        let Some((uri, pieces)) = self.between_ends(uri.as_bytes()) else {
            return Ok(false);
        };
        let mut ends = vec![0];
        for (index, piece) in pieces.iter().enumerate() {
            if *piece == Piece::Any && index + 1 == pieces.len() {
                return Ok(true);
            }
            let starts = ends;
            ends = piece.ends(uri, &starts, rule);
            let steps = starts.len() * piece.steps_per_start() + ends.len();
            budget.spend(STEPS_PER_PIECE + steps)?;
            if ends.is_empty() {
                return Ok(false);
            }
        }
        Ok(ends.last() == Some(&uri.len()))
    }

    /// Removes what the pattern begins and ends with from it and from the URI, which rules most
    /// patterns out.
    fn between_ends<'a>(&self, uri: &'a [u8]) -> Option<(&'a [u8], &[Piece])> {
        let (uri, pieces) = match self.pieces.split_first() {
            Some((Piece::Literal(text), rest)) => (uri.strip_prefix(text.as_bytes())?, rest),
            _ => (uri, self.pieces.as_slice()),
        };
        match pieces.split_last() {
            Some((Piece::Literal(text), rest)) => Some((uri.strip_suffix(text.as_bytes())?, rest)),
            _ => Some((uri, pieces)),
        }
    }
}

impl Piece {
    fn literal_bytes(&self) -> usize {
        match self {
            Self::Literal(text) => text.len(),
            Self::Variable { .. } | Self::Any => 0,
        }
    }

    /// Returns the work for each place where the piece can start.
    fn steps_per_start(&self) -> usize {
        match self {
            Self::Literal(text) => 1 + text.len() / BYTES_PER_STEP,
            Self::Variable { .. } | Self::Any => 1,
        }
    }

    /// Returns where this piece can end if it can start at each of `starts`. Both are sorted.
    fn ends(&self, uri: &[u8], starts: &[usize], rule: TemplateRule) -> Vec<usize> {
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
            Self::Variable { is_list } => {
                let excluded: &[u8] = match rule {
                    TemplateRule::Rfc6570 => b"/?#",
                    TemplateRule::Lenient if *is_list => b"",
                    TemplateRule::Lenient => b"/",
                };
                let is_end = |byte: &u8| excluded.contains(byte);
                let mut ends = Vec::new();
                let mut longest = 0;
                for start in starts {
                    // Starts before the same end share it.
                    if *start >= longest {
                        let length = rest(*start).iter().position(is_end);
                        longest = length.map_or(uri.len(), |length| start + length);
                    }
                    let from = ends.last().map_or(0, |last| last + 1).max(start + 1);
                    ends.extend(from..=longest);
                }
                ends
            }
        }
    }
}

/// Parses the wildcard at the start of `text`, and returns it with its length.
fn parse_wildcard(text: &str) -> Result<(Piece, usize), PatternError> {
    let Some(inside) = text.strip_prefix('{') else {
        return Ok((Piece::Any, 1));
    };
    let (expression, _) = inside.split_once('}').ok_or(PatternError::UnclosedBrace)?;
    if expression.contains('{') {
        return Err(PatternError::UnclosedBrace);
    }
    let piece = match expression.chars().next() {
        None => return Err(PatternError::EmptyExpression),
        Some(first) if first.is_ascii_alphanumeric() || first == '_' => {
            Piece::Variable { is_list: expression.contains([',', '*', ':']) }
        }
        Some(_) => Piece::Any,
    };
    Ok((piece, expression.len() + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &UriPattern, uri: &str, rule: TemplateRule) -> bool {
        pattern.matches(uri, rule, &mut MatchBudget::new()).unwrap()
    }

    #[test]
    fn matches_the_uris_that_a_server_expands_it_to() {
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
            ("u:{a}/{b}{c}/{d}", "u:1/23/4", true),
            ("u:{a}/{b}{c}/{d}", "u:1/2/4", false),
            ("u:*{a}/{b}", "u:1/2/3/4", true),
            ("u:*{a}/{b}", "u:1/2/3/", false),
            ("u:*{a}/{b}", "u:1//3", false),
            ("u:{a}*", "u:1/2", true),
            ("u:*{a}", "u:1/2", true),
            ("u:*{a}", "u:1/", false),
            ("repo://{owner}/contents{/path*}", "repo://o/contents/a/b", true),
            ("repo://{owner}/contents{/path*}", "repo://o/contents", true),
            ("file:///{+path}", "file:///a/b", true),
            ("search://{?q,lang}", "search://?q=a&lang=b", true),
            ("\u{e4}:{a}", "\u{e4}:\u{f6}", true),
        ];
        for (pattern, uri, expected) in rows {
            let pattern = UriPattern::parse(pattern).unwrap().unwrap();
            let matches = matches(&pattern, uri, TemplateRule::Rfc6570);
            assert_eq!(matches, expected, "{pattern:?} {uri}");
        }
    }

    #[test]
    fn matches_at_least_what_servers_match_with_the_same_template() {
        let rows = [
            ("users://{id}/profile", "users://1?x/profile", true),
            ("users://{id}", "users://42?x", true),
            ("users://{id}", "users://4/2", false),
            ("u:{a,b}", "u:1/2", true),
            ("u:{path*}", "u:1/2", true),
            ("u:{id}", "u:", false),
        ];
        for (pattern, uri, expected) in rows {
            let pattern = UriPattern::parse(pattern).unwrap().unwrap();
            assert_eq!(
                matches(&pattern, uri, TemplateRule::Lenient),
                expected,
                "{pattern:?} {uri}"
            );
        }
    }

    #[test]
    fn the_work_is_bounded_by_the_budget() {
        let pattern = UriPattern::parse("u:*a*a*a{x}b").unwrap().unwrap();
        let uri = format!("u:{}b", "a".repeat(1_000));
        for (steps, expected) in [(20_000, Ok(true)), (2_000, Err(BudgetSpent))] {
            let mut budget = MatchBudget::of(steps);
            assert_eq!(pattern.matches(&uri, TemplateRule::Rfc6570, &mut budget), expected);
        }
        // One that does not begin or end alike costs next to nothing.
        for uri in [&format!("v:{uri}"), &format!("{uri}c")] {
            let mut budget = MatchBudget::of(STEPS_PER_ATTEMPT);
            assert_eq!(pattern.matches(uri, TemplateRule::Rfc6570, &mut budget), Ok(false));
        }
    }

    #[test]
    fn a_sample_has_a_character_for_each_wildcard() {
        let sample = |text| UriPattern::parse(text).unwrap().unwrap().sample();
        assert_eq!(["a:{b}/*", "*", "{+c}d"].map(sample), ["a:x/x", "x", "xd"]);
    }

    #[test]
    fn a_uri_without_wildcards_is_not_a_pattern() {
        for uri in ["", "file:///a", "urn:a:b", "a}b"] {
            assert_eq!(UriPattern::parse(uri), Ok(None), "{uri}");
        }
    }

    #[test]
    fn counts_the_literal_bytes() {
        let literal = |text| UriPattern::parse(text).unwrap().unwrap().literal_bytes();
        assert_eq!([literal("*"), literal("file:///*"), literal("file:///{a}/b{?c}")], [0, 8, 10]);
    }
}
