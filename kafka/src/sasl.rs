//! Saying who we are: PLAIN, SCRAM and OAUTHBEARER, inside Kafka's own questions.

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
        SaslMechanism::OAuthBearer => token(connection, sasl)?,
        SaslMechanism::Kerberos => {
            return Err(refused(connection, sasl, "only librdkafka can do that".to_owned()));
        }
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

/// RFC 7628.
fn token(connection: &mut Connection, sasl: &Sasl) -> Result<i64, KafkaError> {
    let Some(tokens) = &sasl.tokens else {
        return Err(refused(connection, sasl, "no token endpoint is set".to_owned()));
    };
    let token = tokens.token()?;
    let message = format!("n,,\x01auth=Bearer {}\x01\x01", token.text.expose_secret());
    let (complaint, lifetime) = say(connection, sasl, message.into_bytes())?;
    if complaint.is_empty() {
        return Ok(lifetime);
    }
    // The broker says why only when it is asked to end.
    say(connection, sasl, vec![1])?;
    let complaint = String::from_utf8_lossy(&complaint).into_owned();
    Err(refused(connection, sasl, complaint))
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
        SaslMechanism::OAuthBearer => "OAUTHBEARER",
        SaslMechanism::Kerberos => "GSSAPI",
    }
}
