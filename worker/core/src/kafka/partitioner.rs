//! How a key becomes a partition: the hashes of the usual producers.

use tocsin_contract::pipeline::source::Partitioner;

/// Hash of a key, not yet taken modulo the number of partitions; never negative. By it rows of state find their shard, too,
/// when the number of partitions changes.
pub fn hash(partitioner: Partitioner, key: &[u8]) -> u32 {
    match partitioner {
        Partitioner::Murmur2 => murmur2(key) & 0x7fff_ffff,
        Partitioner::Crc32 => crc32(key),
        Partitioner::Fnv1a => fnv1a(key),
    }
}

/// The partition of a key with this hash, among `n_partitions`; 0 if there is none.
pub fn partition(partitioner: Partitioner, hash: u32, n_partitions: u32) -> u32 {
    match partitioner {
        Partitioner::Murmur2 | Partitioner::Crc32 => hash.checked_rem(n_partitions).unwrap_or(0),
        // Sarama takes the remainder of a signed number, and drops its sign.
        Partitioner::Fnv1a => (i64::from(hash as i32) % i64::from(n_partitions.max(1))).unsigned_abs() as u32,
    }
}

/// Kafka's Java client. Source: `org.apache.kafka.common.utils.Utils.murmur2`.
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c_u32 ^ key.len() as u32;
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let mut k = word.try_into().map_or(0, u32::from_le_bytes);
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| (tail << 8) | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// librdkafka's `consistent`: zlib's CRC-32.
fn crc32(key: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(key);
    crc.sum()
}

/// FNV-1a of 32 bits, as Sarama and Telegraf use it.
fn fnv1a(key: &[u8]) -> u32 {
    key.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_is_that_of_the_java_client() {
        // Expected values from Kafka's own UtilsTest.testMurmur2.
        let cases: [(&[u8], i32); 7] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
            (b"", 275_646_681),
        ];
        for (key, expected) in cases {
            assert_eq!(murmur2(key) as i32, expected, "{key:?}");
        }
    }

    #[test]
    fn crc32_and_fnv1a_have_their_check_values() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(fnv1a(b""), 0x811c_9dc5);
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968);
    }

    fn check(partitioner: Partitioner, key: &[u8], n_partitions: u32, expected: u32) {
        assert_eq!(
            partition(partitioner, hash(partitioner, key), n_partitions),
            expected,
            "{partitioner:?} {key:?}"
        );
    }

    #[test]
    fn a_key_has_the_partition_that_its_producer_would_choose() {
        check(
            Partitioner::Murmur2,
            b"21",
            12,
            ((-973_932_308_i32) as u32 & 0x7fff_ffff) % 12,
        );
        check(Partitioner::Crc32, b"123456789", 12, 0xcbf4_3926 % 12);
        // As a signed number the hash is -1_080_231_560, and the remainder of 7 is -4.
        check(Partitioner::Fnv1a, b"foobar", 7, 4);
        for partitioner in [Partitioner::Murmur2, Partitioner::Crc32, Partitioner::Fnv1a] {
            check(partitioner, b"anything", 1, 0);
            check(partitioner, b"anything", 0, 0);
        }
    }
}
