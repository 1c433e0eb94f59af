//! From syntax trees to a plan, as OPA's compiler goes: the same rewriting in the same order (`ast/compile.go`, 1.22), the
//! same checks with the same codes.
//!
//! The order matters. That `not f(input.x)` is undefined where `input.x` is missing, say, comes from moving dynamic terms
//! out of calls before negation is looked at ([`expand::dynamics`]); what is safe depends on it as well.

mod check;
mod conflicts;
mod error;
mod expand;
mod graph;
mod locals;
mod metadata;
mod resolve;
mod safety;
mod template;
pub(crate) mod tree;
mod types;
mod unify;
pub(crate) mod walk;
mod with;

use self::check::Surroundings;
pub(crate) use self::error::CompileError;
use self::graph::Graph;
use self::locals::Generator;
use self::tree::{Arity, RuleTree};
use super::plan::{Plan, plan};
use super::syntax::TOO_LARGE;
use super::syntax::ast::Module;
use super::value::Value;

/// What compiling a bundle's modules may take, estimated, in bytes.
pub(crate) const MAX_SIZE: usize = 60 << 20;

/// What a term takes that is made a statement of its own, beyond its tokens; and a reference's part.
const MOVED: usize = 600;
const PART: usize = 64;

/// Makes a plan of modules, beside `data`. `remote` are paths below `data` whose documents may not be held.
///
/// # Errors
/// All that was found up to the first stage that can't go on, by place.
pub(crate) fn compile(
    mut modules: Vec<Module>,
    data: &Value,
    remote: &[Vec<Value>],
) -> Result<Plan, Vec<CompileError>> {
    let (mut errors, mut lasting) = (vec![], vec![]);
    let longer = resolve::resolve(&mut modules, &mut errors);
    check_size(&modules, longer.saturating_mul(PART), &mut errors);
    stop(&mut errors, &lasting)?;
    conflicts::check_names(&modules, &mut lasting);
    stop(&mut errors, &lasting)?;

    let mut generator = Generator::new(&modules);
    expand::head_references(&mut modules, &mut generator);
    let tree = RuleTree::new(&modules);
    let found = locals::rewrite(&mut modules, &mut generator);
    errors.extend(found.errors);
    lasting.extend(found.unused);
    stop(&mut errors, &lasting)?;

    let arities = Arity::of_modules(&modules);
    let arity = Arity { tree: &tree, modules: &arities };
    template::rewrite(&mut modules, &tree, &arity, &mut generator, &mut errors);
    expand::check_void_calls(&mut modules, &mut errors);
    stop(&mut errors, &lasting)?;

    expand::erase_print(&mut modules);
    expand::calls(&mut modules, &mut generator);
    metadata::rewrite(&mut modules, &mut generator, &mut errors);
    // OPA looks for recursion later, on a graph that it makes here.
    let graph = Graph::new(&modules, &tree);
    let order = graph.as_ref().map_err(Clone::clone).and_then(|graph| graph.order(&modules));
    expand::comprehensions(&mut modules, &mut generator);
    expand::heads(&mut modules, &mut generator);
    with::rewrite(&mut modules, &tree, &mut generator, &mut errors);
    stop(&mut errors, &lasting)?;

    conflicts::check_rules(&modules, &tree, &mut errors);
    conflicts::check_data(&modules, &tree, data, &mut errors);
    stop(&mut errors, &lasting)?;
    conflicts::check_functions(&modules, &arity, &mut errors);
    stop(&mut errors, &lasting)?;

    safety::check_heads(&mut modules, &generator, &mut errors);
    stop(&mut errors, &lasting)?;
    safety::order_bodies(&mut modules, &arity, &generator, &mut errors);
    stop(&mut errors, &lasting)?;

    expand::equals(&mut modules);
    let before = generator.made();
    expand::dynamics(&mut modules, &mut generator);
    let moved = generator.made() - before;
    check_size(&modules, longer.saturating_mul(PART).saturating_add(moved.saturating_mul(MOVED)), &mut errors);
    stop(&mut errors, &lasting)?;
    let recursion = |error| by_place(vec![error], &lasting);
    let (graph, order) = (graph.map_err(recursion)?, order.map_err(recursion)?);
    let surroundings = Surroundings {
        dependents: &|reference| graph.dependents(&modules, &tree, reference),
        name_of: &|var| generator.name_of(var).cloned(),
    };
    errors.extend(check::check(&modules, &order, &surroundings));
    conflicts::check_deprecated(&modules, &mut errors);
    errors.append(&mut lasting);
    stop(&mut errors, &[])?;

    let mut plan = plan(&modules, &tree, remote).map_err(|error| vec![CompileError::from(error)])?;
    // Patterns take memory of their own, so the trees go before.
    drop(modules);
    plan.compile_patterns();
    Ok(plan)
}

/// Names become absolute references, and those within arrays, objects and sets are evaluated one by one: that takes `more`
/// than their few tokens tell.
fn check_size(modules: &[Module], more: usize, errors: &mut Vec<CompileError>) {
    let size: usize = modules.iter().map(|module| module.size).sum();
    let largest = modules.iter().max_by_key(|module| module.size);
    if let Some(module) = largest.filter(|_| size.saturating_add(more) > MAX_SIZE) {
        errors.push(CompileError::new(module.package.location, "size", TOO_LARGE));
    }
}

/// Ends it where something was found. `lasting` errors by themselves let later stages run, as in OPA, so that one
/// compilation tells all there is.
fn stop(errors: &mut Vec<CompileError>, lasting: &[CompileError]) -> Result<(), Vec<CompileError>> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(by_place(std::mem::take(errors), lasting))
}

fn by_place(mut errors: Vec<CompileError>, more: &[CompileError]) -> Vec<CompileError> {
    errors.extend_from_slice(more);
    errors.sort_by_key(|error| (error.location.file, error.location.row, error.location.col));
    errors
}
