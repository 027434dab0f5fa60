//! Schemas that records name by number: whether the next records can be decoded.
//!
//! A registry is outside: what it says is a decision. That there is no schema of a number is written in the journal, at the
//! place from which it counts, and so is that there is one after all. A schema that is there never changes, so that it can
//! be asked for again whenever what was done is done again.

use tocsin_contract::pipeline::source::{FormatKind, Source};
use tocsin_worker_core::avro::SchemaAnswer;
use tocsin_worker_core::kafka::Block;
use tocsin_worker_core::shard::Shard;

use crate::schema_registry::{Lookup, RegistryError, SchemaRegistry};

/// The registries of a pipeline's sources.
#[derive(Clone, Debug, Default)]
pub struct Schemas(Vec<Option<SchemaRegistry>>);

/// Why a shard takes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// For the first time.
    New,
    /// Once more, as the journal says.
    Again,
}

impl Schemas {
    /// Those that sources name; one for each address.
    ///
    /// # Errors
    /// If one cannot be asked.
    pub fn of(sources: &[Source]) -> Result<Self, RegistryError> {
        let mut known: Vec<SchemaRegistry> = Vec::new();
        let mut registry = |source: &Source| {
            let registry = source.format.registry.as_ref();
            let Some(registry) = registry.filter(|_| source.format.kind == FormatKind::Avro) else {
                return Ok(None);
            };
            let same = |known: &&SchemaRegistry| known.url() == registry.url;
            if let Some(same) = known.iter().find(same) {
                return Ok(Some(same.clone()));
            }
            let new = SchemaRegistry::new(&registry.url)?;
            known.push(new.clone());
            Ok(Some(new))
        };
        sources.iter().map(&mut registry).collect::<Result<_, _>>().map(Self)
    }

    /// Tells a shard the schemas that the records of a block name. Answers whether it can take them: not as long as the
    /// registry has not said what becomes of one.
    pub fn tell(&self, shard: &mut Shard, source: usize, block: &Block<'_>, purpose: Purpose) -> bool {
        let Some(Some(registry)) = self.0.get(source) else {
            return true;
        };
        let mut all_known = true;
        for (id, is_absent) in shard.schemas_wanted(source, block) {
            match (registry.lookup(id), purpose) {
                // What was not there then is told by the journal, and nothing else is.
                (_, Purpose::Again) if is_absent => {}
                (Lookup::Known(answer), Purpose::New) if !is_absent || *answer != SchemaAnswer::Absent => {
                    shard.learn(source, id, &answer);
                }
                (Lookup::Known(answer), Purpose::Again) if *answer != SchemaAnswer::Absent => {
                    shard.learn_again(source, id, &answer);
                }
                // It was not there a minute ago, and that counts until the registry says something else.
                _ if is_absent => {}
                _ => all_known = false,
            }
        }
        all_known
    }

    /// Tells a shard of a schema that the journal says is there after all. Answers whether that is done.
    pub fn tell_again(&self, shard: &mut Shard, source: usize, id: u32) -> bool {
        let Some(Some(registry)) = self.0.get(source) else {
            return true;
        };
        match registry.lookup(id) {
            Lookup::Known(answer) if *answer != SchemaAnswer::Absent => {
                shard.learn_again(source, id, &answer);
                true
            }
            _ => false,
        }
    }
}
