//! Ids of incidents and alarms: short, and the same in each run over the same input.

/// An id made of what identifies a thing: `<prefix>-` and 16 hexadecimal digits.
pub fn id(prefix: &str, parts: &[&[u8]]) -> String {
    format!("{prefix}-{:016x}", number(parts))
}

/// A number made of what identifies a thing, the same in each build.
pub fn number(parts: &[&[u8]]) -> u64 {
    let mut hash = OFFSET;
    for part in parts {
        // The length keeps `ab`,`c` apart from `a`,`bc`.
        hash = add(hash, &(part.len() as u64).to_le_bytes());
        hash = add(hash, part);
    }
    mix(hash)
}

/// FNV-1a, 64 bits: <http://www.isthe.com/chongo/tech/comp/fnv/>. Fixed for good, since ids live in other systems.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

fn add(hash: u64, bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

/// The finaliser of MurmurHash3: spreads the last bytes over all bits.
fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_never_changes() {
        assert_eq!(id("inc", &[b"noc", b"incidents", b"api"]), "inc-5374e3b1b1a2b17b");
        assert_ne!(id("inc", &[b"ab", b"c"]), id("inc", &[b"a", b"bc"]));
    }
}
