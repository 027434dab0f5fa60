//! Hashes of documents: by them it is seen that nothing changed.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// Twelve hexadecimal digits of the SHA-256 of `value` in JSON, its fields in the order of their names.
///
/// The same in every version for the same document: names of objects and the decision to restart workers hang on it.
/// Forty-eight bits tell the revisions of one pipeline apart; nobody gains from making two of their own alike.
pub fn hash_of<T: Serialize + ?Sized>(value: &T) -> String {
    // What is hashed has text keys alone and no float that is not finite: it always becomes JSON.
    let mut document = serde_json::to_value(value).unwrap_or_default();
    document.sort_all_objects();
    let digest = Sha256::digest(document.to_string().as_bytes());
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_document_has_the_same_hash_in_every_version_and_in_any_order_of_its_fields() {
        assert_eq!(
            hash_of(&json!({"a": 1, "b": [true]})),
            hash_of(&json!({"b": [true], "a": 1}))
        );
        assert_ne!(hash_of(&json!({"a": 1})), hash_of(&json!({"a": 2})));
        assert_eq!(hash_of(&json!({})), "44136fa355b3");
    }
}
