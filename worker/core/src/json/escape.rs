//! Takes the escapes out of strings that were found to be well-formed.

use memchr::memchr;

use super::scalar::code_unit;

/// Appends the text that the content of a string stands for. The content has no quotes around it and is well-formed.
pub(super) fn unescape(content: &[u8], out: &mut Vec<u8>) {
    let mut rest = content;
    while let Some(plain) = memchr(b'\\', rest) {
        let (before, escape) = rest.split_at(plain);
        out.extend_from_slice(before);
        let (character, length) = character(escape);
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = escape.get(length..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

/// The character that an escape stands for, and how many bytes the escape has.
fn character(escape: &[u8]) -> (char, usize) {
    let character = match escape.get(1).copied().unwrap_or_default() {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return code_point(escape),
        itself => char::from(itself),
    };
    (character, 2)
}

/// The same of an escape with hexadecimal digits, or of two that are a surrogate pair.
fn code_point(escape: &[u8]) -> (char, usize) {
    let first = code_unit(escape).unwrap_or_default();
    let second = escape.get(6..).and_then(code_unit);
    let (code, length) = match (first, second) {
        (0xd800..=0xdbff, Some(second @ 0xdc00..=0xdfff)) => {
            (0x10000 + ((first - 0xd800) << 10 | (second - 0xdc00)), 12)
        }
        _ => (first, 6),
    };
    (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), length)
}

#[cfg(test)]
mod tests {
    use super::unescape;

    fn check(content: &str, expected: &str) {
        let mut out = b">".to_vec();
        unescape(content.as_bytes(), &mut out);
        assert_eq!(String::from_utf8_lossy(&out), format!(">{expected}"), "{content}");
    }

    #[test]
    fn escapes_become_their_characters() {
        check("", "");
        check("plain", "plain");
        check(r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t");
        check(r"a\u0041\u00e9\u20AC", "aAé€");
        check(r"\ud83d\ude00!", "😀!");
        check(r"\uD83D\uDE00\u0000", "😀\0");
        check(r"x\\u0041", r"x\u0041");
        check(r"é\né", "é\né");
    }
}
