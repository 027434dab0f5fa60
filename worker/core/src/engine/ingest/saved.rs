//! A source as saved bytes.

use serde::{Deserialize, Serialize};

use super::{Held, Ingest};
use crate::aggregate::CorruptState;
use crate::avro::{SchemaAnswer, SchemaId};
use crate::engine::SourceCounters;
use crate::state::{decode, encode, rows_from_bytes, rows_to_bytes};
use crate::stream::{END, Micros};
use crate::watermark::EventClock;

type SavedHeld = (Micros, Option<Vec<u8>>, u64, Vec<u8>);

#[derive(Serialize, Deserialize)]
struct Saved {
    clock: EventClock,
    held: Option<SavedHeld>,
    ticked: Micros,
    ended: Option<Micros>,
    counters: SourceCounters,
    /// Numbers of schemas that the registry does not have. Those that it has it will have again.
    absent: Vec<SchemaId>,
}

/// What was saved, and whether the source was idle; an earlier version knew nothing of that.
fn saved(bytes: &[u8]) -> Result<(Saved, bool), CorruptState> {
    let what = "a source";
    decode(bytes, what).or_else(|_| Ok((decode(bytes, what)?, false)))
}

impl Ingest {
    pub fn save(&self) -> Vec<u8> {
        let held = self.held.as_ref().map(|held| -> SavedHeld {
            (
                held.time,
                held.row.as_ref().map(rows_to_bytes),
                held.offset,
                held.bytes.clone(),
            )
        });
        let (clock, counters) = (self.clock.clone(), self.counters.clone());
        let saved = Saved {
            clock,
            held,
            ticked: self.ticked,
            ended: self.ended,
            counters,
            absent: self.absent(),
        };
        encode(&(saved, self.idle))
    }

    /// How far a source had come that was saved.
    pub fn saved_watermark(bytes: &[u8]) -> Result<Micros, CorruptState> {
        let (saved, _) = saved(bytes)?;
        let watermark = saved.clock.watermark().max(saved.ticked);
        Ok(saved.ended.map_or(watermark, |_| END))
    }

    /// Goes on counting where another stopped, whose records this one does not read on.
    pub fn count(&mut self, bytes: &[u8]) -> Result<(), CorruptState> {
        let (Saved { counters, .. }, _) = saved(bytes)?;
        self.counters.records += counters.records;
        self.counters.dead += counters.dead;
        for (counter, n) in self.counters.mismatches.iter_mut().zip(&counters.mismatches) {
            *counter += n;
        }
        Ok(())
    }

    pub fn load(&mut self, bytes: &[u8]) -> Result<(), CorruptState> {
        let (saved, idle) = saved(bytes)?;
        self.idle = idle;
        self.held = match saved.held {
            None => None,
            Some((time, row, offset, bytes)) => {
                let row = row.map(|row| rows_from_bytes(&row, &self.columns)).transpose()?;
                Some(Held {
                    time,
                    row,
                    offset,
                    bytes,
                })
            }
        };
        for id in saved.absent {
            self.decoder.learn(id, &SchemaAnswer::Absent);
        }
        self.clock = saved.clock;
        self.ticked = saved.ticked;
        self.ended = saved.ended;
        self.counters = saved.counters;
        Ok(())
    }
}
