//! Messages as RFC 3164 found them: `<34>Oct 11 22:14:15 host app[10]: text`, and as they are really sent.
//!
//! Each part may be missing. Known too: times by RFC 3339, with a year, with a fraction; Cisco's sequence number and its
//! mark of a clock that is not set; a tag without a host. What is not known as a part is the message.

use super::message::{Message, Piece, Scan, Time};
use super::year::{Year, at_date};
use crate::decode::time::from_rfc3339;

/// Reads what stands behind the priority into a message.
pub(super) fn read(scan: &mut Scan<'_>, year: Year, message: &mut Message) {
    let from = scan.at;
    sequence_number(scan);
    message.time = time(scan, year);
    if message.time == Time::Missing {
        scan.at = from;
    } else {
        message.hostname = hostname(scan);
    }
    tag(scan, message);
    message.message = Some(scan.take_rest());
}

/// `29: ` of Cisco, which counts its messages.
fn sequence_number(scan: &mut Scan<'_>) {
    let mut ahead = *scan;
    let digits = ahead.take_while(|letter| letter.is_ascii_digit());
    if !digits.text(scan.record).is_empty() && ahead.skip(": ") {
        *scan = ahead;
    }
}

fn time(scan: &mut Scan<'_>, year: Year) -> Time {
    let mut ahead = *scan;
    let time = rfc3339(&mut ahead).or_else(|| {
        ahead = *scan;
        // Cisco says with a sign that the clock is not set, or not confirmed.
        let _ = ahead.skip("*") || ahead.skip(".");
        bsd_time(&mut ahead, year)
    });
    match time {
        Some(time) if ahead.rest().is_empty() || ahead.skip(" ") || ahead.skip(": ") => {
            *scan = ahead;
            time
        }
        _ => Time::Missing,
    }
}

fn rfc3339(scan: &mut Scan<'_>) -> Option<Time> {
    let word = scan.take_while(|letter| letter != ' ');
    let text = word.text(scan.record);
    // With a colon behind it, as behind a tag.
    let bare = text.strip_suffix(':').unwrap_or(text);
    scan.at = word.start + bare.len();
    let is_date = bare.as_bytes().get(4) == Some(&b'-');
    is_date
        .then(|| from_rfc3339(bare.as_bytes()).ok())
        .flatten()
        .map(Time::At)
}

/// `Oct  1 22:14:15`, with a fraction; a year before or behind the time of day.
fn bsd_time(scan: &mut Scan<'_>, year: Year) -> Option<Time> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = scan.take_while(|letter| letter.is_ascii_alphabetic());
    let name = month.text(scan.record);
    let place = (name.len() == 3).then(|| MONTHS.find(name)).flatten()?;
    let month = (place % 3 == 0).then_some(place as i64 / 3 + 1)?;
    spaces(scan)?;
    let day = number(scan, 1..=2)?;
    spaces(scan)?;
    let before = year_at(scan).filter(|_| scan.skip(" "));
    let hour = number(scan, 1..=2)?;
    let minute = scan.skip(":").then(|| number(scan, 2..=2))??;
    let second = scan.skip(":").then(|| number(scan, 2..=2))??;
    let micros = if scan.skip(".") { fraction(scan)? } else { 0 };
    let zone = zone(scan);
    let behind = before.or_else(|| year_behind(scan));
    if zone == Some(false) {
        return Some(Time::Vague(
            "its zone has a name; only UTC and offsets in RFC 3339 have one meaning",
        ));
    }
    let year = behind.map_or(year, Year::Known);
    Some(at_date(
        year,
        month,
        day,
        ((hour * 60 + minute) * 60 + second, micros),
        second <= 60 && minute < 60 && hour < 24,
    ))
}

fn spaces(scan: &mut Scan<'_>) -> Option<()> {
    let spaces = scan.take_while(|letter| letter == ' ');
    (spaces.start < spaces.end).then_some(())
}

fn number(scan: &mut Scan<'_>, digits: std::ops::RangeInclusive<usize>) -> Option<i64> {
    let piece = scan.take_while(|letter| letter.is_ascii_digit());
    let text = piece.text(scan.record);
    digits.contains(&text.len()).then(|| text.parse().ok()).flatten()
}

fn fraction(scan: &mut Scan<'_>) -> Option<i64> {
    let digits = scan.take_while(|letter| letter.is_ascii_digit());
    let text = digits.text(scan.record);
    let in_micros = text
        .bytes()
        .map(|digit| i64::from(digit & 0xf))
        .chain(std::iter::repeat(0));
    (!text.is_empty()).then(|| in_micros.take(6).fold(0, |micros, digit| micros * 10 + digit))
}

/// A year, of which the scan moves on only if it is there.
fn year_at(scan: &mut Scan<'_>) -> Option<i64> {
    let mut ahead = *scan;
    let year = number(&mut ahead, 4..=4)?;
    *scan = ahead;
    Some(year)
}

/// A year behind the time of day. A host may be called by a number, but not by that of a year of syslog.
fn year_behind(scan: &mut Scan<'_>) -> Option<i64> {
    let mut ahead = *scan;
    let year = ahead.skip(" ").then(|| number(&mut ahead, 4..=4))??;
    let is_year = (1980..2100).contains(&year) && ahead.rest().starts_with([' ', ':']);
    is_year.then(|| scan.at = ahead.at)?;
    Some(year)
}

/// The name of a time zone with a colon or a year behind it, and whether it stands for UTC.
fn zone(scan: &mut Scan<'_>) -> Option<bool> {
    let mut ahead = *scan;
    let name = ahead
        .skip(" ")
        .then(|| ahead.take_while(|letter| letter.is_ascii_uppercase()))?;
    let text = name.text(scan.record);
    let year_follows = || year_behind(&mut ahead.clone()).is_some();
    let is_zone = (1..=5).contains(&text.len()) && (ahead.rest().starts_with(": ") || year_follows());
    is_zone.then(|| scan.at = ahead.at)?;
    Some(matches!(text, "UTC" | "GMT" | "Z"))
}

/// The host, unless the first word is a tag.
fn hostname(scan: &mut Scan<'_>) -> Option<Piece> {
    let mut ahead = *scan;
    let word = ahead.take_while(|letter| !letter.is_ascii_whitespace());
    let text = word.text(scan.record);
    let is_tag = text.ends_with(':') || text.contains('[') || text.starts_with('%');
    let is_host = !text.is_empty() && !is_tag && ahead.skip(" ");
    is_host.then(|| {
        scan.at = ahead.at;
        word
    })
}

/// `app[10]: ` or `app: `.
fn tag(scan: &mut Scan<'_>, message: &mut Message) {
    let mut ahead = *scan;
    let name = ahead.take_while(|letter| letter.is_ascii_graphic() && !matches!(letter, '[' | ':' | ']'));
    if name.start == name.end {
        return;
    }
    let process = ahead
        .skip("[")
        .then(|| ahead.take_while(|letter| letter.is_ascii_graphic() && letter != ']'));
    if process.is_some() && !ahead.skip("]") {
        return;
    }
    let is_closed = ahead.skip(":");
    // A colon inside of a word, as in an address, ends no tag.
    let ends = ahead.rest().is_empty() || ahead.rest().starts_with(|next: char| next.is_ascii_whitespace());
    if !ends || !(is_closed || process.is_some()) {
        return;
    }
    ahead.skip(" ");
    *scan = ahead;
    message.app_name = Some(name);
    message.proc_id = process.filter(|process| process.start < process.end);
}
