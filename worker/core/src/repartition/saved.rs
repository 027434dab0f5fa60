//! What of a repartition is kept in snapshots.

use super::Repartition;
use super::ends::Ends;
use super::input::State;
use crate::aggregate::CorruptState;
use crate::state::{decode, encode};
use crate::stream::Micros;

const AS_CLAIMED: &str = " as claimed";

/// By what rows were dealt out, and the states of the inputs; what was said of ends; whether the others were told that it is
/// idle; the number of the form.
type Saved = ((((String, Vec<State>), Ends), bool), Option<u64>);

/// What was saved; by this version, or by one that knew of no forms, of no idle shards, or of no ends.
fn saved(bytes: &[u8]) -> Result<Saved, CorruptState> {
    let what = "a repartition";
    decode(bytes, what)
        .or_else(|_| Ok((decode(bytes, what)?, None)))
        .or_else(|_: CorruptState| Ok(((decode(bytes, what)?, false), None)))
        .or_else(|_: CorruptState| Ok((((decode(bytes, what)?, Ends::default()), false), None)))
}

impl Repartition {
    /// The state at a cut, when nothing waits.
    pub fn save(&self) -> Vec<u8> {
        let states: Vec<&State> = self.inputs.iter().map(|input| &input.state).collect();
        encode(&(
            (((self.identity(), states), &self.ends), self.told_idle),
            Some(self.form),
        ))
    }

    /// Whether rows were ever sent to other shards, by what [`Repartition::save`] gave.
    ///
    /// # Errors
    /// If the bytes are something else.
    pub fn has_sent(bytes: &[u8]) -> Result<bool, CorruptState> {
        let (((_, states), _), _) = saved(bytes)?.0;
        Ok(states.iter().any(|state| state.n_sent > 0))
    }

    /// How far each input of the stage was told to be, by what [`Repartition::save`] gave.
    ///
    /// # Errors
    /// If the bytes are something else.
    pub fn saved_watermarks(bytes: &[u8]) -> Result<Vec<Micros>, CorruptState> {
        let (((_, states), _), _) = saved(bytes)?.0;
        Ok(states.iter().map(|state| state.given).collect())
    }

    /// Takes back what [`Repartition::save`] gave. What was saved among another number of shards, or where rows were dealt out
    /// by something else, says nothing here: then it begins anew.
    ///
    /// # Errors
    /// If the bytes are something else.
    pub fn load(&mut self, bytes: &[u8]) -> Result<(), CorruptState> {
        let ((((identity, states), ends), told_idle), _) = saved(bytes)?;
        if identity != self.identity() {
            return Ok(());
        }
        self.told_idle = told_idle;
        for (input, state) in self.inputs.iter_mut().zip(states) {
            if state.others.len() == input.state.others.len() {
                input.state = state;
            }
        }
        if ends.others.len() == self.ends.others.len() {
            self.ends = ends;
        }
        Ok(())
    }

    /// Whether rows may be on their way to a shard with this state, by what [`Repartition::save`] gave in the same run epoch.
    ///
    /// # Errors
    /// If the bytes are something else.
    pub fn are_on_their_way(bytes: &[u8]) -> Result<bool, CorruptState> {
        let (((identity, states), _), _) = saved(bytes)?.0;
        // Where the producers deal out by key there are none as a rule.
        Ok(!identity.ends_with(AS_CLAIMED) || states.iter().any(|state| state.n_sent > 0))
    }

    /// Whether rows are dealt out in the form in which they were, by what [`Repartition::save`] gave.
    ///
    /// # Errors
    /// If the bytes are something else.
    pub fn is_of_form(&self, bytes: &[u8]) -> Result<bool, CorruptState> {
        Ok(saved(bytes)?.1.is_none_or(|form| form == self.form))
    }

    /// What rows are dealt out by, and whether that is claimed.
    pub(super) fn identity(&self) -> String {
        let claimed = if self.plan.claimed { AS_CLAIMED } else { "" };
        format!("{}{claimed}", self.plan.dealt_by())
    }
}
