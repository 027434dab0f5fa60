//! Messages by RFC 5424: `<165>1 2003-10-11T22:14:15.003Z host app 8710 ID47 [id name="value"] text`.

use super::message::{Element, Message, Piece, Scan, SyntaxError, Time};
use crate::decode::time::from_rfc3339;

/// Unicode's byte order mark, which RFC 5424 wants before a text in UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Whether a message by RFC 5424 stands behind the priority: a version, and then a time or `-`.
pub(super) fn begins(rest: &str) -> bool {
    let Some((version, rest)) = rest.split_once(' ') else {
        return false;
    };
    let year_follows = || rest.bytes().take(4).filter(u8::is_ascii_digit).count() == 4 && rest.get(4..5) == Some("-");
    is_version(version) && (rest == "-" || rest.starts_with("- ") || year_follows())
}

fn is_version(text: &str) -> bool {
    (1..=3).contains(&text.len()) && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads what stands behind the priority into a message.
pub(super) fn read(scan: &mut Scan<'_>, message: &mut Message) -> Result<(), SyntaxError> {
    let version = scan.take_while(|letter| letter.is_ascii_digit());
    message.version = version.text(scan.record).parse().ok();
    let at = next_field(scan, "expected a space and the time")?;
    message.time = match at {
        None => Time::Missing,
        Some(time) => match from_rfc3339(time.text(scan.record).as_bytes()) {
            Ok(micros) => Time::At(micros),
            Err(_) => {
                let (at, what) = (time.start, "expected a time like 2003-10-11T22:14:15.003Z");
                return Err(SyntaxError { at, what });
            }
        },
    };
    message.hostname = next_field(scan, "expected a space and the host's name, or -")?;
    message.app_name = next_field(scan, "expected a space and the application's name, or -")?;
    message.proc_id = next_field(scan, "expected a space and the process's id, or -")?;
    message.msg_id = next_field(scan, "expected a space and the message's id, or -")?;
    if !scan.skip(" ") {
        return Err(scan.error("expected a space and structured data, or -"));
    }
    if !scan.skip("-") {
        structured_data(scan, &mut message.elements)?;
    }
    if matches!(scan.rest(), "" | "\n" | "\r\n" | "\0") {
        return Ok(());
    }
    if !scan.skip(" ") {
        return Err(scan.error("expected a space and the message behind the structured data"));
    }
    scan.skip(BYTE_ORDER_MARK);
    message.message = Some(scan.take_rest());
    Ok(())
}

/// A field behind a space; nothing if it is nil.
fn next_field(scan: &mut Scan<'_>, what: &'static str) -> Result<Option<Piece>, SyntaxError> {
    let is_there = scan.skip(" ");
    let field = scan.take_while(|letter| !matches!(letter, ' ' | '\n' | '\r' | '\0'));
    let text = field.text(scan.record);
    if !is_there || text.is_empty() {
        return Err(scan.error(what));
    }
    Ok((text != "-").then_some(field))
}

fn structured_data(scan: &mut Scan<'_>, elements: &mut Vec<Element>) -> Result<(), SyntaxError> {
    let is_name = |letter: char| letter.is_ascii_graphic() && !matches!(letter, '=' | ']' | '"');
    if !scan.rest().starts_with('[') {
        return Err(scan.error("expected structured data like [id name=\"value\"], or -"));
    }
    while scan.skip("[") {
        let id = scan.take_while(is_name);
        if id.text(scan.record).is_empty() {
            return Err(scan.error("expected the id of an element of structured data"));
        }
        let mut params = Vec::new();
        while scan.skip(" ") {
            let name = scan.take_while(is_name);
            if name.text(scan.record).is_empty() && scan.rest().starts_with([' ', ']']) {
                // Some senders put spaces where none should be.
                continue;
            }
            if name.text(scan.record).is_empty() || !scan.skip("=\"") {
                return Err(scan.error("expected a parameter like name=\"value\""));
            }
            params.push((name, param_value(scan)?));
        }
        if !scan.skip("]") {
            return Err(scan.error("expected a space and a parameter, or ] at the end of the element"));
        }
        elements.push(Element { id, params });
    }
    Ok(())
}

/// A value behind its first quote.
fn param_value(scan: &mut Scan<'_>) -> Result<Piece, SyntaxError> {
    let start = scan.at;
    let rest = scan.rest().as_bytes();
    let mut at = 0;
    loop {
        match rest.get(at) {
            None => return Err(scan.error("a quote is not closed")),
            Some(b'"') => break,
            Some(b'\\') if is_escaped(rest.get(at + 1)) => at += 2,
            Some(_) => at += 1,
        }
    }
    scan.at += at + 1;
    let end = start + at;
    Ok(Piece { start, end })
}

fn is_escaped(byte: Option<&u8>) -> bool {
    matches!(byte, Some(b'"' | b'\\' | b']'))
}

/// A parameter's value without the escapes `\"`, `\\` and `\]`; a backslash before anything else is one.
pub(super) fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let escaped = (letter == '\\').then(|| letters.next_if(|next| matches!(next, '"' | '\\' | ']')));
        out.push(escaped.flatten().unwrap_or(letter));
    }
    out
}
