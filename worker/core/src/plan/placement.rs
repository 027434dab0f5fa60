//! How the keys of a stage's state find their partition.
//!
//! It stands in the files of a snapshot, so that their keys can be dealt out by whoever reads them.

use std::collections::BTreeSet;

use arrow_schema::DataType;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tocsin_contract::pipeline::source::{Partitioner, Source};

use super::partitioning::{Partitioned, column_of_key, inputs, keys, n_common, of_sources};
use super::{Plan, StagePlan};
use crate::capture::Row;
use crate::encode::RecordKeys;
use crate::expr::compile::{type_name, type_named};
use crate::kafka::partitioner;
use crate::key::decode_keys;
use crate::stream::columns_batch;

/// How the keys of a stage find their partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The partitioner of the records that it reads.
    pub partitioner: Partitioner,
    tables: Vec<TableKey>,
}

/// The key of a table of a stage's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TableKey {
    #[serde(serialize_with = "save_types", deserialize_with = "load_types")]
    types: Vec<DataType>,
    /// Which columns of it make the records' key, in that key's order.
    columns: Vec<usize>,
}

/// For each stage, how its keys find their partition; none where that is not known: it is not kept by key, or its input is
/// not known to be partitioned by it.
pub fn placements(plan: &Plan, sources: &[Source]) -> Vec<Option<Placement>> {
    // As many as are needed for a claim to count.
    let inputs = inputs(&plan.stages, &of_sources(sources, &vec![2; sources.len()]));
    let of_stage = |(stage, input): (&StagePlan, Option<Partitioned>)| {
        let tables = keys(stage)?;
        let is_dealt = stage.repartition.as_ref().is_some_and(|dealt| !dealt.claimed);
        let fits = |input: &Partitioned| input.key.iter().all(|name| column_of_key(stage, name));
        // By its own key, if rows are dealt out or would be among several shards.
        let Some(input) = input.filter(|input| !is_dealt && fits(input)) else {
            let n_columns = n_common(stage).unwrap_or(usize::MAX);
            let table = |key: Vec<(String, DataType)>| TableKey {
                columns: (0..n_columns.min(key.len())).collect(),
                types: key.into_iter().map(|(_, data_type)| data_type).collect(),
            };
            return Some(Placement {
                partitioner: Partitioner::Murmur2,
                tables: tables.into_iter().map(table).collect(),
            });
        };
        let tables = tables.into_iter().map(|key| {
            let column = |name: &String| {
                let fits = column_of_key(stage, name);
                key.iter().position(|(column, _)| column == name).filter(|_| fits)
            };
            let columns = input.key.iter().map(column).collect::<Option<Vec<_>>>()?;
            let types = key.iter().map(|(_, data_type)| data_type.clone()).collect();
            Some(TableKey { types, columns })
        });
        Some(Placement {
            partitioner: input.partitioner,
            tables: tables.collect::<Option<Vec<_>>>()?,
        })
    };
    plan.stages.iter().zip(inputs).map(of_stage).collect()
}

impl Placement {
    /// Whether each table's key has the columns that make the records', and each once.
    pub fn is_sound(&self) -> bool {
        let is_sound = |table: &TableKey| {
            let columns: BTreeSet<usize> = table.columns.iter().copied().collect();
            columns.len() == table.columns.len() && columns.last().is_none_or(|last| *last < table.types.len())
        };
        self.tables.iter().all(is_sound)
    }

    /// Whether all rows have one key: that of no columns.
    pub fn is_one_key(&self) -> bool {
        self.tables.iter().all(|table| table.columns.is_empty())
    }

    /// The hash of each row's key, as the partitioner of its records has it. Rows without a key of their own have 0.
    pub fn hashes(&self, table: u32, rows: &[Row<'_>]) -> Vec<u32> {
        if self.is_one_key() {
            return vec![partitioner::hash(self.partitioner, b""); rows.len()];
        }
        let keyed = rows.iter().all(|row| !row.key.is_empty());
        let Some(key) = self.tables.get(table as usize).filter(|_| keyed) else {
            return vec![0; rows.len()];
        };
        if key.types == [DataType::Utf8] && key.columns == [0] {
            // Behind a byte that says that there is one.
            let hash = |row: &Row<'_>| partitioner::hash(self.partitioner, row.key.get(1..).unwrap_or_default());
            return rows.iter().map(hash).collect();
        }
        let all = decode_keys(rows.iter().map(|row| row.key), &key.types);
        let columns: Vec<_> = key.columns.iter().filter_map(|i| all.get(*i).cloned()).collect();
        let numbers: Vec<usize> = (0..columns.len()).collect();
        let keys = RecordKeys::of(&columns_batch(columns), &numbers);
        let hash = |row| partitioner::hash(self.partitioner, keys.get(row).unwrap_or_default());
        (0..rows.len()).map(hash).collect()
    }
}

fn save_types<S: Serializer>(types: &[DataType], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(types.iter().map(type_name))
}

fn load_types<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<DataType>, D::Error> {
    let names: Vec<String> = Vec::deserialize(deserializer)?;
    let types = names.iter().map(|name| type_named(name)).collect::<Option<_>>();
    types.ok_or_else(|| de::Error::custom("a key of an unknown type"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::expr::compile::{decimal_type, timestamp_type};
    use crate::state::{decode, encode};

    #[test]
    fn keys_of_all_types_are_saved() {
        let types = [
            DataType::Boolean,
            DataType::Int64,
            DataType::UInt64,
            DataType::Float64,
            decimal_type(),
            DataType::Utf8,
            timestamp_type(),
        ];
        let table = TableKey {
            types: types.to_vec(),
            columns: vec![5, 0],
        };
        let placement = Placement {
            partitioner: Partitioner::Fnv1a,
            tables: vec![table],
        };
        assert_eq!(
            decode::<Placement>(&encode(&placement), "a placement").unwrap(),
            placement
        );
        assert!(placement.is_sound());
    }

    /// Files say for good how keys were dealt out: what stands for a partitioner must not change.
    #[test]
    fn partitioners_are_saved_as_ever() {
        let all = [Partitioner::Murmur2, Partitioner::Crc32, Partitioner::Fnv1a];
        for (number, partitioner) in (0u8..).zip(all) {
            let tables = Vec::new();
            assert_eq!(encode(&Placement { partitioner, tables }), [number, 0]);
        }
    }
}
