//! The token that callers show, as a file has it just now.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ring::hmac;
use ring::rand::SystemRandom;

use super::AdminError;

/// How old what was read of the file may be.
const FRESH: Duration = Duration::from_secs(1);

/// A shorter one could be guessed.
const SHORTEST: usize = 16;

/// The token that callers show. It is kept as a digest under a key of this process, and compared in constant time.
pub struct Token {
    path: PathBuf,
    key: hmac::Key,
    known: Mutex<(hmac::Tag, Instant)>,
}

impl Token {
    /// # Errors
    /// When the file cannot be read, or has no token that would do.
    pub fn open(path: &Path) -> Result<Self, AdminError> {
        let failed = |reason: String| AdminError::File {
            path: path.to_owned(),
            reason,
        };
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| failed("the system gives no random numbers".to_owned()))?;
        let tag = read(path, &key).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            key,
            known: Mutex::new((tag, Instant::now())),
        })
    }

    /// Whether this is the token.
    pub fn is(&self, shown: &[u8]) -> bool {
        let mut known = self.known.lock();
        if known.1.elapsed() > FRESH {
            known.1 = Instant::now();
            match read(&self.path, &self.key) {
                Ok(tag) => known.0 = tag,
                Err(reason) => {
                    tracing::warn!(path = %self.path.display(), reason, "the token that was read before stays");
                }
            }
        }
        hmac::verify(&self.key, shown, known.0.as_ref()).is_ok()
    }
}

fn read(path: &Path, key: &hmac::Key) -> Result<hmac::Tag, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("the token cannot be read: {error}"))?;
    let token = bytes.trim_ascii();
    if token.len() < SHORTEST {
        return Err(format!("a token needs {SHORTEST} characters or more"));
    }
    if !token.iter().all(u8::is_ascii_graphic) {
        return Err("a token is letters, digits and signs of ASCII, without blanks".to_owned());
    }
    Ok(hmac::sign(key, token))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const GOOD: &str = "0123456789abcdef";

    #[test]
    fn a_token_is_known_with_and_without_the_end_of_its_line() {
        let folder = tempfile::tempdir().unwrap();
        for ending in ["", "\n", "\r\n"] {
            let path = folder.path().join("token");
            std::fs::write(&path, format!("{GOOD}{ending}")).unwrap();
            let token = Token::open(&path).unwrap();
            assert!(token.is(GOOD.as_bytes()));
            for wrong in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF"] {
                assert!(!token.is(wrong.as_bytes()), "{wrong}");
            }
        }
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_shown() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "\n", "short", "0123456789 abcdef", "0123456789abcdé"] {
            let path = folder.path().join("token");
            std::fs::write(&path, text).unwrap();
            let error = Token::open(&path).err().unwrap().to_string();
            assert!(text.trim().is_empty() || !error.contains(text), "{error}");
        }
        assert!(Token::open(&folder.path().join("none")).is_err());
    }

    #[test]
    fn a_token_that_changed_is_the_new_one_and_one_that_went_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, GOOD).unwrap();
        let token = Token::open(&path).unwrap();
        let age = || token.known.lock().1 -= 2 * FRESH;
        std::fs::write(&path, "another-token-of-16").unwrap();
        age();
        assert!(token.is(b"another-token-of-16") && !token.is(GOOD.as_bytes()));
        std::fs::write(&path, "").unwrap();
        age();
        assert!(token.is(b"another-token-of-16") && !token.is(b""));
    }
}
