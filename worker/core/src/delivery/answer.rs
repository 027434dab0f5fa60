//! What an answer of HTTP means for the row that was sent.

use core::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// A receiver may ask for that much rest, and no more.
pub const LONGEST_REST: Duration = Duration::from_secs(3600);

/// What came of sending a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What it means.
    pub verdict: Verdict,
    /// The status of the answer, if one came.
    pub status: Option<u16>,
    /// What was said: the beginning of the answer, or why there was none. No secret is in it.
    pub said: String,
}

/// What becomes of a row that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has it.
    Delivered,
    /// It is sent again; the receiver may ask for a rest.
    Again {
        /// How long nothing must be sent.
        rest: Option<Duration>,
    },
    /// No further try would do.
    Never,
}

/// Judges a status; none is an answer that did not come.
pub fn judge(status: Option<u16>, rest: Option<Duration>) -> Verdict {
    match status {
        Some(200..=299) => Verdict::Delivered,
        // 409 says to an idempotency key that the same request is under way (draft-ietf-httpapi-idempotency-key-header).
        None | Some(408 | 409 | 425 | 429 | 500..=599) => Verdict::Again {
            rest: rest.map(|rest| rest.min(LONGEST_REST)),
        },
        // A redirect among them: it is not followed, as it would lead a row, and a token, to an address that nobody wrote
        // down.
        Some(_) => Verdict::Never,
    }
}

/// Reads `Retry-After`, in seconds or as a date; nothing if it is neither, or over.
pub fn rest(header: &str, now: Timestamp) -> Option<Duration> {
    static DATES: DateTimeParser = DateTimeParser::new();
    let header = header.trim();
    if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has are a long time too.
        return Some(
            header
                .parse()
                .map_or(LONGEST_REST, Duration::from_secs)
                .min(LONGEST_REST),
        );
    }
    let until = DATES.parse_timestamp(header).ok()?;
    let seconds = u64::try_from(until.as_second().saturating_sub(now.as_second())).ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_REST))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_whether_a_row_is_delivered_sent_again_or_given_up() {
        let again = Verdict::Again { rest: None };
        for (statuses, verdict) in [
            (&[200, 201, 202, 204, 299][..], Verdict::Delivered),
            (&[408, 409, 425, 429, 500, 501, 502, 503, 504, 507, 599], again),
            (
                &[
                    100, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 410, 413, 422, 451, 600,
                ],
                Verdict::Never,
            ),
        ] {
            for status in statuses {
                assert_eq!(judge(Some(*status), None), verdict, "{status}");
            }
        }
        assert_eq!(judge(None, None), again);
    }

    #[test]
    fn a_rest_is_given_in_seconds_or_as_a_date_and_is_at_most_an_hour() {
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        for (header, seconds) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("86400", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("Sun, 01 Mar 2026 12:00:30 GMT", Some(30)),
            ("Mon, 02 Mar 2026 12:00:00 GMT", Some(3600)),
            ("Sun, 01 Mar 2026 11:59:59 GMT", None),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("Sun, 99 Mar 2026 12:00:30 GMT", None),
        ] {
            assert_eq!(rest(header, now), seconds.map(Duration::from_secs), "{header}");
        }
    }
}
