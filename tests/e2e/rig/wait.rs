//! Waiting: on a condition, with a deadline. Nothing here waits for a time alone.

use std::time::{Duration, Instant};

use crate::RigError;

/// How often a condition is looked at that cannot tell of its change, such as another process's answer.
const STEP: Duration = Duration::from_millis(10);

/// Asks again and again until there is a value.
///
/// # Errors
/// [`RigError::TimedOut`] when there is none in time, and whatever `ask` fails with, at once.
pub fn until<T>(
    what: &str,
    within: Duration,
    mut ask: impl FnMut() -> Result<Option<T>, RigError>,
) -> Result<T, RigError> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(value) = ask()? {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            return Err(RigError::TimedOut {
                what: what.to_owned(),
                within,
            });
        }
        std::thread::park_timeout(STEP);
    }
}
