//! Where the parts of a JSON text are, so that some of it can be replaced and the rest kept byte
//! for byte.

use std::collections::HashSet;
use std::ops::Range;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Deserializer;

/// The number of members of one object, and of elements of one list. A text with more is not read.
const MAX_PARTS: usize = 10_000;

/// A member of an object.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) value: Range<usize>,
}

/// Returns the members of the object in this range of the text. `None` if there is no object, or
/// one with duplicate members.
pub(super) fn members(text: &str, range: &Range<usize>) -> Option<Vec<Member>> {
    let mut members = Vec::new();
    let mut cursor = Cursor::new(text, range)?;
    cursor.parts(b'{', b'}', |cursor| {
        let name = cursor.parse::<String>()?.0;
        cursor.take(b':')?;
        let value = cursor.parse::<IgnoredAny>()?.1;
        members.push(Member { name, value });
        Some(())
    })?;
    let names: HashSet<_> = members.iter().map(|member| member.name.as_str()).collect();
    (names.len() == members.len()).then_some(members)
}

/// Returns the elements of the list in this range of the text. `None` if there is no list.
pub(super) fn elements(text: &str, range: &Range<usize>) -> Option<Vec<Range<usize>>> {
    let mut elements = Vec::new();
    let mut cursor = Cursor::new(text, range)?;
    cursor.parts(b'[', b']', |cursor| {
        elements.push(cursor.parse::<IgnoredAny>()?.1);
        Some(())
    })?;
    Some(elements)
}

/// Returns the value of the member with this name.
pub(super) fn find<'a>(members: &'a [Member], name: &str) -> Option<&'a Range<usize>> {
    members.iter().find(|member| member.name == name).map(|member| &member.value)
}

/// Returns the string in this range of the text. `None` if it is of another type.
pub(super) fn string(text: &str, range: &Range<usize>) -> Option<String> {
    serde_json::from_str(text.get(range.clone())?).ok()
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str, range: &Range<usize>) -> Option<Self> {
        Some(Self { text: text.get(..range.end)?, at: range.start })
    }

    /// Reads an object or a list up to the end of the text.
    fn parts(
        &mut self,
        open: u8,
        close: u8,
        mut part: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.take(open)?;
        if self.take(close).is_none() {
            for _ in 0..MAX_PARTS {
                part(self)?;
                if self.take(b',').is_none() {
                    break;
                }
            }
            self.take(close)?;
        }
        self.skip_space();
        (self.at == self.text.len()).then_some(())
    }

    fn skip_space(&mut self) {
        let rest = self.text.as_bytes().iter().skip(self.at);
        self.at += rest.take_while(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n')).count();
    }

    /// Reads this byte, if it is next.
    fn take(&mut self, byte: u8) -> Option<()> {
        self.skip_space();
        if self.text.as_bytes().get(self.at) != Some(&byte) {
            return None;
        }
        self.at += 1;
        Some(())
    }

    /// Reads a value.
    fn parse<T: DeserializeOwned>(&mut self) -> Option<(T, Range<usize>)> {
        self.skip_space();
        let start = self.at;
        let mut values = Deserializer::from_str(self.text.get(start..)?).into_iter::<T>();
        let value = values.next()?.ok()?;
        self.at += values.byte_offset();
        Some((value, start..self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Option<Vec<(String, &str)>> {
        let members = members(text, &(0..text.len()))?.into_iter();
        Some(members.map(|member| (member.name, &text[member.value])).collect())
    }

    #[test]
    fn returns_each_value_as_it_is_written() {
        let text = " { \"a\" : 1e3 ,\"\\u0062\":\"}\\\"\", \"c\":[1,{\"a\":2}],\"d\":null }\n";
        let expected = [("a", "1e3"), ("b", "\"}\\\"\""), ("c", "[1,{\"a\":2}]"), ("d", "null")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(parts(text).unwrap(), expected);
        let list = "[ 1,\n[2 , 3],{\"a\":4},\"]\" ]";
        let elements = elements(list, &(0..list.len())).unwrap();
        let elements: Vec<_> = elements.into_iter().map(|range| &list[range]).collect();
        assert_eq!(elements, ["1", "[2 , 3]", "{\"a\":4}", "\"]\""]);
        assert_eq!(parts("{}"), Some(vec![]));
        assert_eq!(super::elements("[]", &(0..2)), Some(vec![]));
    }

    #[test]
    fn returns_nothing_of_what_is_not_one_plain_object_or_list() {
        let texts = [
            "",
            "[]",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":1}{}",
            "{\"a\":1}x",
            "{\"a\":1,\"a\":2}",
            "{\"a\":1,\"\\u0061\":2}",
            "{a:1}",
            "{\"a\":01}",
            "{\"a\":[}",
            "\u{feff}{}",
            "/**/{}",
            "null",
        ];
        for text in texts {
            assert_eq!(parts(text), None, "{text}");
        }
        for text in ["", "{}", "[", "[1,]", "[,]", "[1 2]", "[1][2]", "[1}"] {
            assert_eq!(elements(text, &(0..text.len())), None, "{text}");
        }
    }

    #[test]
    fn long_and_deep_texts_are_bounded() {
        let list = |count: usize| format!("[{}]", vec!["1"; count].join(","));
        assert_eq!(elements(&list(10_000), &(0..list(10_000).len())).unwrap().len(), 10_000);
        assert_eq!(elements(&list(10_001), &(0..list(10_001).len())), None);
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(500_000), "]".repeat(500_000));
        assert_eq!(parts(&deep).unwrap().len(), 1);
    }
}
