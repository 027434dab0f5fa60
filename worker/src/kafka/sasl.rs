//! Saying who we are: PLAIN and SCRAM, inside Kafka's own questions.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::ExposeSecret;

use super::connection::Connection;
use super::error::KafkaError;
use super::scram::{Hash, Scram};
use super::settings::{Sasl, SaslMechanism};

/// Says who we are; answers until when that is believed, with some time to spare.
pub fn authenticate(connection: &mut Connection, sasl: &Sasl) -> Result<Option<Instant>, KafkaError> {
    let mechanism = name(sasl.mechanism);
    let request = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(mechanism));
    let response = connection.call("SaslHandshake", &request, 1)?;
    if response.error_code != 0 {
        let offered: Vec<&str> = response.mechanisms.iter().map(|offered| &**offered).collect();
        return Err(KafkaError::Mechanism {
            broker: connection.broker().to_owned(),
            mechanism,
            offered: if offered.is_empty() {
                "no login".to_owned()
            } else {
                offered.join(", ")
            },
        });
    }
    let lifetime = match sasl.mechanism {
        SaslMechanism::Plain => {
            let (username, password) = (&sasl.username, sasl.password.expose_secret());
            say(connection, sasl, format!("\0{username}\0{password}").into_bytes())?.1
        }
        SaslMechanism::ScramSha256 => scram(connection, sasl, Hash::Sha256)?,
        SaslMechanism::ScramSha512 => scram(connection, sasl, Hash::Sha512)?,
    };
    // Brokers hang up on time; a twentieth is left for the way.
    Ok((lifetime > 0).then(|| Instant::now() + Duration::from_millis(lifetime as u64 / 20 * 19)))
}

fn scram(connection: &mut Connection, sasl: &Sasl, hash: Hash) -> Result<i64, KafkaError> {
    let refused = |connection: &Connection, reason: String| refused(connection, sasl, reason);
    let mut nonce = [0; 18];
    SystemRandom::new()
        .fill(&mut nonce)
        .map_err(|_| refused(connection, "the system gives no random numbers".to_owned()))?;
    let nonce = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, nonce);
    let scram = Scram::new(hash, &sasl.username, sasl.password.expose_secret(), &nonce);
    let (challenge, _) = say(connection, sasl, scram.first().into_bytes())?;
    let answer = scram
        .answer(&challenge)
        .map_err(|error| refused(connection, error.to_string()))?;
    let (proof, lifetime) = say(connection, sasl, answer.message.clone().into_bytes())?;
    answer
        .check(&proof)
        .map_err(|error| refused(connection, error.to_string()))?;
    Ok(lifetime)
}

fn say(connection: &mut Connection, sasl: &Sasl, message: Vec<u8>) -> Result<(Bytes, i64), KafkaError> {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from(message));
    let response = connection.call("SaslAuthenticate", &request, 2)?;
    if response.error_code != 0 {
        let said = response.error_message.map(|said| said.to_string());
        let reason = said.unwrap_or_else(|| format!("error {}", response.error_code));
        return Err(refused(connection, sasl, reason));
    }
    Ok((response.auth_bytes, response.session_lifetime_ms))
}

fn refused(connection: &Connection, sasl: &Sasl, reason: String) -> KafkaError {
    KafkaError::Authentication {
        broker: connection.broker().to_owned(),
        username: sasl.username.clone(),
        mechanism: name(sasl.mechanism),
        reason,
    }
}

/// What Kafka calls a mechanism.
pub fn name(mechanism: SaslMechanism) -> &'static str {
    match mechanism {
        SaslMechanism::Plain => "PLAIN",
        SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
        SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
    }
}
