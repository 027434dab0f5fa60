//! SCRAM (RFC 5802, RFC 7677): the password is proved and never sent, and the broker proves that it knows it too.

use std::num::NonZeroU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};

/// The hash of the exchange.
#[derive(Clone, Copy, Debug)]
pub enum Hash {
    Sha256,
    Sha512,
}

/// RFC 7677, section 4; with fewer the password could be found by trying.
const LEAST_ITERATIONS: u32 = 4_096;

/// A broker that would make us compute for longer means no good.
const MOST_ITERATIONS: u32 = 1_000_000;

/// Our side of the exchange.
pub struct Scram<'a> {
    hash: Hash,
    password: &'a str,
    nonce: &'a str,
    first_bare: String,
}

/// Our second message, and what the broker must answer.
pub struct Answer {
    pub message: String,
    expected: Vec<u8>,
}

/// Why the exchange failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    #[error("its SCRAM challenge is malformed")]
    Challenge,
    #[error("it could not prove that it knows the password")]
    Proof,
    #[error("it says {0}")]
    Refused(String),
}

/// What is kept of a password: it proves the password, and does not tell it.
pub fn salted(hash: Hash, password: &str, salt: &[u8], iterations: NonZeroU32) -> Vec<u8> {
    let (algorithm, length) = match hash {
        Hash::Sha256 => (pbkdf2::PBKDF2_HMAC_SHA256, 32),
        Hash::Sha512 => (pbkdf2::PBKDF2_HMAC_SHA512, 64),
    };
    let mut salted = vec![0; length];
    pbkdf2::derive(algorithm, iterations, salt, password.as_bytes(), &mut salted);
    salted
}

impl<'a> Scram<'a> {
    /// `nonce` is random and used once.
    pub fn new(hash: Hash, username: &str, password: &'a str, nonce: &'a str) -> Self {
        let username = username.replace('=', "=3D").replace(',', "=2C");
        Self {
            hash,
            password,
            nonce,
            first_bare: format!("n={username},r={nonce}"),
        }
    }

    /// Our first message.
    pub fn first(&self) -> String {
        format!("n,,{}", self.first_bare)
    }

    /// Answers the broker's challenge.
    pub fn answer(&self, challenge: &[u8]) -> Result<Answer, ScramError> {
        let challenge = std::str::from_utf8(challenge).map_err(|_| ScramError::Challenge)?;
        let part = |name: &str| challenge.split(',').find_map(|part| part.strip_prefix(name));
        let nonce = part("r=").filter(|nonce| nonce.starts_with(self.nonce) && nonce.len() > self.nonce.len());
        let salt = part("s=").and_then(|salt| STANDARD.decode(salt).ok());
        let iterations = part("i=").and_then(|iterations| iterations.parse::<NonZeroU32>().ok());
        let (Some(nonce), Some(salt), Some(iterations)) = (nonce, salt, iterations) else {
            return Err(ScramError::Challenge);
        };
        if !(LEAST_ITERATIONS..=MOST_ITERATIONS).contains(&iterations.get()) {
            return Err(ScramError::Challenge);
        }
        // "biws" is "n,,": no binding to the channel.
        let without_proof = format!("c=biws,r={nonce}");
        let signed = format!("{},{challenge},{without_proof}", self.first_bare);
        let salted = salted(self.hash, self.password, &salt, iterations);
        let client_key = self.hmac(&salted, b"Client Key");
        let stored_key = self.digest(&client_key);
        let signature = self.hmac(&stored_key, signed.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        let server_key = self.hmac(&salted, b"Server Key");
        Ok(Answer {
            message: format!("{without_proof},p={}", STANDARD.encode(proof)),
            expected: self.hmac(&server_key, signed.as_bytes()),
        })
    }

    fn hmac(&self, key: &[u8], bytes: &[u8]) -> Vec<u8> {
        let algorithm = match self.hash {
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha512 => hmac::HMAC_SHA512,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), bytes).as_ref().to_vec()
    }

    fn digest(&self, bytes: &[u8]) -> Vec<u8> {
        let algorithm = match self.hash {
            Hash::Sha256 => &digest::SHA256,
            Hash::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, bytes).as_ref().to_vec()
    }
}

impl Answer {
    /// Checks the broker's last message.
    pub fn check(&self, last: &[u8]) -> Result<(), ScramError> {
        let last = std::str::from_utf8(last).map_err(|_| ScramError::Proof)?;
        if let Some(error) = last.strip_prefix("e=") {
            return Err(ScramError::Refused(error.to_owned()));
        }
        let proof = last.split(',').find_map(|part| part.strip_prefix("v="));
        let proof = proof.and_then(|proof| STANDARD.decode(proof).ok());
        // The proof is no secret: it was sent to us.
        if proof.as_ref() == Some(&self.expected) {
            Ok(())
        } else {
            Err(ScramError::Proof)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The example of RFC 7677, section 3.
    fn example() -> Scram<'static> {
        Scram::new(Hash::Sha256, "user", "pencil", "rOprNGfwEbeRWgbNEkqO")
    }

    const CHALLENGE: &[u8] = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    #[test]
    fn the_example_of_the_standard_comes_out() {
        let scram = example();
        assert_eq!(scram.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let answer = scram.answer(CHALLENGE).unwrap();
        assert_eq!(
            answer.message,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(answer.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
    }

    #[test]
    fn a_broker_that_does_not_know_the_password_is_refused() {
        let answer = example().answer(CHALLENGE).unwrap();
        assert_eq!(answer.check(b"v=AAAA"), Err(ScramError::Proof));
        assert_eq!(answer.check(b""), Err(ScramError::Proof));
        let refused = ScramError::Refused("invalid-proof".to_owned());
        assert_eq!(answer.check(b"e=invalid-proof"), Err(refused));
    }

    #[test]
    fn a_challenge_that_is_none_is_refused() {
        let challenges = [
            "",
            "r=other,s=AA==,i=4096",
            "r=rOprNGfwEbeRWgbNEkqO,s=AA==,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=?,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=AA==,i=0",
            "r=rOprNGfwEbeRWgbNEkqOx,s=AA==,i=4095",
            "r=rOprNGfwEbeRWgbNEkqOx,s=AA==,i=2000000000",
        ];
        for challenge in challenges {
            assert!(example().answer(challenge.as_bytes()).is_err(), "{challenge}");
        }
    }

    #[test]
    fn commas_and_equals_signs_in_a_name_are_escaped() {
        assert_eq!(Scram::new(Hash::Sha512, "a,b=c", "", "x").first(), "n,,n=a=2Cb=3Dc,r=x");
    }
}
