//! Kafka's choice of a partition: murmur2 of the key, as its Java client computes it.

/// The partition of `key` among `partitions` (at least one).
pub(crate) fn partition(key: &[u8], partitions: i32) -> i32 {
    (hash(key) & 0x7fff_ffff) as i32 % partitions.max(1)
}

/// murmur2 with Kafka's seed.
fn hash(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut h = 0x9747_b28c_u32 ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> 24;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    for (i, byte) in rest.iter().enumerate() {
        h ^= u32::from(*byte) << (8 * i);
    }
    if !rest.is_empty() {
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_java_client() {
        // From Kafka's own UtilsTest.testMurmur2.
        for (key, want) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ] {
            assert_eq!(hash(key.as_bytes()) as i32, want, "{key}");
        }
        assert_eq!(hash(b"abc") as i32, 479_470_107);
    }

    #[test]
    fn a_partition_is_always_there() {
        for n in 1..20 {
            for key in 0..100_u32 {
                assert!((0..n).contains(&partition(&key.to_be_bytes(), n)));
            }
        }
    }
}
