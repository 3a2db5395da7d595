//! Random sequences about records: a topic of their own, batches good and bad from producers with and without an id, and
//! what is fetched and found of them in between and in the end.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::step::{self, Sequence};

/// The sequence of this number under this seed.
pub fn sequence(seed: u64, number: usize) -> Sequence {
    let mut random =
        Random(StdRng::seed_from_u64(!seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let mut script = format!("= records {number} of seed {seed}\n");
    script += "CreateTopics 7 {topics: [{name: \"log\", num_partitions: 2, replication_factor: 1}]}\n";
    script += "InitProducerId 5 {transactional_id: null}\nInitProducerId 1 {transactional_id: null}\n";
    for _ in 0..random.0.random_range(4..=20) {
        script += &random.step();
    }
    for partition in 0..2 {
        script += &format!(
            "Fetch 12 {{topics: [{{topic: \"log\", partitions: [{{partition: {partition}, \
             partition_max_bytes: 1000000}}]}}]}}\n"
        );
    }
    step::read("random records", &script).remove(0)
}

struct Random(StdRng);

impl Random {
    fn of<T: Copy>(&mut self, pool: &[T]) -> T {
        *pool.choose(&mut self.0).expect("a pool is not empty")
    }

    fn step(&mut self) -> String {
        let partition = self.of(&[0, 0, 0, 1, 1, 2]);
        match self.0.random_range(0..10) {
            0..=5 => {
                let (version, acks) = (self.0.random_range(3..=11), self.of(&[1, 1, -1]));
                format!(
                    "Produce {version} {{acks: {acks}, timeout_ms: 5000, topic_data: [{{name: \"log\", \
                     partition_data: [{{index: {partition}, records: {}}}]}}]}}\n",
                    self.batch()
                )
            }
            6 | 7 => {
                let (version, offset) = (self.0.random_range(4..=12), self.0.random_range(-1..12));
                let (most, of_one) =
                    (self.of(&[0, 70, 150, 1_000_000]), self.of(&[0, 69, 90, 200, 1_000_000]));
                format!(
                    "Fetch {version} {{max_bytes: {most}, isolation_level: {}, topics: [{{topic: \"log\", partitions: \
                     [{{partition: {partition}, fetch_offset: {offset}, partition_max_bytes: {of_one}}}, \
                     {{partition: {}, partition_max_bytes: {of_one}}}]}}]}}\n",
                    self.of(&[0, 1]),
                    // Not the same twice: Kafka answers that once.
                    if partition == 1 { 0 } else { 1 }
                )
            }
            8 => {
                let version = self.0.random_range(1..=10);
                let time = self.of(&[-1, -2, -3, -4, -5, 0, TIME, TIME + 3, TIME + 5, TIME + 9, TIME + 10]);
                format!(
                    "ListOffsets {version} {{replica_id: -1, topics: [{{name: \"log\", partitions: \
                     [{{partition_index: {partition}, timestamp: {time}}}]}}]}}\n"
                )
            }
            _ => format!(
                "OffsetForLeaderEpoch {} {{replica_id: -1, topics: [{{topic: \"log\", partitions: \
                 [{{partition: {partition}, leader_epoch: {}}}]}}]}}\n",
                self.0.random_range(2..=4),
                self.of(&[-2, -1, 0, 0, 1, 2])
            ),
        }
    }

    fn batch(&mut self) -> String {
        let count = self.of(&[1, 1, 1, 2, 3]);
        let list = |of: &mut dyn FnMut() -> String| (0..count).map(|_| of()).collect::<Vec<_>>().join(", ");
        let values = list(&mut || self.of(&["\"a\"", "\"bb\"", "null", "\"x\"*100"]).to_owned());
        let times = list(&mut || self.of(&[0, 0, 3, 5, 9, 10, -5]).to_string());
        let mut batch = format!("{{values: [{values}], times: [{times}]");
        if self.0.random_ratio(1, 2) {
            let (id, epoch) = (self.of(&["$pid.1", "$pid.1", "$pid.2"]), self.of(&[0, 0, 0, 0, 0, 1]));
            let sequence = self.of(&[0, 0, 1, 2, 3, 4, 5]);
            batch += &format!(", producer_id: {id}, producer_epoch: {epoch}, base_sequence: {sequence}");
        }
        if self.0.random_ratio(1, 6) {
            let wrong = [
                "crc: 7",
                "magic: 1",
                "base_offset: 4",
                "count: 9",
                "last_offset_delta: 7",
                "attributes: 32",
                "attributes: 8",
                "cut: 2",
                "more: 0x00",
                "base_timestamp: 5000000000000",
            ];
            batch += &format!(", {}", self.of(&wrong));
        }
        batch + "}"
    }
}

/// `records.rs` has it as the time of every batch that says no other.
const TIME: i64 = 1_700_000_000_000;

#[test]
fn one_seed_gives_one_sequence_and_its_text_is_itself() {
    for number in 0..200 {
        let one = sequence(7, number);
        assert_eq!(one, sequence(7, number));
        assert_eq!(step::read("here", &one.to_string()), [one]);
    }
}
