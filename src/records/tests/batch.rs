//! What a batch must be.

use proptest::prelude::*;

use super::super::AppendRefused;
use super::super::batch::{Batch, Producer, Rules, check};
use super::{Made, NOW_MS, framed, real, sealed};

const RULES: Rules = Rules { max_bytes: 1_000, zstd: true, now_ms: NOW_MS };

fn checked(bytes: &[u8]) -> Result<Batch, AppendRefused> {
    check(bytes, &RULES)
}

/// Changes some bytes and seals the batch again.
fn with(mut bytes: Vec<u8>, at: usize, change: &[u8]) -> Vec<u8> {
    bytes[at..at + change.len()].copy_from_slice(change);
    sealed(bytes)
}

fn why(bytes: &[u8]) -> &'static str {
    match checked(bytes) {
        Err(AppendRefused::Corrupt(_)) => "corrupt",
        Err(AppendRefused::Invalid(_)) => "invalid",
        Err(AppendRefused::InvalidTimestamp { .. }) => "time",
        Err(AppendRefused::BatchTooLarge { .. }) => "large",
        Err(AppendRefused::UnsupportedCompression) => "compression",
        Err(AppendRefused::Transactional) => "transactional",
        Err(other) => panic!("{other:?}"),
        Ok(_) => "taken",
    }
}

#[test]
fn batches_of_real_clients_are_taken_as_they_are_but_for_offset_and_epoch() {
    let java = (3, 1_700_000_000_500);
    for (name, (count, newest)) in [
        ("java-none", java),
        ("java-gzip", java),
        ("java-snappy", java),
        ("java-lz4", java),
        ("java-zstd", java),
        ("java-idempotent", java),
        ("kcat-none", (3, 0x1a2_04e1_a3b2)),
        ("kcat-lz4", (3, 0x1a2_04e1_a3c2)),
    ] {
        let sent = real(name);
        let batch = checked(&sent).unwrap_or_else(|refused| panic!("{name}: {refused:?}"));
        assert_eq!((batch.count, batch.max_timestamp_ms), (count, newest), "{name}");
        let idempotent = Producer { id: 7_000, epoch: 3, sequence: 41 };
        assert_eq!(batch.producer, (name == "java-idempotent").then_some(idempotent), "{name}");
        let kept = batch.at(0x0102_0304_0506_0708);
        assert_eq!(kept[..8], [1, 2, 3, 4, 5, 6, 7, 8], "{name}: base offset");
        assert_eq!(kept[12..16], [0; 4], "{name}: leader epoch");
        assert_eq!((&kept[8..12], &kept[16..]), (&sent[8..12], &sent[16..]), "{name}: the rest");
    }
}

#[test]
fn what_no_client_may_send_is_refused() {
    for (name, expected) in [
        ("java-v0", "invalid"),
        ("java-v1", "invalid"),
        ("java-control", "invalid"),
        ("java-transactional", "transactional"),
    ] {
        assert_eq!(why(&real(name)), expected, "{name}");
    }
    let zstd = Rules { zstd: false, ..RULES };
    assert_eq!(check(&real("java-zstd"), &zstd), Err(AppendRefused::UnsupportedCompression));
    assert!(check(&real("java-lz4"), &zstd).is_ok());
}

#[test]
fn every_field_is_held_against_the_bytes() {
    let good = Made::of(&[10, 12, 11]).bytes();
    assert_eq!(why(&good), "taken");
    let (one, longer) = (1_i32.to_be_bytes(), (good.len() as i32).to_be_bytes());
    for (what, at, change, expected) in [
        ("base offset", 0, &1_i64.to_be_bytes()[..], "invalid"),
        ("length below every format's", 8, &13_i32.to_be_bytes(), "corrupt"),
        ("negative length", 8, &(-1_i32).to_be_bytes(), "corrupt"),
        ("length beyond the bytes: no whole batch", 8, &longer, "invalid"),
        ("largest length", 8, &i32::MAX.to_be_bytes(), "invalid"),
        ("leader epoch: anything", 12, &77_i32.to_be_bytes(), "taken"),
        ("format 1", 16, &[1], "invalid"),
        ("format 3", 16, &[3], "corrupt"),
        ("format -1", 16, &[255], "corrupt"),
        ("codec 5", 21, &5_u16.to_be_bytes(), "compression"),
        ("codec 7", 21, &7_u16.to_be_bytes(), "compression"),
        ("control", 21, &0x20_u16.to_be_bytes(), "invalid"),
        ("transactional", 21, &0x10_u16.to_be_bytes(), "transactional"),
        ("last offset delta too small", 23, &one, "invalid"),
        ("negative last offset delta", 23, &(-1_i32).to_be_bytes(), "invalid"),
        ("sequence without a producer: nobody's", 53, &9_i32.to_be_bytes(), "taken"),
        ("producer without a sequence", 43, &5_i64.to_be_bytes(), "invalid"),
        ("count too small", 57, &one, "invalid"),
        ("count of 0", 57, &0_i32.to_be_bytes(), "invalid"),
        ("negative count", 57, &i32::MIN.to_be_bytes(), "invalid"),
        ("base timestamp far ahead", 27, &(NOW_MS + 3_600_001).to_be_bytes(), "time"),
    ] {
        let mut changed = good.clone();
        changed[at..at + change.len()].copy_from_slice(change);
        if at >= 21 {
            assert_eq!(
                why(&changed),
                if expected == "compression" { expected } else { "corrupt" },
                "{what}: CRC"
            );
            changed = sealed(changed);
        }
        assert_eq!(why(&changed), expected, "{what}");
    }
    // Both claims agree with each other, and not with the records.
    for (count, expected) in [(2_i32, "invalid"), (3, "taken"), (4, "invalid"), (i32::MAX, "invalid")] {
        let changed = with(good.clone(), 23, &(count - 1).to_be_bytes());
        assert_eq!(why(&with(changed, 57, &count.to_be_bytes())), expected, "{count} claimed");
    }
    let none = framed(0, 0, (-1, -1), (-1, -1, -1), &[]);
    assert_eq!(why(&none), "invalid", "no records");
    assert_eq!(why(&framed(1, 1, (-1, -1), (-1, -1, -1), &[])), "invalid", "nothing compressed");
}

#[test]
fn sizes_and_numbers_of_batches_are_bounded() {
    let good = Made::of(&[10]).bytes();
    let limit = |max_bytes| check(&good, &Rules { max_bytes, ..RULES });
    let bytes = good.len();
    assert!(limit(bytes).is_ok());
    assert_eq!(limit(bytes - 1), Err(AppendRefused::BatchTooLarge { bytes, limit: bytes - 1 }));
    assert_eq!(why(&[]), "invalid");
    assert_eq!(why(&[&good[..], &good].concat()), "invalid", "two");
    // Kafka trims what is less than a batch.
    assert_eq!(checked(&[&good[..], &good[..good.len() - 1]].concat()), checked(&good));
    assert_eq!(checked(&[&good[..], &[0; 11]].concat()), checked(&good));
    assert_eq!(why(&[&good[..], &[0; 12]].concat()), "corrupt", "a length of 0 behind it");
    for cut in 0..good.len() {
        assert_eq!(why(&good[..cut]), "invalid", "cut to {cut}");
    }
}

#[test]
fn records_are_walked_and_not_believed() {
    let one = |record: &[u8]| {
        let mut body = Vec::new();
        super::varint(&mut body, record.len() as i64);
        body.extend(record);
        why(&framed(0, 1, (10, 10), (-1, -1, -1), &body))
    };
    // Attributes, time, offset, key, value, headers.
    assert_eq!(one(&[0, 0, 0, 1, 1, 0]), "taken");
    assert_eq!(one(&[0, 0, 0, 2, b'k', 2, b'v', 2, 2, b'h', 1]), "taken", "a header with null");
    for (what, record) in [
        ("empty", &[][..]),
        ("offset 1", &[0, 0, 2, 1, 1, 0]),
        ("offset -1", &[0, 0, 1, 1, 1, 0]),
        ("key beyond the record", &[0, 0, 0, 20, b'k', 1, 0]),
        ("largest key", &[0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0x0f, 1, 0]),
        ("varint of six bytes", &[0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, 1, 1, 0]),
        ("varint without an end", &[0, 0x80, 0x80]),
        ("more headers than bytes", &[0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f]),
        ("negative headers", &[0, 0, 0, 1, 1, 1]),
        ("header without a key", &[0, 0, 0, 1, 1, 2, 1, 1]),
        ("a byte too many", &[0, 0, 0, 1, 1, 0, 0]),
    ] {
        assert_eq!(one(record), "invalid", "{what}");
    }
    let record = [12, 0, 0, 0, 1, 1, 0];
    assert_eq!(why(&framed(0, 1, (10, 10), (-1, -1, -1), &record)), "taken");
    assert_eq!(why(&framed(0, 1, (10, 10), (-1, -1, -1), &[&record[..], &[12]].concat())), "invalid");
    assert_eq!(why(&framed(0, 1, (10, 10), (-1, -1, -1), &[13, 0, 0, 0, 1, 1, 0])), "invalid", "length -7");
}

#[test]
fn the_newest_time_is_that_of_the_records() {
    let good = Made::of(&[10, 12, 11]).bytes();
    for (what, changed) in [
        ("header says more", with(good.clone(), 35, &99_i64.to_be_bytes())),
        ("header says less", with(good.clone(), 35, &(-1_i64).to_be_bytes())),
    ] {
        let batch = checked(&changed).unwrap();
        assert_eq!(batch.max_timestamp_ms, 12, "{what}");
        let expected = checked(&good).unwrap().at(5);
        assert_eq!(batch.at(5), expected, "{what}: mended, and sealed anew");
    }
    // A producer that says "log append time": Kafka takes the header's time for every record's, and takes the mark away.
    let append_time = with(with(good, 21, &8_u16.to_be_bytes()), 35, &99_i64.to_be_bytes());
    let kept = checked(&append_time).unwrap().at(0);
    assert_eq!((&kept[21..23], &kept[35..43]), (&[0, 0][..], &99_i64.to_be_bytes()[..]));
    assert_eq!(sealed(kept.to_vec()), kept);
    assert_eq!(checked(&Made::of(&[-1, -1]).bytes()).unwrap().max_timestamp_ms, -1);
    let latest = NOW_MS + 3_600_000;
    assert_eq!(why(&Made::of(&[latest]).bytes()), "taken");
    let refused = AppendRefused::InvalidTimestamp { timestamp_ms: latest + 1, latest_ms: latest };
    assert_eq!(checked(&Made::of(&[10, latest + 1, 10]).bytes()), Err(refused.clone()));
    let compressed = framed(1, 3, (10, latest + 1), (-1, -1, -1), b"opaque");
    assert_eq!(checked(&compressed), Err(refused));
    assert_eq!(why(&framed(1, i32::MAX, (10, latest), (-1, -1, -1), b"opaque")), "taken");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_and_what_is_taken_is_whole(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        name in prop::sample::select(vec!["java-none", "java-idempotent", "java-gzip", "kcat-none"]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        seal in any::<bool>(),
        raw in any::<bool>(),
    ) {
        if !raw {
            bytes = real(name);
            for (at, byte) in &edits {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
        }
        if seal && bytes.len() >= 61 {
            bytes = sealed(bytes);
        }
        if let Ok(batch) = checked(&bytes) {
            prop_assert!(batch.count > 0 && batch.size() <= bytes.len());
            let kept = batch.clone().at(9);
            prop_assert_eq!(sealed(kept.to_vec()), kept.to_vec());
            let mut again = kept.to_vec();
            again[..8].fill(0);
            prop_assert_eq!(checked(&again), Ok(batch), "taken once, taken again");
        }
    }
}
