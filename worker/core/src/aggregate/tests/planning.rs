//! The names that queries know.

use super::super::planning_functions;

#[test]
fn no_two_functions_share_a_name() {
    let functions = planning_functions();
    let names = functions
        .iter()
        .flat_map(|f| std::iter::once(f.name()).chain(f.aliases().iter().map(String::as_str)));
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
}
