//! What an account may do, held against what it asked for.
#![allow(dead_code)]

use std::collections::BTreeSet;

use serde_json::Value as Json;
use tocsin_e2e::Asked;

fn texts(rule: &Json, field: &str) -> Vec<String> {
    let all = rule[field].as_array().into_iter().flatten();
    all.filter_map(Json::as_str).map(str::to_owned).collect()
}

/// Verbs of these rules that the user never used: `patch statefulsets of apps`.
pub fn unused(rules: &[Json], asked: &[Asked], user: &str) -> BTreeSet<String> {
    let own: Vec<&Asked> = asked.iter().filter(|asked| asked.user == user).collect();
    let is_used = |verb: &str, group: &str, resource: &str| {
        own.iter().any(|asked| {
            let is_verb = asked.verb == verb
                // Applying what is not there yet is making it.
                || verb == "create" && asked.verb == "patch" && asked.code == 201;
            is_verb && asked.group == group && asked.resource == resource
        })
    };
    let mut unused = BTreeSet::new();
    for rule in rules {
        for group in texts(rule, "apiGroups") {
            for resource in texts(rule, "resources") {
                let verbs = texts(rule, "verbs").into_iter();
                let idle = verbs.filter(|verb| !is_used(verb, &group, &resource));
                unused.extend(idle.map(|verb| format!("{verb} {resource} of {group:?}")));
            }
        }
    }
    unused
}

/// What the user asked for and was refused.
pub fn refused<'a>(asked: &'a [Asked], user: &str) -> Vec<&'a Asked> {
    asked
        .iter()
        .filter(|asked| asked.user == user && asked.code == 403)
        .collect()
}
